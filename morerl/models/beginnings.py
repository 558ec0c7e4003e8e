"""Which prompts to read together: groups by what they begin with in common, such that the fewest tokens are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

DEEPEST = 6  # beginnings within beginnings that are looked at; each doubles the work


class Shared(NamedTuple):
    """Prompts (row numbers) that begin with the same `trunk` tokens."""

    rows: list[int]
    trunk: int


Trunks = dict[int, int]  # row -> how many of its tokens are read for its whole group; 0: it stands alone


def alike(keys: Sequence[Sequence[int]]) -> list[Shared]:
    """Groups of prompts; of each the last token is not read, for decoding begins with it."""
    if not keys:
        return []
    read = [key[:-1] for key in keys]
    _, trunks = _fewest(sorted(range(len(read)), key=lambda row: read[row]), read, 0, DEEPEST)
    groups: dict[tuple[int, ...], Shared] = {}
    for row, trunk in trunks.items():
        beginning = (0, row) if not trunk else (trunk, *read[row][:trunk])
        groups.setdefault(beginning, Shared([], trunk or len(read[row]))).rows.append(row)
    return list(groups.values())


def _fewest(rows: list[int], read: Sequence[Sequence[int]], trunk: int, deepest: int) -> tuple[int, Trunks]:
    """(tokens read, trunks) of rows in the order of their keys, behind a trunk of which the cost is counted already."""
    common = _common(read[rows[0]], read[rows[-1]])
    behind = _behind(rows, read, trunk, common, deepest)
    if len(rows) == 1 or common <= trunk:
        return behind
    tokens, trunks = _behind(rows, read, common, common, deepest)
    return min(behind, (common + tokens, trunks), key=lambda choice: choice[0])


def _behind(
    rows: list[int], read: Sequence[Sequence[int]], trunk: int, common: int, deepest: int
) -> tuple[int, Trunks]:
    """The same where no longer trunk of all these rows is made."""
    following: dict[int | None, list[int]] = {}
    for row in rows:
        following.setdefault(read[row][common] if len(read[row]) > common else None, []).append(row)
    if len(rows) == 1 or len(following) == 1 or not deepest:
        return sum(len(read[row]) - trunk for row in rows), dict.fromkeys(rows, trunk)
    parts = [_fewest(part, read, trunk, deepest - 1) for part in following.values()]
    return sum(tokens for tokens, _ in parts), {row: own for _, trunks in parts for row, own in trunks.items()}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts begin with in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
