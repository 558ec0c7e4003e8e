"""Attention over trees: a prompt once (the trunk), and behind it what was said after it (its branches).

A branch sees its trunk and itself. Registered with transformers under NAME; what has no tree in it goes to
PyTorch's SDPA as ever. Two shapes of tree:

- `Tree`: groups packed one after another in one row, for scoring and training; handed to the model as `tree=`.
- `Shared`: one step of decoding, a trunk's keys and values read once for all its branches; it comes out of
  the cache in the place of the keys.

Nothing is approximate: the same sums as with every branch alone, in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention as sdpa
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "prefix_tree"


class Group(NamedTuple):
    """One trunk and its branches, in tokens."""

    trunk: int
    branches: tuple[int, ...]

    @property
    def tips(self) -> int:
        """Tokens in all branches."""
        return sum(self.branches)


class Tree:
    """Groups packed in one row of `length` tokens: trunk, branch 1, ..., branch G, next trunk, ...

    `fused`: on a GPU by FlexAttention, which is compiled for a row's shape: for rows of which many are alike.
    """

    def __init__(self, groups: Sequence[Group], device: torch.device, *, fused: bool = True) -> None:
        self.groups = tuple(groups)
        self.length = sum(group.trunk + group.tips for group in groups)
        self.padding = [_padding(group, device) for group in groups]
        self.blocks = block_mask(groups, device) if fused and device.type == "cuda" else None
        self.attended = 0  # layers that have seen it: one that has not would see an ordinary row, and say nothing


class Padding(NamedTuple):
    """How a group's ragged branches become [G, S] and back."""

    spread: torch.Tensor  # [G * S] which of the group's tips stands there; any where none does
    gather: torch.Tensor  # [tips] where in [G * S] a tip stands
    mask: torch.Tensor  # [S, trunk + S] bool: all of the trunk, and what came before in the branch


class Shared(NamedTuple):
    """A decoding step's keys (or values): the trunks' and each branch's own."""

    trunk: torch.Tensor  # [N, H_kv, T, D]
    own: torch.Tensor  # [N * G, H_kv, s, D]
    hidden: torch.Tensor | None  # [N, 1, 1, T] added to the scores of a trunk's padding; None where there is none


def use_tree_attention(model: PreTrainedModel) -> None:
    """Lets the text model's layers attend by this file; its vision tower stays as it is."""
    model.config.get_text_config()._attn_implementation = NAME


