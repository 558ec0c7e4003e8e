"""A generation window's groups dealt into micro-batches: whole groups, balanced by tokens.

A window is TRL's dict of what was rolled out and scored: per-row tensors [W * G, ...], the rows of a prompt
together, and per-prompt fields (PER_PROMPT). Everything here is a function of the window and of counts that
are the same on every rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

LEFT_PADDED = ("prompt_ids", "prompt_mask", "mm_token_type_ids")
PER_PROMPT = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")


def shares(window: int, steps: int, accumulation: int) -> list[list[int]]:
    """The window's groups by the optimizer step they serve, `steps` micro-steps in all.

    Of two shares, the even and the odd groups, so that they are the same whatever the number of ranks. Where a
    window serves no whole number of optimizer steps, one share a micro-step.
    """
    whole = steps % accumulation == 0 or accumulation % steps == 0
    count = max(1, steps // accumulation) if whole else steps
    return [list(range(first, window, count)) for first in range(count)]


def choose(share: Sequence[int], teaches: Sequence[bool], wanted: int) -> list[int]:
    """The groups that teach, filled up with others to `wanted` (the ranks must run as many rows each)."""
    ordered = sorted(share, key=lambda group: not teaches[group])
    return sorted(ordered[:wanted])


def deal(groups: Sequence[int], tokens: Sequence[int], batches: int) -> list[list[int]]:
    """The groups in `batches` lists of like length (to one) and of like sums of `tokens`; the longest group first.

    Raises ValueError for fewer groups than batches.
    """
    if len(groups) < batches:
        raise ValueError(f"{len(groups)} groups cannot fill {batches} micro-batches")
    room = [len(groups) // batches + (number < len(groups) % batches) for number in range(batches)]
    dealt: list[list[int]] = [[] for _ in range(batches)]
    weight = [0] * batches
    for group in sorted(groups, key=lambda group: (-tokens[group], group)):
        free = [number for number in range(batches) if len(dealt[number]) < room[number]]
        lightest = min(free, key=lambda number: (weight[number], number))
        dealt[lightest].append(group)
        weight[lightest] += tokens[group]
    return [sorted(batch) for batch in dealt]


def group_tokens(window: dict[str, Any], group: int) -> list[int]:
    """[W] tokens of each group as it is computed: its prompt once, its completions as long as they are."""
    prompts = window["prompt_mask"][::group].sum(-1)
    return (prompts + window["completion_mask"].sum(-1).view(-1, group).sum(-1)).tolist()


def take_groups(window: dict[str, Any], groups: Sequence[int], group: int) -> dict[str, Any]:
    """Those groups' rows and prompts; 0-d tensors stay as they are."""
    rows = [number * group + member for number in groups for member in range(group)]

    def take(key: str, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.ndim == 0:
            return value
        wanted = list(groups) if key in PER_PROMPT else rows
        return value[wanted] if isinstance(value, torch.Tensor) else [value[number] for number in wanted]

    apart = split_pixel_values_by_grid(window)
    return unsplit_pixel_values_by_grid({key: take(key, value) for key, value in apart.items()})


def merge(rounds: Sequence[dict[str, Any]], filler: int) -> dict[str, Any]:
    """Rounds of one kind as one window, one after the other, padded to one length; `filler` is the padding token.

    num_items_in_batch, the only figure of a whole round, is that of the first.
    """

    def join(key: str, values: list[Any]) -> Any:
        if isinstance(values[0], list):
            return [one for value in values for one in value]
        if values[0].ndim == 0:
            return values[0]
        if values[0].ndim == 1:
            return torch.cat(values)
        longest = max(value.shape[1] for value in values)
        padding = filler if key in ("prompt_ids", "completion_ids") else 0
        gaps = [(0, longest - value.shape[1]) for value in values]
        sides = [gap[::-1] if key in LEFT_PADDED else gap for gap in gaps]
        return torch.cat([pad(value, side, value=padding) for value, side in zip(values, sides, strict=True)])

    return {key: join(key, [one[key] for one in rounds]) for key in rounds[0]}


def take_rows(batch: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Those rows of a TRL batch, with their own pictures; what is not per row stays."""

    def take(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value[list(rows)] if value.ndim else value
        return [value[row] for row in rows] if isinstance(value, list) else value

    return unsplit_pixel_values_by_grid({key: take(value) for key, value in split_pixel_values_by_grid(batch).items()})
