"""Strings -> spans: where in a text the entities stand that a model only names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Span = tuple[int, int]


def place(wanted: Sequence[tuple[str, Span | None]], whole: str) -> list[Span | None]:
    """A span for each (string, span it claims or None); None where the text holds no unused occurrence.

    Claimed spans stand. Then longer strings first, equally long ones in the order given, each at its first
    occurrence that covers no character already taken, or else at its first one that the same string has not.
    """
    spans: list[Span | None] = [claim for _, claim in wanted]
    covered = bytearray(len(whole))
    used: dict[str, set[Span]] = {}
    for text, claim in wanted:
        if claim is not None:
            _take(text, claim, covered, used)
    waiting = [i for i, (text, claim) in enumerate(wanted) if text and claim is None]
    found = {text: occurrences(text, whole) for text in {wanted[i][0] for i in waiting}}
    for i in sorted(waiting, key=lambda i: -len(wanted[i][0])):
        text = wanted[i][0]
        unused = [span for span in found[text] if span not in used.get(text, ())]
        span = next((s for s in unused if not any(covered[s[0] : s[1]])), unused[0] if unused else None)
        if span is not None:
            _take(text, span, covered, used)
        spans[i] = span
    return spans


def _take(text: str, span: Span, covered: bytearray, used: dict[str, set[Span]]) -> None:
    covered[span[0] : span[1]] = b"\x01" * (span[1] - span[0])
    used.setdefault(text, set()).add(span)


def occurrences(text: str, whole: str) -> list[Span]:
    """Where `text` stands in `whole`, left to right: as whole words, or anywhere if it never does.

    Any run of blanks equals any other; case counts.
    """
    found = list(_find(text, whole))
    if not found and any(blank.isspace() for blank in text):
        loose = r"\s+".join(re.escape(word) for word in text.split())
        found = [match.span() for match in re.finditer(loose, whole)]
    return [span for span in found if _is_whole(span, whole)] or found


def _find(text: str, whole: str) -> Iterator[Span]:
    start = whole.find(text)
    while start >= 0:
        yield start, start + len(text)
        start = whole.find(text, start + 1)


def _is_whole(span: Span, whole: str) -> bool:
    """Whether neither end cuts a word in two."""
    return not any(_is_word(whole[edge - 1 : edge]) and _is_word(whole[edge : edge + 1]) for edge in span)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
