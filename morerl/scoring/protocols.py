"""The protocols by name: how an answer becomes a row of counts, and rows become figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from morerl.errors import ConfigError
from morerl.schema import Extraction, Sample, TaskSpec
from morerl.scoring import more, ner, pairs, r1_re, scier, sem2010, spans
from morerl.scoring.counts import Counts, Rates, Row

Given = str | Extraction | None
PerLabel = dict[str, dict[str, float]]


class Protocol(NamedTuple):
    """How one family of corpora is scored. An answer of None could not be parsed."""

    primary: str
    parts: tuple[str, ...]  # figures that intervals, Best@K and Avg@K are given for
    row: Callable[[Sample, Given, TaskSpec], Row]
    sums: Callable[[Counts, Counts, TaskSpec], Counts]
    figures: Callable[[Counts, TaskSpec], dict[str, Rates]]
    quality: Callable[[Row], tuple[float, ...]]  # of one answer, by which the best of K is chosen
    right: Callable[[Row], bool]  # all of it
    events: Callable[[Sample, Given, TaskSpec], Iterator[tuple[str, ...]]]
    per_label: Callable[[Counts, TaskSpec], PerLabel] | None = None  # None: from the events
    grouped: bool = False  # also by number of entities and objects
    skips_none: bool = False  # samples without a relation are left out


def _of_pairs(module: Any, primary: str, parts: tuple[str, ...], **options: Any) -> Protocol:
    judged = (pairs.quality, pairs.right, pairs.events)
    return Protocol(primary, parts, pairs.row, pairs.table, module.figures, *judged, **options)


def _of_spans(module: Any, primary: str, parts: tuple[str, ...] = ()) -> Protocol:
    judged = (module.quality, spans.right, module.events)
    return Protocol(primary, parts or module.PARTS, module.row, spans.sums, module.figures, *judged)


PROTOCOLS = {
    "more": _of_pairs(more, more.PRIMARY, (more.PRIMARY, "accuracy"), per_label=more.per_label, grouped=True),
    "sem2010": _of_pairs(sem2010, sem2010.PRIMARY, (sem2010.PRIMARY, "accuracy"), per_label=sem2010.per_label),
    "r1_re": _of_pairs(r1_re, r1_re.PRIMARY, (r1_re.PRIMARY,), per_label=more.per_label, skips_none=True),
    "scier": _of_spans(scier, scier.PRIMARY),
    "ner": _of_spans(ner, ner.PRIMARY),
    "ner_blog": _of_spans(ner, "blog_f1", ("blog_f1",)),
}
PAIRED = frozenset(name for name, one in PROTOCOLS.items() if one.row is pairs.row)


BY_TASK = {"pair": "more", "extract": "scier", "entities": "ner"}


def protocol(name: str) -> Protocol:
    """The protocol of that name. Raises ConfigError, naming the known ones."""
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol is called {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