@contextmanager
def tree_attention(model: PreTrainedModel) -> Iterator[None]:
    """`use_tree_attention` for a while; not around a backward pass, which may run layers again."""
    config = model.config.get_text_config()
    before, config._attn_implementation = config._attn_implementation, NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def unsuited(model: PreTrainedModel, longest: int) -> str | None:
    """Why this model cannot attend over trees in rows of up to `longest` tokens (prompt and completion), or None."""
    config = model.config.get_text_config()
    if getattr(model, "_is_stateful", False):
        return f"{config.model_type} keeps a recurrent state"
    if not (getattr(model, "_supports_attention_backend", False) and model._supports_sdpa):
        return f"{config.model_type} does not attend by transformers' attention interface"
    other = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if other:
        return f"{config.model_type} has {min(other)} layers"
    sliding = getattr(config, "sliding_window", None)
    if sliding is not None and sliding < longest:
        return f"{config.model_type} attends over windows of {sliding} tokens, and a row may have {longest}"
    return None


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor | Shared,
    value: torch.Tensor | Shared,
    attention_mask: torch.Tensor | None,
    *,
    tree: Tree | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention function: query [B, H, L, D] -> [B, L, H, D]."""
    if isinstance(key, Shared):
        return _attend_shared(query, key, value, scaling), None
    if tree is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    tree.attended += 1
    if tree.blocks is not None:
        return flex_attention_forward(module, query, key, value, tree.blocks, scaling=scaling)[0], None
    return attend_packed(query, key, value, tree, scaling), None


def attend_packed(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, tree: Tree, scaling: float | None
) -> torch.Tensor:
    """[1, H, L, D] and [1, H_kv, L, D] -> [1, L, H, D], one group after the other: no padded trunk, no dense mask."""
    repeats = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, repeats), repeat_kv(value, repeats)
    out, start = [], 0
    for group, padding in zip(tree.groups, tree.padding, strict=True):
        middle, end = start + group.trunk, start + group.trunk + group.tips
        q, k, v = (x[:, :, start:end] for x in (query, key, value))
        t = group.trunk
        out.append(sdpa(q[:, :, :t], k[:, :, :t], v[:, :, :t], is_causal=True, scale=scaling))
        if middle < end:
            out.append(_attend_branches(q, k, v, group, padding, scaling))
        start = end
    return torch.cat(out, dim=2).transpose(1, 2).contiguous()


def _attend_branches(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, group: Group, padding: Padding, scaling: float | None
) -> torch.Tensor:
    """One group's [1, H, T + tips, D] -> its tips' [1, H, tips, D]."""
    heads, width, t, g = q.shape[1], q.shape[3], group.trunk, len(group.branches)

    def apart(x: torch.Tensor) -> torch.Tensor:  # [G, H, S, D]
        return x[0, :, t:].index_select(1, padding.spread).view(heads, g, -1, width).transpose(0, 1)

    def with_trunk(x: torch.Tensor) -> torch.Tensor:  # [G, H, T + S, D]
        return torch.cat([x[:, :, :t].expand(g, -1, -1, -1), apart(x)], dim=2)

    out = sdpa(apart(q), with_trunk(k), with_trunk(v), attn_mask=padding.mask, scale=scaling)
    return out.transpose(0, 1).reshape(1, heads, -1, width).index_select(2, padding.gather)


def _padding(group: Group, device: torch.device) -> Padding:
    lengths = torch.tensor(group.branches, device=device)
    longest = max(group.branches, default=0)
    column = torch.arange(longest, device=device)
    first = lengths.cumsum(0) - lengths
    held = column < lengths[:, None]
    own = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
    return Padding(
        spread=(first[:, None] + column).where(held, 0).flatten(),
        gather=held.flatten().nonzero().flatten(),
        mask=torch.cat([own.new_ones(longest, group.trunk), own], dim=1),
    )


def block_mask(groups: Sequence[Group], device: torch.device) -> Any:
    """The same tree for FlexAttention, which skips the blocks nobody sees."""
    from torch.nn.attention.flex_attention import create_block_mask

    sizes = [size for group in groups for size in (group.trunk, *group.branches)]
    of_group = [number for number, group in enumerate(groups) for _ in range(1 + len(group.branches))]
    branch = [number for group in groups for number in range(1 + len(group.branches))]  # 0: the trunk
    repeats = torch.tensor(sizes, device=device)
    group_at = torch.tensor(of_group, device=device).repeat_interleave(repeats)
    branch_at = torch.tensor(branch, device=device).repeat_interleave(repeats)

    def sees(batch: Any, head: Any, q: Any, k: Any) -> Any:
        mine = (branch_at[k] == 0) | (branch_at[k] == branch_at[q])
        return (group_at[q] == group_at[k]) & mine & (k <= q)

    length = int(repeats.sum())
    # compiled, it never holds the whole [L, L]; on a CPU, where only tests come here, that would take longer
    made = torch.compile(create_block_mask) if device.type == "cuda" else create_block_mask
    return made(sees, B=None, H=None, Q_LEN=length, KV_LEN=length, device=device)


def _attend_shared(query: torch.Tensor, key: Shared, value: Shared, scaling: float | None) -> torch.Tensor:
    """[N * G, H, 1, D] -> [N * G, 1, H, D]."""
    batch, heads, _, width = query.shape
    n, kv_heads, t, _ = key.trunk.shape
    g, repeats = batch // n, heads // kv_heads
    query = query * (width**-0.5 if scaling is None else scaling)

    def by_trunk(x: torch.Tensor) -> torch.Tensor:  # [N * G, H_kv, R, *] -> [N, H_kv, G * R, *]
        return x.view(n, g, kv_heads, repeats, -1).transpose(1, 2).reshape(n, kv_heads, g * repeats, -1)

    def by_branch(x: torch.Tensor) -> torch.Tensor:  # and back
        return x.view(n, kv_heads, g, repeats, -1).transpose(1, 2).reshape(batch, kv_heads, repeats, -1)

    query = query.view(batch, kv_heads, repeats, width)
    over_trunk = by_trunk(query) @ key.trunk.transpose(-1, -2)
    if key.hidden is not None:
        over_trunk = over_trunk + key.hidden
    over_own = query @ key.own.transpose(-1, -2)
    weights = torch.cat([by_branch(over_trunk), over_own], dim=-1).softmax(-1, dtype=torch.float32).to(query.dtype)
    out = by_branch(by_trunk(weights[..., :t]) @ value.trunk) + weights[..., t:] @ value.own
    return out.view(batch, 1, heads, width)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
