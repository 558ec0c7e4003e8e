"""What a chain puts between quotation marks, and whether the sample's text holds it.

Marks read: “…”, "…", ‘…’ and '…'; apostrophes and possessives open nothing. Only whole words are compared: blanks,
case, punctuation and marks inside do not count, for corpora differ in their tokens and models in theirs. Left out:
paraphrase without marks, which no string comparison can judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

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
WORD = re.compile(r"\w+")


def without_quotes_of(text: str, chain: str) -> str:
    """The chain without what it quotes from the text: that may well speak of labels and answers."""
    flat = squeeze(text)
    for pattern in (CURLY, *STRAIGHT):
        chain = pattern.sub(lambda quote: "" if _stands(quote[1], flat) else quote[0], chain)
    return chain


def unsupported(chain: str, sample: Sample, spec: TaskSpec, *, seen: str = "", straight: bool = True) -> str | None:
    """The first quote of the chain that neither the text holds nor anything excuses, or None.

    Excused: names of labels and types, words of the guideline, and what the part `seen` (the steps about the picture)
    quotes already. Without `straight` only “…” is judged.
    """
    excused = _names(spec.answers, tuple(spec.types), tuple(name for label in spec.labels for name in label.aliases))
    excused = excused | {squeeze(quote) for quote in quotes(seen)}
    missing = [quote for quote in quotes(chain, straight=straight) if squeeze(quote) not in excused]
    for told in (lambda: sample.text, lambda: "\n".join(_guideline(spec))):
        # the guideline is long, and seldom needed
        flat = squeeze(told()) if missing else ""
        missing = [quote for quote in missing if not _stands(quote, flat)]
    return next(iter(missing), None)


def quotes(chain: str, *, straight: bool = True) -> list[str]:
    """All that stands between quotation marks, once each, kind by kind; what is inside another quote is passed over."""
    found: dict[str, None] = {}
    for pattern in (CURLY, *STRAIGHT) if straight else (CURLY,):
        found |= dict.fromkeys(pattern.findall(chain))
        chain = pattern.sub(" ", chain)
    return list(found)


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
