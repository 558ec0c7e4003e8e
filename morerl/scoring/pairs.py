"""What the protocols of `pair` questions share: one answer is one cell of a table of gold against given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from morerl.errors import DataError
from morerl.schema import Extraction, Sample, label
from morerl.scoring.counts import Counts, Row, product
from morerl.task import DIRECTIONS, TaskSpec, fold

UNPARSEABLE = "(unparseable)"
ERRORS = ("right", "right_none", "wrong_direction", "wrong_label", "missed", "spurious", "unparseable")
KINDS = (UNPARSEABLE, *ERRORS)  # what events are named beside labels
Given = str | Extraction | None


def row(sample: Sample, answer: Given, spec: TaskSpec) -> Row:
    """(number of the gold answer, number of the given one), in guideline order; the last one: unparseable.

    Raises DataError for a gold label or an answer that the guideline does not know.
    """
    answers = spec.answers
    if answer is not None and answer not in answers:
        raise DataError(f"{sample.id}: {answer!r} is no answer of {spec.corpus} (unparseable: None)")
    return answers.index(gold_label(sample, spec)), len(answers) if answer is None else answers.index(answer)


def gold_label(sample: Sample, spec: TaskSpec) -> str:
    """The gold answer in the guideline's spelling. Raises DataError for a label that is no answer of the task."""
    gold = spec.spellings.get(fold(label(sample)))
    if gold is None:
        raise DataError(f"{sample.id}: the gold label {label(sample)!r} is no answer of {spec.corpus}")
    return gold


def table(rows: Counts, times: Counts, spec: TaskSpec) -> Counts:
    """[..., answers, answers + 1] from `times` [..., unlike], how often each of `rows` [unlike, 2] occurs."""
    side = len(spec.answers)
    cells, place = np.unique(rows[:, 0] * (side + 1) + rows[:, 1], return_inverse=True)
    tables = np.zeros((*times.shape[:-1], side * (side + 1)), dtype=np.int64)
    tables[..., cells] = product(times, np.eye(len(cells), dtype=np.int64)[place.ravel()])
    return tables.reshape(*times.shape[:-1], side, side + 1)


def hits(table: Counts) -> Counts:
    """Right answers of each class: [..., classes, classes or more] -> [..., classes]."""
    return np.diagonal(table, axis1=-2, axis2=-1)


def quality(row: Row) -> tuple[float, ...]:
    """(1,) if the answer is right, else (0,): what the best of several is chosen by."""
    return (float(row[0] == row[1]),)


def right(row: Row) -> bool:
    """Whether the answer is the gold one."""
    return row[0] == row[1]


def events(sample: Sample, answer: Given, spec: TaskSpec) -> Iterator[tuple[str, ...]]:
    """What the confusion table and the table of errors count of one answer."""
    gold = gold_label(sample, spec)
    yield "confusion", gold, UNPARSEABLE if answer is None else str(answer)
    yield "errors", _error(gold, answer, spec.none)


def _error(gold: str, answer: Given, none: str | None) -> str:
    if answer is None:
        return "unparseable"
    if answer == gold:
        return "right_none" if gold == none else "right"
    if answer == none:
        return "missed"
    if gold == none:
        return "spurious"
    return "wrong_direction" if _bare(gold) == _bare(str(answer)) else "wrong_label"


def _bare(answer: str) -> str:
    return next((answer.removesuffix(order) for order in DIRECTIONS if answer.endswith(order)), answer)
