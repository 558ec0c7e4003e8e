"""Strings -> spans: where in a text the entities stand that a model only names."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence

Span = tuple[int, int]
MARKS = 32  # on one letter; a longer run is noise, which must not cost its length at every place
_UNEVEN = re.compile(r"\s\s|[^\S ]")  # blanks that are not one space


def place(wanted: Sequence[tuple[str, Span | None]], whole: str, *, listed: bool = True) -> list[Span | None]:
    """A span for each (string, span it claims or None); None where the text holds no unused occurrence.

    Claimed spans stand. Where the strings can be read off the text from left to right, one after the other, each is
    where it is read, unless they are not `listed` in the text's order. Else longer strings first, equally long ones in
    the order given, each at its first occurrence that covers no character already taken, or else at its first one that
    the same string has not.
    """
    texts = {text for text, claim in wanted if text and claim is None}
    found = {text: occurrences(text, whole) for text in texts}
    return (_in_order(wanted, found) if listed else None) or _longest_first(wanted, found, whole)


def _in_order(wanted: Sequence[tuple[str, Span | None]], found: dict[str, list[Span]]) -> list[Span | None] | None:
    """Each string at its first occurrence behind the one before; None where one that occurs at all has none there."""
    spans: list[Span | None] = []
    reached = 0
    for text, claim in wanted:
        places = [claim] if claim is not None else found.get(text, [])
        here = bisect_left(places, (reached, 0))
        if places and here == len(places):
            return None
        spans.append(places[here] if places else None)
        reached = spans[-1][1] if spans[-1] is not None else reached
    return spans


def _longest_first(
    wanted: Sequence[tuple[str, Span | None]], found: dict[str, list[Span]], whole: str
) -> list[Span | None]:
    spans: list[Span | None] = [claim for _, claim in wanted]
    covered = bytearray(len(whole))
    claimed = {(text, claim) for text, claim in wanted if claim is not None}
    for _, claim in claimed:
        _cover(covered, claim)
    # of each string: places not looked at yet, and those that proved covered
    fresh = {text: deque(span for span in places if (text, span) not in claimed) for text, places in found.items()}
    under: dict[str, deque[Span]] = {text: deque() for text in found}
    waiting = [i for i, (text, claim) in enumerate(wanted) if text and claim is None]
    for i in sorted(waiting, key=lambda i: -len(wanted[i][0])):
        text = wanted[i][0]
        while fresh[text] and any(covered[slice(*fresh[text][0])]):
            under[text].append(fresh[text].popleft())
        places = fresh[text] or under[text]
        spans[i] = places.popleft() if places else None
        _cover(covered, spans[i])
    return spans


def _cover(covered: bytearray, span: Span | None) -> None:
    if span is not None:
        covered[slice(*span)] = b"\x01" * (span[1] - span[0])


def occurrences(text: str, whole: str) -> list[Span]:
    """Where `text` stands in `whole`, left to right: as whole words, or anywhere if it never does.

    Any run of blanks equals any other; case counts.
    """
    words = text.split()
    if len(words) > 1 and _UNEVEN.search(whole):
        loose = r"\s+".join(map(re.escape, words))
        found = [match.span(1) for match in re.finditer(f"(?=({loose}))", whole)]
    else:
        found = list(find(" ".join(words), whole))
    return [span for span in found if is_whole(span, whole)] or found


def find(text: str, whole: str) -> Iterator[Span]:
    """Where `text` stands in `whole` to the letter, words or not; places may overlap."""
    start = whole.find(text)
    while start >= 0:
        yield start, start + len(text)
        start = whole.find(text, start + 1)


def is_whole(span: Span, whole: str) -> bool:
    """Whether neither end cuts a word in two; a vowel sign or an accent of its own is a part of its word."""
    return not any(0 < edge < len(whole) and _cuts(edge, whole) for edge in span)


def _cuts(edge: int, whole: str) -> bool:
    base = edge - 1
    while base > edge - MARKS and base and _is_mark(whole[base]):
        base -= 1
    return _is_letter(whole[base]) and (_is_letter(whole[edge]) or _is_mark(whole[edge]))


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
