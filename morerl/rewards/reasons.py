"""Do the reasons bear the answer? Quoted evidence, and the decision that the reasoning states; both can be checked.

After R2GRPO's relevance and rule (Li et al. 2025, arXiv 2505.22068) as this project makes them verifiable: what is
judged are the relations the model itself answers, never gold's, and no keyword counts. A preset lets them count only
where a relation is right. Left out on purpose: the released code's points for connectives and list marks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

from morerl.prompts.place import Span, occurrences
from morerl.rewards.case import Case
from morerl.schema import Entity, Extraction, Relation

QUOTES = 200  # different quotes that are looked at
PLACES = 1000  # of theirs, likewise
SLACK = 40  # characters that a quote may go beyond the two arguments
WAYS = 4  # of cutting the reasoning into pieces
_SENTENCE = re.compile(r"(?<=[.;!?])\s+")


def relevance(case: Case) -> float:
    """Share, 0 to 1, of the answered relations that a quote of the text bears out; 1 where none is answered.

    The quote must stand in the text, hold all between the two arguments (so it joins them or covers both) and at most
    SLACK characters beyond them: the whole of a long sentence is no evidence. 0 for what cannot be parsed.
    """
    if case.given is None:
        return 0.0
    if not case.given.relations:
        return 1.0
    text, entities = case.sample.text, {one.id: one for one in case.given.entities}
    asked = Counter((one.head, one.tail) for one in case.given.relations)
    wanted = {pair: _wanted(entities.get(pair[0]), entities.get(pair[1]), text) for pair in asked}
    least = min((len("".join(text[one.first : one.last].split())) for one in wanted.values() if one), default=0)
    quoted = _quoted(case, least)
    borne = sum(times for pair, times in asked.items() if (one := wanted[pair]) and _bears(one, quoted))
    return borne / len(case.given.relations)


class Wanted(NamedTuple):
    """What a quote must hold, from first to last, and from where to where the two arguments reach."""

    first: int
    last: int
    start: int
    end: int


def _wanted(head: Entity | None, tail: Entity | None, text: str) -> Wanted | None:
    """None for arguments that stand nowhere."""
    if head is None or tail is None or head.start is None or tail.start is None:
        return None
    (start, left), (right, end) = sorted([(head.start, head.end or 0), (tail.start, tail.end or 0)])
    between = text[left:right]
    if between.strip():
        first, last = left + len(between) - len(between.lstrip()), left + len(between.rstrip())
    else:  # side by side or one in the other: a quote must touch both
        first, last = min(left, right) - 1, max(left, right) + 1
    return Wanted(first, last, start, max(left, end))


def _bears(one: Wanted, quoted: list[Span]) -> bool:
    return any(
        begin <= one.first and one.last <= stop and max(0, one.start - begin) + max(0, stop - one.end) <= SLACK
        for begin, stop in quoted
    )


def _quoted(case: Case, least: int) -> list[Span]:
    """Where the first QUOTES different quotes of the reasoning of at least so many signs stand in the text."""
    text, found = case.sample.text, dict.fromkeys(quote.words for quote in case.quotes)
    quotes = (quote for quote in found if least <= len(quote) <= len(text) and any(map(str.isalnum, quote)))
    spans = (span for quote in islice(quotes, QUOTES) for span in _places(quote, text))
    return list(islice(spans, PLACES))


def _places(quote: str, text: str) -> Iterator[Span]:
    if quote not in text:  # perhaps its blanks are others
        yield from occurrences(quote, text)
        return
    start = text.find(quote)
    while start >= 0:
        yield start, start + len(quote)
        start = text.find(quote, start + 1)


def rule(case: Case) -> float:
    """Share of the answered relations that the reasoning states so, less 0.1 for each that breaks the signatures.

    0 to 1; 1 where none is answered; 0 for what cannot be parsed. Stated: of the sentences (else the lines) of the
    reasoning that name both arguments and any label of the guideline, the last one names the answered label last. An
    argument within a longer quote counts only where none is named outside one: evidence names its neighbours too.
    """
    if case.given is None:
        return 0.0
    if not case.given.relations:
        return 1.0
    types = {one.id: one.type for one in case.given.entities}
    broken = sum(
        one.label not in case.allowed(types.get(one.head), types.get(one.tail)) for one in case.given.relations
    )
    return max(0.0, _stated(case, case.given) - 0.1 * broken)


def _stated(case: Case, given: Extraction) -> float:
    """Share of the relations that are the reasoning's own decision."""
    texts = {one.id: one.text for one in given.entities}
    ways = _ways(case, {*texts.values()})
    naming = cache(lambda way, name: {n for n, (piece, _) in enumerate(ways(way)) if name in piece})

    def decided(one: Relation) -> bool:
        head, tail = texts.get(one.head, ""), texts.get(one.tail, "")
        if not (head and tail):
            return False
        for way in range(WAYS):
            if both := naming(way, head) & naming(way, tail):
                return ways(way)[max(both)][1] == one.label
        return False

    return sum(map(decided, given.relations)) / len(given.relations)


def _ways(case: Case, texts: set[str]) -> Callable[[int], list[tuple[str, str]]]:
    """The pieces that name a label, by number: sentences and lines without quotes, sentences and lines with them."""
    think = case.parsed.think
    low = think.casefold()
    names = {name.casefold(): label.name for label in case.spec.labels for name in (label.name, *label.aliases)}
    said = {name: label for name, label in names.items() if name in low}
    bare = cache(lambda: _unquoted(case, texts))

    def pieces(way: int) -> list[tuple[str, str]]:
        lines = (bare() if way < 2 else think).splitlines()
        return _deciding(lines if way % 2 else [piece for line in lines for piece in _SENTENCE.split(line)], said)

    return cache(pieces)


def _unquoted(case: Case, texts: set[str]) -> str:
    """The reasoning without its quotes, but for those that are one of the texts."""
    pieces, reached = [], 0
    for start, end in sorted((quote.start, quote.end) for quote in case.quotes if quote.words not in texts):
        pieces.append(case.parsed.think[reached:start])
        reached = max(reached, end)
    return " ".join([*pieces, case.parsed.think[reached:]])


def _deciding(pieces: list[str], labels: dict[str, str]) -> list[tuple[str, str]]:
    """The pieces that name a label, each with the label it names last; of names that end alike the longer."""
    found = []
    for piece in pieces:
        low = piece.casefold()
        named = [(low.rindex(name) + len(name), len(name), label) for name, label in labels.items() if name in low]
        if named:
            found.append((piece, max(named)[2]))
    return found
