"""Completions of a group: the prompt is read once, and its branches are decoded together.

One forward over each prompt, vision tower included; then `generate` with a cache that holds a prompt's keys and
values once for all its branches. What is drawn depends on named random numbers alone, one for each row and
token: not on the batch, the number of ranks, or what ran before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from morerl.models.tree import Shared, tree_attention


def uniforms(names: Sequence[str], length: int) -> torch.Tensor:
    """[len(names), length] numbers in [0, 1); a row depends on its name alone."""

    def row(name: str) -> torch.Tensor:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)
        return torch.rand(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    return torch.stack([row(name) for name in names])


class Draw(LogitsProcessor):
    """Chooses each token by the inverse of the distribution function at a given number, and leaves only that one.

    `numbers` [B, steps]. For greedy decoding, which then takes what is left. Sampled as temperature,
    top-k, top-p and min-p of `config` say, in transformers' order.
    """

    def __init__(self, numbers: torch.Tensor, config: GenerationConfig) -> None:
        self.numbers = numbers
        self.step = 0
        self.warpers = LogitsProcessorList(_warpers(config))

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        scores = self.warpers(input_ids, scores)
        reached = scores.softmax(-1, dtype=torch.float64).cumsum(-1)
        wanted = self.numbers[:, self.step, None].to(reached.device) * reached[:, -1:]
        token = torch.searchsorted(reached, wanted, right=True).clamp(max=scores.shape[-1] - 1)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(1, token, 0.0)


def _warpers(config: GenerationConfig) -> list[LogitsProcessor]:
    chosen: list[LogitsProcessor] = []
    if config.temperature not in (None, 1.0):
        chosen.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        chosen.append(TopKLogitsWarper(config.top_k))
    if config.top_p is not None and config.top_p < 1.0:
        chosen.append(TopPLogitsWarper(config.top_p))
    if config.min_p is not None:
        chosen.append(MinPLogitsWarper(config.min_p))
    return chosen


def drawn(config: GenerationConfig) -> GenerationConfig:
    """The config for `generate` with a `Draw`: greedy, so that nothing is warped or drawn a second time."""
    greedy = GenerationConfig.from_dict(config.to_dict())
    greedy.update(do_sample=False, temperature=None, top_k=None, top_p=None, min_p=None, num_return_sequences=1)
    return greedy


class BranchLayer(DynamicLayer):
    """A layer's cache in which N prompts are held once and their N * G branches apart."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, hidden: torch.Tensor | None, rows: int, room: int):
        super().__init__()
        self.trunk_keys, self.trunk_values, self.hidden = keys, values, hidden  # [N, H, T, D]
        _, heads, _, width = keys.shape
        self.own_keys = keys.new_empty(rows, heads, room, width)
        self.own_values = torch.empty_like(self.own_keys)
        self.taken = 0
        self.is_initialized = True
        self.keys = self.values = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        start, self.taken = self.taken, self.taken + key_states.shape[2]
        self.own_keys[:, :, start : self.taken] = key_states
        self.own_values[:, :, start : self.taken] = value_states
        return (
            Shared(self.trunk_keys, self.own_keys[:, :, : self.taken], self.hidden),
            Shared(self.trunk_values, self.own_values[:, :, : self.taken], self.hidden),
        )

    def get_seq_length(self) -> int:
        return self.trunk_keys.shape[2] + self.taken


def rollout(
    model: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    group: int,
    config: GenerationConfig,
    numbers: torch.Tensor,
) -> torch.Tensor:
    """[N * G, C] completions, padded after their end; a prompt's G rows together.

    `inputs`: what the model reads of N prompts, left-padded; `numbers` [N * G, config.max_new_tokens]; a model
    that `tree.unsuited` has nothing against. No gradient.
    """
    base = getattr(model, "get_base_model", lambda: model)()
    with torch.no_grad(), tree_attention(base):
        cache = _prefill(model, base, inputs)
        _branch_deltas(base, group)
        output = model.generate(
            input_ids=inputs["input_ids"].repeat_interleave(group, 0),
            attention_mask=inputs["attention_mask"].repeat_interleave(group, 0),
            past_key_values=_branched(cache, inputs["attention_mask"], group, config.max_new_tokens + 1),
            generation_config=drawn(config),
            logits_processor=LogitsProcessorList([Draw(numbers, config)]),
        )
    return output[:, inputs["input_ids"].shape[1] :]


def until_end(completions: torch.Tensor, ends: Sequence[int]) -> list[list[int]]:
    """[B, C] -> each row up to and with its first end token, or whole."""
    is_end = torch.isin(completions, torch.tensor(ends, device=completions.device))
    before = is_end.int().cumsum(1) - is_end.int() == 0
    return [row[kept].tolist() for row, kept in zip(completions.cpu(), before.cpu(), strict=True)]


def _prefill(model: PreTrainedModel, base: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> DynamicCache:
    """The prompts' keys and values but for their last token, which each branch reads itself."""
    positions = prompt_positions(base, inputs)
    rest = {key: value for key, value in inputs.items() if key not in ("input_ids", "attention_mask")}
    cache = DynamicCache(config=base.config)
    model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
        **rest,
    )
    cache.crop(-1)
    return cache


def prompt_positions(base: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """[N, P] or, for M-RoPE, [4, N, P]: the positions `generate` gives these prompts."""
    rest = {key: value for key, value in inputs.items() if key not in ("input_ids", "pixel_values")}
    return base._prepare_position_ids_for_generation(inputs["input_ids"], rest)


def _branched(cache: DynamicCache, mask: torch.Tensor, group: int, room: int) -> DynamicCache:
    padded = mask[:, :-1] == 0
    hidden = None
    if bool(padded.any()):
        low = torch.finfo(cache.layers[0].keys.dtype).min
        hidden = torch.zeros_like(padded, dtype=cache.layers[0].keys.dtype).masked_fill(padded, low)[:, None, None]
    rows = len(mask) * group
    branched = DynamicCache()
    branched.layers = [BranchLayer(layer.keys, layer.values, hidden, rows, room) for layer in cache.layers]
    return branched


def _branch_deltas(base: PreTrainedModel, group: int) -> None:
    """M-RoPE models keep each prompt's offset between token count and position; a branch has its prompt's."""
    inner = base.base_model
    if getattr(inner, "rope_deltas", None) is not None:
        inner.rope_deltas = inner.rope_deltas.repeat_interleave(group, 0)
