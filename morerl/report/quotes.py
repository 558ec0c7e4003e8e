"""What a chain quotes, and whether it stands in the text: a reader's second look, apart from the gates.

Marked are “…”, "…", ‘…’ and '…' of at most LONGEST characters. Left out on purpose: any judgement. A quote that is
not in the text may be harmless (words read in the picture), so it is shown as what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from morerl.task import TaskSpec

LONGEST = 600  # bounds the time that a text full of opening quotes takes
QUOTE = re.compile(
    rf"“(?P<double>[^“”]{{1,{LONGEST}}})”"
    rf'|(?<!\w)"(?P<straight>[^"\n]{{1,{LONGEST}}})"(?!\w)'
    # an apostrophe between letters is no end of a quote
    rf"|(?<!\w)‘(?P<single>(?:[^‘’\n]|’(?=\w)){{1,{LONGEST}}})’(?!\w)"
    rf"|(?<!\w)'(?=\S)(?P<plain>(?:[^'\n]|(?<=\w)'(?=\w)){{1,{LONGEST}}})'(?!\w)"
)
ELLIPSIS = re.compile(r"\.\.\.|…")
WORD = re.compile(r"\w+")
ARGUMENT = re.compile(r"</?e[12]>")  # marks that a prompt puts around head and tail
MANY = 5  # letters that do not stand inside another word by chance

Pieces = list[tuple[str, str]]


class Text(NamedTuple):
    """A sample's text in the forms that quotes are looked up in: as it is, word by word, and without blanks."""

    whole: str
    words: str
    joined: str


def text_forms(text: str) -> Text:
    """A sample's text, made ready for `quoted`."""
    return Text(text, _line(_words(text)), "".join(_words(text)))


def quoted(reasoning: str, text: Text, guide: str) -> Pieces:
    """Reasoning cut into (piece, kind); the pieces join to it. `guide` is what `guide_words` gives.

    Kinds: found: a quote that stands in the text; guide: in the guideline; missing: in neither; "": no quote.
    """
    place, pieces = 0, []
    for match in QUOTE.finditer(reasoning):
        start, end = match.span(match.lastgroup or 0)
        pieces += [(reasoning[place:start], ""), (reasoning[start:end], _kind(reasoning[start:end], text, guide))]
        place = end
    return [piece for piece in [*pieces, (reasoning[place:], "")] if piece[0]]


def guide_words(spec: TaskSpec) -> str:
    """The guideline's names and definitions as one line of words, which a chain may quote too."""
    told = [spec.question, spec.direction or "", *spec.rules, *spec.types, *spec.answers]
    for one in (*spec.labels, *spec.types.values()):
        told += [one.definition, *one.restrictions, one.positive or "", one.near_miss or ""]
    told += [name for label in spec.labels for name in (label.name, *label.aliases)]
    return _line(_words(" ".join(told)))


def _kind(quote: str, text: Text, guide: str) -> str:
    parts = [words for part in ELLIPSIS.split(ARGUMENT.sub("", quote)) if (words := _words(part))]
    if _stand(parts, text) if parts else quote in text.whole:
        return "found"
    return "guide" if parts and all(_line(words) in guide for words in parts) else "missing"


def _stand(parts: list[list[str]], text: Text) -> bool:
    """Whether a quote's parts, as words, stand in the text in their order.

    Whole words, so that `art` is not found in `party`; what is too long for such a chance, or of a script without
    blanks, may also stand there with other blanks, for corpora cut their words in their own ways.
    """
    joined = ["".join(words) for words in parts]
    by_chance = any(len(part) < MANY and part.isascii() for part in joined)
    return _in_order(map(_line, parts), text.words) or (not by_chance and _in_order(joined, text.joined))


def _in_order(parts: Iterable[str], whole: str) -> bool:
    place = 0
    for part in parts:
        found = whole.find(part, place)
        if found < 0:
            return False
        place = found + len(part) - part.endswith(" ")  # neighbouring words share a blank
    return True


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _line(words: list[str]) -> str:
    return f" {' '.join(words)} "
