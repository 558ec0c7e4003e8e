"""The parts by name: what each is worth, between which bounds, and for which tasks."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from morerl.rewards import found, pairs, papers, reasons, shared
from morerl.rewards.case import Case, Terms
from morerl.schema import Sample, Task
from morerl.task import TaskSpec

ALL: tuple[Task, ...] = ("pair", "extract", "entities")
EXTRACTIONS: tuple[Task, ...] = ("extract", "entities")


class Part(NamedTuple):
    """One part of a reward: its function, its bounds (inclusive), the tasks it applies to, whether it looks at gold."""

    value: Callable[[Case], float]
    low: float
    high: float
    tasks: tuple[Task, ...] = ALL
    gold: bool = False


REWARDS: dict[str, Part] = {
    "format": Part(shared.format_, 0.0, 1.0),
    "length": Part(pairs.length, 0.0, 1.0),
    "answer": Part(shared.answer, 0.0, 1.0, gold=True),
    "schema": Part(shared.schema, 0.0, 1.0),
    "coherent": Part(shared.coherent, 0.0, 1.0),
    "overlong": Part(shared.overlong, -1.0, 0.0),
    "repetition": Part(shared.repetition, -1.0, 0.0),
    "r1_format": Part(pairs.r1_format, -3.0, 1.0),
    "r1_label": Part(pairs.r1_label, -1.5, 2.0, gold=True),
    "ner_f1": Part(found.ner_f1, 0.0, 1.0, EXTRACTIONS, gold=True),
    "ner_grounded": Part(found.ner_grounded, 0.0, 1.0, EXTRACTIONS, gold=True),
    "ner_items": Part(found.ner_items, -0.5 * found.ITEMS, 0.5 * found.ITEMS, EXTRACTIONS, gold=True),
    "boundary": Part(found.boundary, 0.0, 1.0, EXTRACTIONS, gold=True),
    "rel_f1": Part(found.rel_f1, 0.0, 1.0, ("extract",), gold=True),
    "relevance": Part(reasons.relevance, 0.0, 1.0, ("extract",)),
    "rule": Part(reasons.rule, 0.0, 1.0, ("extract",)),
    "length_paper": Part(papers.length_paper, 0.0, 1.0),
    "r1_format_paper": Part(papers.r1_format_paper, -3.0, 1.0, ("pair",)),
    "r1_label_paper": Part(papers.r1_label_paper, -1.5, 2.0, ("pair",), gold=True),
    "r2_format_paper": Part(papers.r2_format_paper, 0.0, 0.5, EXTRACTIONS),
    "r2_ner_paper": Part(papers.r2_ner_paper, 0.0, 1.0, EXTRACTIONS, gold=True),
    "r2_rel_paper": Part(papers.r2_rel_paper, 0.0, 2.0, ("extract",), gold=True),
    "r2_reasons_paper": Part(papers.r2_reasons_paper, 0.0, 1.3 * papers.SCALE, ("extract",)),
    "ner_format_paper": Part(papers.ner_format_paper, 0.0, 0.5, EXTRACTIONS),
    "ner_exact_paper": Part(papers.ner_exact_paper, 0.0, 2.0, EXTRACTIONS, gold=True),
    "ner_found_paper": Part(papers.ner_found_paper, 0.0, inf, EXTRACTIONS, gold=True),
    "ner_wrong_paper": Part(papers.ner_wrong_paper, -inf, 0.0, EXTRACTIONS, gold=True),
}


def reward(name: str, completion: str, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """One named part of one completion, no gate applied. Never raises on any text."""
    return REWARDS[name].value(Case(completion=completion, sample=sample, spec=spec, terms=terms))
