"""Which prompts to read together: groups by what they begin with in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

DEEPEST = 64  # beginnings within beginnings that are looked at


class Shared(NamedTuple):
    """Prompts (row numbers) that begin with the same `trunk` tokens."""

    rows: list[int]
    trunk: int


def alike(keys: Sequence[Sequence[int]]) -> list[Shared]:
    """Groups of prompts with what they begin with in common, such that the fewest tokens are read."""
    return _fewest(sorted(range(len(keys)), key=lambda row: keys[row]), keys, DEEPEST)[1]


def _fewest(rows: list[int], keys: Sequence[Sequence[int]], deepest: int) -> tuple[int, list[Shared]]:
    """(tokens, groups) of rows in the order of their keys: all in one group, or apart by what follows their trunk."""
    common = _common(keys[rows[0]], keys[rows[-1]])
    trunk = min(common, min(len(keys[row]) for row in rows) - 1)
    whole = trunk + sum(len(keys[row]) - 1 - trunk for row in rows), [Shared(rows, trunk)]
    if len(rows) == 1 or not deepest:
        return whole
    following: dict[int | None, list[int]] = {}
    for row in rows:
        following.setdefault(keys[row][common] if len(keys[row]) > common else None, []).append(row)
    if len(following) == 1:
        return whole
    parts = [_fewest(part, keys, deepest - 1) for part in following.values()]
    apart = sum(tokens for tokens, _ in parts), [group for _, groups in parts for group in groups]
    return min(apart, whole, key=lambda choice: choice[0])


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts begin with in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
