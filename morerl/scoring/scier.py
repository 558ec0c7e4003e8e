"""The protocol of SciER (Zhang et al., EMNLP 2024), of the DyGIE++ and PURE lineage: micro F1 over spans.

Source: the evaluation of https://github.com/edzq/SciER as the r2grpo note describes it (section 4), written anew.
ner: span and type agree. rel: the ordered pair of spans and the label agree, whatever their types. rel_plus: the
argument types agree as well. Directed for every label; doubles count once. Beside the official figures: string_
compares sets of strings, as LLM papers do; relaxed_ lets the guideline's symmetric labels stand in either order.
An answer that could not be parsed gives nothing: it misses all of gold, and is counted as unparseable.
"""

from __future__ import annotations

from collections.abc import Iterator

from morerl.schema import Extraction, Sample
from morerl.scoring import spans
from morerl.scoring.counts import Counts, Rates, Row
from morerl.task import TaskSpec

PRIMARY = "rel_f1"
NAMES = ("ner", "rel", "rel_plus", "string_ner", "string_rel", "string_rel_plus", "relaxed_rel", "relaxed_rel_plus")
PARTS = ("rel_f1", "ner_f1", "rel_plus_f1")  # what the best of several answers is chosen by, in this order


def row(sample: Sample, answer: Extraction | None, spec: TaskSpec) -> Row:
    """One answer as counts: parsed, exact, then right, given, gold of each of NAMES."""
    given, gold = answer or spans.EMPTY, spans.gold_of(sample, spec)
    placed, gold_placed = spans.links(given, by="place"), spans.links(gold, by="place")
    worded, gold_worded = spans.links(given, by="words"), spans.links(gold, by="words")
    symmetric = {label.name for label in spec.labels if label.symmetric}
    relaxed, gold_relaxed = spans.both_ways(placed, symmetric), spans.both_ways(gold_placed, symmetric)
    parts = (
        spans.part(spans.entity_spans(given), spans.entity_spans(gold)),
        spans.part(set(placed), set(gold_placed)),
        spans.strict(placed, gold_placed),
        spans.part(spans.entity_strings(given), spans.entity_strings(gold)),
        spans.part(set(worded), set(gold_worded)),
        spans.strict(worded, gold_worded),
        spans.part(set(relaxed), set(gold_relaxed)),
        spans.strict(relaxed, gold_relaxed),
    )
    return spans.row(parts, answer, exact=(0, 2))


def figures(summed: Counts, spec: TaskSpec) -> dict[str, Rates]:
    """Every figure in per cent, from summed rows [..., width + 1] to values [...]."""
    return spans.figures(summed, [f"{name}_" for name in NAMES])


def quality(row: Row) -> tuple[float, ...]:
    """The sample's own F1 of each of PARTS, 0 to 1."""
    ner, rel, rel_plus, *_ = spans.qualities(row)
    return rel, ner, rel_plus


def events(sample: Sample, answer: Extraction | None, spec: TaskSpec) -> Iterator[tuple[str, ...]]:
    """What the tables by label, of confusions (relations between the same two spans) and of errors count."""
    given, gold = answer or spans.EMPTY, spans.gold_of(sample, spec)
    yield from spans.tally(spans.entity_spans(given), spans.entity_spans(gold))
    placed, gold_placed = spans.links(given, by="place"), spans.links(gold, by="place")
    yield from spans.tally(placed, gold_placed)
    yield from spans.confusions(placed, gold_placed)
    if answer is None:
        yield from (("errors", "unparseable") for _ in gold_placed or [None])
    else:
        yield from (("errors", name) for name in errors(placed, gold_placed))


def errors(given: spans.Links, gold: spans.Links) -> Iterator[str]:
    """One name for every gold relation, and "spurious" for every given one that explains none.

    In this order, each given relation used once: right (types too), wrong_type (of an argument), wrong_direction,
    wrong_label, wrong_boundary (label right, both arguments overlap), missed.
    """
    unused = dict(sorted(given.items(), key=str))
    waiting = dict(sorted(gold.items(), key=str))
    for name, fits in _FITS.items():
        for key, types in list(waiting.items()):
            match = next((other for other in unused if fits(key, types, other, unused[other])), None)
            if match is not None:
                del unused[match], waiting[key]
                yield name
    yield from ("missed" for _ in waiting)
    yield from ("spurious" for _ in unused)


def _overlap(one: spans.Key, other: spans.Key) -> bool:
    if "nowhere" in (one[0], other[0]):
        return False
    return one[0] < other[1] and other[0] < one[1]


_FITS = {
    "right": lambda key, types, other, theirs: key == other and spans.typed(types, theirs),
    "wrong_type": lambda key, types, other, theirs: key == other,
    "wrong_direction": lambda key, types, other, theirs: (key[1], key[0], key[2]) == other,
    "wrong_label": lambda key, types, other, theirs: key[:2] == other[:2],
    "wrong_boundary": lambda key, types, other, theirs: (
        key[2] == other[2] and _overlap(key[0], other[0]) and _overlap(key[1], other[1])
    ),
}
