"""Long texts in overlapping windows that begin and end between sentences where they can.

The overlap is there for what stands at an edge; relations are found within a window.
"""

from __future__ import annotations

from collections.abc import Callable

Window = tuple[int, int]
_ENDS = frozenset(".!?…。！？؟۔।")
_CLOSING = frozenset("\"'”’»)]")


def windows(text: str, size: int) -> list[Window]:
    """Half-open (start, end) in order, each at most `size` characters and overlapping the next by about a tenth.

    One window for a text that fits. `size` is at least 20.
    """
    out, start = [], 0
    while len(text) - start > size:
        end = _last(text, start + size // 2, start + size)
        out.append((start, end))
        start = _first(text, end - size // 10, end)
    return [*out, (start, len(text))]


def _last(text: str, low: int, high: int) -> int:
    """The best place to end in (low, high]: the last end of a paragraph, else of a sentence, a line, a word."""
    for is_end in (_paragraph, _sentence, _line, _word):
        found = next((place for place in range(high, low, -1) if is_end(text, place)), None)
        if found is not None:
            return found
    return high


def _first(text: str, low: int, end: int) -> int:
    """Where the window behind one that ends at `end` begins, in [low, end): with a sentence, else with a word."""
    tests: tuple[Callable[[str, int], bool], ...] = (_sentence, _word)
    found = (next((place for place in range(low, end) if is_end(text, place)), None) for is_end in tests)
    return next((place for place in found if place is not None), low)


def _paragraph(text: str, place: int) -> bool:
    return text.endswith("\n\n", 0, place) or text.endswith("\n\r\n", 0, place)


def _sentence(text: str, place: int) -> bool:
    """Whether a sentence ends in front of the blank before `place`, or of `place` where the script has no blanks."""
    last = text[max(place - 4, 0) : place].rstrip()
    while last and last[-1] in _CLOSING:
        last = last[:-1]
    full = bool(last) and last[-1] in _ENDS
    return full and (text[place - 1].isspace() or last[-1] in "。！？")


def _line(text: str, place: int) -> bool:
    return text[place - 1] == "\n"


def _word(text: str, place: int) -> bool:
    return text[place - 1].isspace()
