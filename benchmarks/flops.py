"""The arithmetic a GRPO step must do: what each part costs with every row alone, and with each prefix once.

Floating-point operations of matrix products and convolutions (a multiplication and an addition are two); sums,
norms, softmax and the optimizer are left out. For one token of the text model, with hidden width h, q heads' width
q, k/v heads' width kv, MLP width m and vocabulary V:

- linear layers: layers * 2 * (h*q + 2*h*kv + q*h + 3*h*m)
- attention: layers * 4 * q for every key it sees; a causal row of n tokens sees n*(n+1)/2 in all
- vocabulary head: 2*h*V, only where a token of a completion is predicted

The vision tower (width w, MLP width u, patches of `values` numbers): 2*values*w for a patch, in each block
2*(4*w*w + 3*w*u) for a patch and 4*w for a key it sees, which are those of its picture or of its window; the merger
takes four patches through 2*(4w)*(4w) + 2*(4w)*out.

A row alone is a prompt of P tokens and a completion of C: P + C - 1 tokens are read (the last is read by nobody) and C
predicted. Decoding with a cache reads the same tokens and sees the same keys, so a rollout costs what scoring
does. With each prefix once, G rows of a prompt read P + G*(C-1) tokens and predict at 1 + G*(C-1) places. A
backward pass costs two forward passes (one where weights are frozen, attention counted alike), recomputing for the
sake of memory one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transformers import Qwen2_5_VLConfig

PARTS = ("rollout", "scoring", "training", "step")


class Cell(NamedTuple):
    """One place of the grid: `prompts` of `prompt` tokens, each with `group` completions of `completion` tokens."""

    group: int
    prompt: int
    completion: int
    prompts: int

    @property
    def rows(self) -> int:
        """Rollouts in a step."""
        return self.group * self.prompts


class Work(NamedTuple):
    """FLOPs by where they fall, since a backward pass multiplies them differently."""

    text: float
    vision: float
    head: float

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self)


FULL, CHECKPOINTED = Work(3, 3, 3), Work(4, 4, 3)  # forward passes that training is worth, by where
LORA, LORA_CHECKPOINTED = Work(2, 1, 2), Work(3, 1, 2)  # adapters in the text model alone: the tower has no gradient


def linear(config: Qwen2_5_VLConfig, tokens: int) -> float:
    """Linear layers of the text model."""
    text = config.text_config
    h, q = text.hidden_size, text.hidden_size
    kv = q * text.num_key_value_heads // text.num_attention_heads
    return 2.0 * tokens * text.num_hidden_layers * (2 * h * q + 2 * h * kv + 3 * h * text.intermediate_size)


def attention(config: Qwen2_5_VLConfig, pairs: float) -> float:
    """Attention of the text model over that many pairs of a query and a key."""
    return 4.0 * pairs * config.text_config.num_hidden_layers * config.text_config.hidden_size


def head(config: Qwen2_5_VLConfig, places: int) -> float:
    """The vocabulary head at that many places."""
    return 2.0 * places * config.text_config.hidden_size * config.text_config.vocab_size


def causal(tokens: int, seen: int = 0) -> int:
    """Pairs of a query and a key in that many tokens, with `seen` tokens before them."""
    return tokens * seen + tokens * (tokens + 1) // 2


def vision(config: Qwen2_5_VLConfig, grids: Sequence[tuple[int, int]]) -> float:
    """The vision tower over pictures of (rows, columns) patches each."""
    tower = config.vision_config
    w, merge = tower.hidden_size, tower.spatial_merge_size**2
    values = tower.in_channels * tower.temporal_patch_size * tower.patch_size**2
    patches = sum(rows * columns for rows, columns in grids)
    full = len(tower.fullatt_block_indexes)
    pairs = full * sum((rows * columns) ** 2 for rows, columns in grids)
    pairs += (tower.depth - full) * sum(_windowed(grid, tower.window_size // tower.patch_size) for grid in grids)
    blocks = tower.depth * 2.0 * patches * (4 * w * w + 3 * w * tower.intermediate_size)
    merger = 2.0 * (patches // merge) * merge * w * (merge * w + tower.out_hidden_size)
    return 2.0 * patches * values * w + blocks + 4.0 * w * pairs + merger


def _windowed(grid: tuple[int, int], side: int) -> int:
    """Pairs of patches in windows of side * side."""
    rows, columns = (sum(min(side, length - at) ** 2 for at in range(0, length, side)) for length in grid)
    return rows * columns


def forward(config: Qwen2_5_VLConfig, cell: Cell, grids: Sequence[tuple[int, int]], *, once: bool) -> Work:
    """Reading a step's rows, as a rollout or to score them; `grids`: the pictures of a prompt."""
    group, prompt, completion, prompts = cell
    branch = completion - 1
    if once:
        tokens, places, towers = prompt + group * branch, 1 + group * branch, 1
        pairs = causal(prompt) + group * causal(branch, prompt)
    else:
        tokens, places, towers = group * (prompt + branch), group * completion, group
        pairs = group * causal(prompt + branch)
    return Work(
        text=prompts * (linear(config, tokens) + attention(config, pairs)),
        vision=prompts * towers * vision(config, grids),
        head=prompts * head(config, places),
    )


def parts(
    config: Qwen2_5_VLConfig, cell: Cell, grids: Sequence[tuple[int, int]], passes: Work, *, once: bool
) -> dict[str, float]:
    """FLOPs of each of PARTS. A step rolls out and trains; it scores nothing apart, as TRL where windows fit steps."""
    read = forward(config, cell, grids, once=once)
    training = sum(work * times for work, times in zip(read, passes, strict=True))
    return {"rollout": read.total, "scoring": read.total, "training": training, "step": read.total + training}


def limits(config: Qwen2_5_VLConfig, cell: Cell, grids: Sequence[tuple[int, int]], passes: Work) -> dict[str, float]:
    """How many times fewer FLOPs each part needs when a prefix is computed once."""
    alone = parts(config, cell, grids, passes, once=False)
    shared = parts(config, cell, grids, passes, once=True)
    return {part: alone[part] / shared[part] for part in PARTS}
