"""What a chain puts between quotation marks, and whether the sample's text holds it.

Marks read: “…”, "…", ‘…’ and '…'; apostrophes and possessives open nothing. Only whole words are compared: blanks,
case, punctuation, underscores and marks inside do not count, for corpora differ in their tokens and models in theirs.
A word that the chain says the text lacks ("no verb such as 'put'") is no quote. Left out: paraphrase without marks,
which no string comparison can judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from morerl.schema import Sample
from morerl.task import Label, TaskSpec

# each stops at the next mark that could open another, so that many marks cost no more than the length
CURLY = re.compile("“([^“”]*)”")
# the mark itself comes first, what may not stand before it second: so the search leaps from mark to mark
STRAIGHT = (
    re.compile(r'"(?<!\w")(?=\S)([^"\n]*)(?<=\S)"(?!\w)'),
    re.compile(r"‘(?=\S)((?:[^‘’\n]|’(?=\w))*)’(?!\w)"),
    re.compile(
        r"'(?<!\w')(?!\s|\d\ds\b|n'|(?:tis|twas|til|em|s|re|ve|ll|d|m|t)\b)"
        r"((?:[^'\n]|(?<=\w)'(?=\w))*)(?<=\S)'(?!\w)"
    ),
)
TAGS = re.compile(r"</?e[12]>")
ELLIPSIS = re.compile(r"\.\.\.|…")
WORD = re.compile(r"[^\W_]+")
NEAR = 80  # characters before and after a quote that are looked at
LACKED = re.compile(
    r"\b(?:no|not(?! only)|nor|neither|never|nothing|nowhere|without|lack\w*|absen\w*|missing|instead of|rather than|"
    r"unlike|would (?:be|need|require|ask|have|take|say|call))\b|n['’]t\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"[.;:!?\n]")
OF_THE_TEXT = re.compile(
    r"\bthe (?:news )?(?:title|text|headline)\b(?! (?:on|in|at|of|over|across|behind)\b)", re.IGNORECASE
)
IN_THE_PICTURE = re.compile(
    r"\b(?:signs?|banner|screen|shirt|jersey|logo|board|poster|placard|overlay|visible|printed|written|painted)\b",
    re.IGNORECASE,
)


class Quote(NamedTuple):
    """What stands between two marks, and from where to where in the chain, marks included."""

    words: str
    start: int
    end: int


def without_quotes_of(text: str, chain: str) -> str:
    """The chain without what it quotes from the text: that may well speak of labels and answers."""
    flat = squeeze(text)
    stands = cache(lambda words: _stands(words, flat))  # a hostile chain says the same thousands of times
    for pattern in (CURLY, *STRAIGHT):
        chain = pattern.sub(lambda quote: "" if stands(quote[1]) else quote[0], chain)
    return chain


def unsupported(chain: str, sample: Sample, spec: TaskSpec, *, seen: str = "", straight: bool = True) -> str | None:
    """The first quote of the chain that neither the text holds nor anything excuses, or None.

    Excused: names of labels and types, words of the guideline, and what the part `seen` (the steps about the picture)
    quotes already; what that part quotes as of the title or text is judged too. Without `straight` only “…” is judged.
    """
    told = [quote for quote in quotes(seen) if _of_the_text(quote, seen)] if OF_THE_TEXT.search(seen) else []
    excused = _names(spec.answers, tuple(spec.types), tuple(name for label in spec.labels for name in label.aliases))
    excused = excused | {squeeze(quote.words) for quote in set(quotes(seen)) - set(told)}
    judged = [(quote, seen) for quote in told] + [(quote, chain) for quote in quotes(chain, straight=straight)]
    missing = {words for words in {quote.words for quote, _ in judged} if squeeze(words) not in excused}
    for text in (lambda: sample.text, lambda: "\n".join(_guideline(spec))):
        # the guideline is long, and seldom needed
        flat = squeeze(text()) if missing else ""
        missing = {words for words in missing if not _stands(words, flat)}
    return next((quote.words for quote, part in judged if quote.words in missing and not _lacked(quote, part)), None)


def held(chain: str, text: str) -> int:
    """How many different quotes of the chain the text holds."""
    flat = squeeze(text)
    return len({squeeze(words) for words in {quote.words for quote in quotes(chain)} if _stands(words, flat)} - {"  "})


def quotes(chain: str, *, straight: bool = True) -> Iterator[Quote]:
    """All that stands between quotation marks, kind by kind; what is inside another quote is passed over."""
    for pattern in (CURLY, *STRAIGHT) if straight else (CURLY,):
        yield from (Quote(match[1], *match.span()) for match in pattern.finditer(chain))
        # as long as it was, so that places stay what they are
        chain = pattern.sub(lambda match: " " * len(match[0]), chain)


def _lacked(quote: Quote, chain: str) -> bool:
    return LACKED.search(_before(quote, chain)) is not None


def _of_the_text(quote: Quote, seen: str) -> bool:
    told = OF_THE_TEXT.search(_before(quote, seen))
    after = CLAUSE.split(seen[quote.end : quote.end + NEAR])[0]
    return told is not None and not IN_THE_PICTURE.search(told.string[told.start() :] + after)


def _before(quote: Quote, chain: str) -> str:
    """What stands before a quote in its clause."""
    return CLAUSE.split(chain[max(0, quote.start - NEAR) : quote.start])[-1]


def squeeze(passage: str) -> str:
    """A passage as it is compared: its words alone, without case, a blank around each."""
    return f" {' '.join(WORD.findall(passage.casefold()))} "


def _stands(quote: str, flat: str) -> bool:
    """Whether every part of a quote, between ellipses, is in the squeezed text, in their order."""
    position = 0
    for part in ELLIPSIS.split(TAGS.sub("", quote)):
        words = squeeze(part)
        if not words.strip():
            continue
        position = flat.find(words, position)
        if position < 0:
            return False
        position += len(words) - 1
    return True


@lru_cache(maxsize=16)
def _names(*groups: tuple[str, ...]) -> frozenset[str]:
    """Names as they are compared, each whole and by the last part of its path."""
    return frozenset(squeeze(part) for group in groups for name in group for part in (name, name.rpartition("/")[2]))


def _guideline(spec: TaskSpec) -> Iterator[str]:
    """What of the guideline a chain may quote; not its examples, which name all sorts of things."""
    yield from (spec.question, spec.direction or "", *spec.rules)
    for one in (*spec.labels, *spec.types.values()):
        yield from (one.name if isinstance(one, Label) else "", one.definition, *one.restrictions)
