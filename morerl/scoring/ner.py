"""Named entities: micro F1 over mentions as conlleval counts, and the readings of it that papers report.

Without prefix: start, end and type of a mention agree (Tjong Kim Sang & De Meulder 2003). strict_: what IOB2 tags can
show, one a token: of entities that share a token the first listed stands, and one that cuts a token never does.
blog_: sets of strings by type over every (sentence, type); blog_possible_: only where gold holds the type, which
hides every false alarm elsewhere. Both after "Reinforcement Learning Meets NER" (I. Adewuyi, 2025), for comparison
with it alone. An answer that could not be parsed gives nothing: it misses all of gold, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from morerl.schema import Extraction, Sample
from morerl.scoring import spans
from morerl.scoring.counts import Counts, Rates, Row
from morerl.task import TaskSpec

PRIMARY = "f1"
NAMES = ("", "strict_", "blog_", "blog_possible_")
PARTS = ("f1",)


def row(sample: Sample, answer: Extraction | None, spec: TaskSpec) -> Row:
    """One answer as counts: parsed, exact, then right, given, gold of each of NAMES."""
    given, gold = answer or spans.EMPTY, spans.gold_of(sample, spec)
    strings, gold_strings = spans.entity_strings(given), spans.entity_strings(gold)
    possible = {entity.type for entity in gold.entities}
    parts = (
        spans.part(spans.entity_spans(given), spans.entity_spans(gold)),
        spans.part(_tagged(sample, given, "given"), _tagged(sample, gold, "gold")),
        spans.part(strings, gold_strings),
        spans.part({key for key in strings if key[1] in possible}, gold_strings),
    )
    return spans.row(parts, answer, exact=(0,))


def _tagged(sample: Sample, found: Extraction, side: str) -> set[spans.Key]:
    """The entities as IOB2 tags of blank-separated tokens show them; what tags cannot show is its side's alone."""
    text, taken, keys = sample.text, bytearray(len(sample.text)), set()
    for number, entity in enumerate(found.entities):
        start, end = (entity.start, entity.end) if entity.start is not None else (0, 0)
        cuts = [text[edge - 1 : edge + 1] for edge in (start, end) if 0 < edge < len(text)]
        key = (start, end, entity.type)
        if key in keys:
            continue
        if entity.start is None or any(not _parted(two) for two in cuts) or any(taken[start:end]):
            keys.add((side, number))
        else:
            keys.add(key)
            taken[start:end] = b"\x01" * (end - start)
    return keys


def _parted(two: str) -> bool:
    return two[0].isspace() or two[1].isspace()


def figures(summed: Counts, spec: TaskSpec) -> dict[str, Rates]:
    """Every figure in per cent, from summed rows [..., width + 1] to values [...]."""
    return spans.figures(summed, NAMES)


def quality(row: Row) -> tuple[float, ...]:
    """The sample's own F1, 0 to 1."""
    return spans.qualities(row)[:1]


def blog_quality(row: Row) -> tuple[float, ...]:
    """The same by sets of strings."""
    return spans.qualities(row)[2:3]


def events(sample: Sample, answer: Extraction | None, spec: TaskSpec) -> Iterator[tuple[str, ...]]:
    """What the tables by type and of confusions (types of the same span) count."""
    given, gold = spans.entity_spans(answer or spans.EMPTY), spans.entity_spans(spans.gold_of(sample, spec))
    yield from spans.tally(given, gold)
    yield from spans.confusions(given, gold)


def macro(per_label: dict[str, dict[str, float]]) -> float:
    """Plain mean of F1 over the types that gold holds, per cent: for corpora of many types (CrossNER)."""
    held = [values["f1"] for values in per_label.values() if values["gold"]]
    return float(np.mean(held)) if held else 0.0
