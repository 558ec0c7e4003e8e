"""From lists of strings to places in the text: SciER's LLM form, which names mentions but not where they stand.

Mentions are listed in the order of the text, so each is the first occurrence of its string after the one before it.
Relations are listed in the order of their second argument: always in dev and test, where the PLM form tells, and no
sentence of train speaks against it. Under that order and the label's direction, the pairs with the least text between
them are taken. Measured against the PLM form: mentions 2,234 of 2,234 in dev and 2,947 of 2,948 in test; relations
1,128 of 1,132 (99.6 %) in dev and 1,611 of 1,626 (99.1 %) in test. Of these, 137 and 180 had more than one pair to
choose from. Where every string occurs once, or every relation joins names that one mention bears, there is nothing to
choose, and the order does not matter. Left out: mentions that overlap, of which SciER has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

Span = tuple[int, int]


class Unplaced(ValueError):
    """Strings that cannot be placed: `reason` is that of the Reject."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Link(NamedTuple):
    """A relation by name: which mentions bear its strings."""

    heads: tuple[int, ...]  # indices of mentions
    label: str
    tails: tuple[int, ...]  # indices of mentions, ascending


class _Path(NamedTuple):
    cost: float
    pairs: Any  # (the pairs before, head, tail), or None at the beginning


# Whether the head is the later mention: 168 of 170 and 4 of 114 relations in test.
_HEAD_IS_LATER = {"Synonym-Of": True, "Compare-With": False}
_WRONG_SIDE = (
    150  # characters of text that a head on the wrong side costs; from 60 to 600 dev and test change by one each
)
_AGAIN = 1_000_000  # a pair that the same label already joins is the last resort


def align(text: str, strings: Sequence[str]) -> tuple[Span, ...]:
    """Start and end (half-open, in characters) of each string, standing between blanks, none overlapping.

    They are found in order; where that fails and every string occurs once, wherever they are. Raises
    Unplaced with mention_not_found, mentions_overlap or mentions_out_of_order, naming a string.
    """
    spans, position = [], 0
    for index, string in enumerate(strings):
        position = _find(text, string, position)
        if position < 0:
            return _anywhere(text, strings, index)
        spans.append((position, position + len(string)))
        position += len(string)
    return tuple(spans)


def _anywhere(text: str, strings: Sequence[str], failed: int) -> tuple[Span, ...]:
    """The spans in spite of their order; `failed` is the string that is not after those before it."""
    listed = Counter(strings)
    places = {string: list(islice(_places(text, string), max(count, 2))) for string, count in listed.items()}
    for index, string in enumerate(strings):
        if len(places[string]) < listed[string]:
            raise Unplaced(
                "mention_not_found",
                f"mention {index} {string[:80]!r} is listed {listed[string]} times and stands "
                f"{len(places[string])} times in the sentence, between blanks",
            )
    if any(len(starts) > 1 for starts in places.values()):
        raise Unplaced(
            "mentions_out_of_order",
            f"mention {failed} {strings[failed][:80]!r} is not after those listed before it; the order counts, "
            "since not every string occurs once",
        )
    spans = tuple((places[string][0], places[string][0] + len(string)) for string in strings)
    for one, other in pairwise(sorted(spans)):
        if other[0] < one[1]:
            raise Unplaced("mentions_overlap", f"{text[slice(*one)][:80]!r} and {text[slice(*other)][:80]!r}")
    return spans


def _places(text: str, string: str) -> Iterator[int]:
    found = _find(text, string, 0)
    while found >= 0:
        yield found
        found = _find(text, string, found + 1)


def _find(text: str, string: str, position: int) -> int:
    found = text.find(string, position) if string else -1
    while found >= 0:
        end = found + len(string)
        if text[found - 1 : found] in ("", " ") and text[end : end + 1] in ("", " "):
            return found
        found = text.find(string, found + 1)
    return -1


def assign(spans: Sequence[Span], links: Sequence[Link]) -> tuple[tuple[int, int], ...]:
    """One (head, tail) of mention indices for each link: the cheapest choice whose tails never step back.

    Where each link has one head and one tail there is no choice, and no order to keep. Exact: dynamic
    programming over the tail and the row where its run of rows began, since a run of equal links to one
    tail takes its cheapest heads in turn. Raises ValueError if no choice keeps the order.
    """
    if all(len(link.heads) == len(link.tails) == 1 for link in links):
        return tuple((link.heads[0], link.tails[0]) for link in links)
    paths: dict[int, dict[int, _Path]] = {-1: {0: _Path(0, None)}}
    for row, link in enumerate(links):
        paths = _extend(paths, row, link, [r for r in range(row) if links[r] == link], spans)
        if not paths:
            raise ValueError(f"relation {row} ({link.label}) breaks the order of the second arguments")
    best = min((path for runs in paths.values() for path in runs.values()), key=_cost)
    return _unwound(best)


def _extend(
    paths: dict[int, dict[int, _Path]], row: int, link: Link, equal: list[int], spans: Sequence[Span]
) -> dict[int, dict[int, _Path]]:
    """Every path so far, carried on by one link: to the tail it is at, or to a later one."""
    cheapest = {tail: min(runs.values(), key=_cost) for tail, runs in paths.items()}
    extended: dict[int, dict[int, _Path]] = {}
    for tail in link.tails:
        heads = sorted((_price(spans, head, tail, link.label), head) for head in link.heads if head != tail)
        runs = dict(paths.get(tail, {}))
        if earlier := [path for other, path in cheapest.items() if other < tail]:
            runs[row] = min(earlier, key=_cost)
        if heads and runs:
            used = {first: len(equal) - bisect_left(equal, first) for first in runs}
            extended[tail] = {first: _joined(path, heads, used[first], tail) for first, path in runs.items()}
    return extended


def _joined(path: _Path, heads: list[tuple[int, int]], used: int, tail: int) -> _Path:
    price, head = heads[used % len(heads)]
    again = _AGAIN * (used // len(heads))
    return _Path(path.cost + price + again, (path.pairs, head, tail))


def _price(spans: Sequence[Span], head: int, tail: int, label: str) -> int:
    first, second = sorted((spans[head], spans[tail]))
    wrong = label in _HEAD_IS_LATER and _HEAD_IS_LATER[label] != (spans[head] > spans[tail])
    return second[0] - first[1] + _WRONG_SIDE * wrong


def _unwound(path: _Path) -> tuple[tuple[int, int], ...]:
    pairs, rest = [], path.pairs
    while rest is not None:
        rest, head, tail = rest
        pairs.append((head, tail))
    return tuple(reversed(pairs))


def _cost(path: _Path) -> float:
    return path.cost
