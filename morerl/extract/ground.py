"""What a model wrote, found in the text though not to the letter: case, blanks, quotes and dashes may differ.

The parser (morerl.prompts.place) finds strings as the scorers need them, where case counts; this is the second look.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Sequence
from functools import lru_cache

from morerl.prompts.place import MARKS, Span, find, is_whole

_SAME = {ord(c): "'" for c in "‘’‚‛´`′"} | {ord(c): '"' for c in "“”„‟«»″"} | {ord(c): "-" for c in "‐‑‒–—―−"}


def loose(written: str, text: str, taken: Container[Span] = ()) -> Span | None:
    """The first place of `written` in `text` that is not taken, case, blanks and look-alikes aside; None: nowhere."""
    needle = plain(written)[0].strip()
    if not needle:
        return None
    whole, origin = plain(text)
    ends = [(start, _marked(whole, end)) for start, end in find(needle, whole)]
    every = [span for span in ends if not any(_inside(edge, origin) for edge in span)]
    spans = [span for span in every if is_whole(span, whole)] or every
    places = ((origin[start], origin[end - 1] + 1) for start, end in spans)
    return next((span for span in places if span not in taken), None)


def _inside(edge: int, origin: Sequence[int]) -> bool:
    """Whether a character of the text would be cut in two: a fraction, a syllable of Hangul."""
    return 0 < edge < len(origin) and origin[edge - 1] == origin[edge]


def _marked(whole: str, end: int) -> int:
    """The end with the accents that belong to its last letter."""
    most = min(len(whole), end + MARKS)
    while end < most and unicodedata.combining(whole[end]):
        end += 1
    return end


@lru_cache(maxsize=8)  # one window is searched for many strings
def plain(text: str) -> tuple[str, list[int]]:
    """The text without what does not count, and for each of its characters the one in `text` that it comes from."""
    out: list[str] = []
    origin: list[int] = []
    for place, character in enumerate(text):
        for one in _folded(character):
            if one == " " and out and out[-1] == " ":
                continue
            out.append(one)
            origin.append(place)
    return "".join(out), origin


def _folded(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character) == "Cf":  # soft hyphens, joiners, marks of direction
        return ""
    return unicodedata.normalize("NFKD", character.translate(_SAME)).casefold().translate(_SAME)
