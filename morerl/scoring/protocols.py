"""The protocols by name: how an answer becomes a row of counts, and rows become figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from morerl.errors import ConfigError
from morerl.schema import Extraction, Sample, Task
from morerl.scoring import more, ner, pairs, r1_re, scier, sem2010, spans
from morerl.scoring.counts import Counts, Rates, Row
from morerl.task import TaskSpec

Given = str | Extraction | None
Quality = Callable[[Row], tuple[float, ...]]
PerLabel = dict[str, dict[str, float]]


class Protocol(NamedTuple):
    """How one family of corpora is scored. An answer of None could not be parsed."""

    about: str  # what it counts, and its source
    primary: str
    parts: tuple[str, ...]  # figures that intervals, Best@K and Avg@K are given for
    row: Callable[[Sample, Given, TaskSpec], Row]
    sums: Callable[[Counts, Counts, TaskSpec], Counts]
    figures: Callable[[Counts, TaskSpec], dict[str, Rates]]
    quality: Quality  # of one answer, by which the best of K is chosen
    right: Callable[[Row], bool]  # all of it
    events: Callable[[Sample, Given, TaskSpec], Iterator[tuple[str, ...]]]
    per_label: Callable[[Counts, TaskSpec], PerLabel] | None = None  # None: from the events
    tasks: tuple[Task, ...] = ("pair",)  # what it scores
    grouped: bool = False  # also by number of entities and objects
    skips_none: bool = False  # samples without a relation are left out


def _of_pairs(about: str, module: Any, parts: tuple[str, ...] = (), **options: Any) -> Protocol:
    judged = (pairs.quality, pairs.right, pairs.events)
    parts = (module.PRIMARY, *parts)
    return Protocol(about, module.PRIMARY, parts, pairs.row, pairs.table, module.figures, *judged, **options)


def _of_spans(about: str, module: Any, parts: tuple[str, ...], tasks: tuple[Task, ...], quality: Quality) -> Protocol:
    judged = (quality, spans.right, module.events)
    return Protocol(about, parts[0], parts, module.row, spans.sums, module.figures, *judged, tasks=tasks)


PROTOCOLS = {
    "more": _of_pairs(
        "micro precision, recall and F1 without the negative label; an unparseable answer is a relation that is never "
        "right (evaluation of https://github.com/NJUNLP/MORE; He et al. 2023)",
        more,
        ("accuracy",),
        per_label=more.per_label,
        grouped=True,
    ),
    "sem2010": _of_pairs(
        "official (9+1)-way macro-F1 with direction, scorer v1.2; an unparseable answer is Other, and wrong "
        "for accuracy (SemEval-2010 Task 8, Hendrickx et al. 2010)",
        sem2010,
        ("accuracy",),
        per_label=sem2010.per_label,
    ),
    "r1_re": _of_pairs(
        "accuracy (Avg@K and Pass@K) of the samples whose gold is a relation; not comparable with the official "
        "macro-F1 (R1-RE, Dai et al. 2025)",
        r1_re,
        per_label=more.per_label,
        skips_none=True,
    ),
    "scier": _of_spans(
        "micro F1 over spans, directed, doubles once: entities (ner), relations (rel), relations with argument types "
        "(rel_plus); string_ over sets of strings, relaxed_ with symmetric labels in either order "
        "(SciER, Zhang et al. 2024)",
        scier,
        scier.PARTS,
        ("extract",),
        scier.quality,
    ),
    "ner": _of_spans(
        "micro F1 over mentions as conlleval counts; strict_ as IOB2 tags, blog_ over sets of strings by type "
        "(CoNLL-2003, Tjong Kim Sang & De Meulder 2003)",
        ner,
        ("f1",),
        ("entities", "extract"),
        ner.quality,
    ),
    "ner_blog": _of_spans(
        "micro F1 over sets of strings by type, on every (sentence, type); blog_possible_f1 only where gold has "
        "the type, not comparable with mention F1 (Reinforcement Learning Meets NER, Adewuyi 2025)",
        ner,
        ("blog_f1",),
        ("entities", "extract"),
        ner.blog_quality,
    ),
}
PAIRED = frozenset(name for name, one in PROTOCOLS.items() if one.row is pairs.row)
BY_TASK = {"pair": "more", "extract": "scier", "entities": "ner"}


def protocol(name: str) -> Protocol:
    """The protocol of that name. Raises ConfigError, naming the known ones."""
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol is called {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
