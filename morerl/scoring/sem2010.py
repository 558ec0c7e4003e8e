"""The official protocol of SemEval-2010 Task 8: (9+1)-way macro-F1 that takes the direction into account.

Written anew after the description of scorer v1.2 and checked against the figures it prints. The right
relation in the wrong direction is a miss of recall and a false alarm of precision for that relation.
Other enters neither macro nor micro, but still spoils the others. An answer whose relation the gold
labels lack is a miss and nothing else. An unparseable completion counts as Other, except in accuracy,
where it is wrong.
"""

from __future__ import annotations

import numpy as np

from morerl.scoring.counts import Counts, Rates, precision_recall_f1, rate
from morerl.scoring.pairs import hits
from morerl.task import TaskSpec

PRIMARY = "macro_f1"


def figures(table: Counts, spec: TaskSpec) -> dict[str, Rates]:
    """Every figure in per cent, from tables [..., answers, answers + 1] to values [...].

    Without prefix: the official (9+1)-way, directed. `per_direction_`: each direction a class of its
    own, (18+1)-way. `undirected_`: (9+1)-way, direction ignored.
    """
    square, relation = _square(table, spec), _relation_of(spec)
    other, none = spec.answers.index(spec.none), [label.name for label in spec.labels].index(spec.none)
    right, given, gold = hits(square), square.sum(-2), square.sum(-1)
    both = {"given": given @ relation, "gold": gold @ relation, "none": none}
    undirected = hits(relation.T @ square @ relation)
    return {
        **_accuracies(table, other=other),
        **_averages(right @ relation, **both, prefix=""),
        **_averages(right, given=given, gold=gold, none=other, prefix="per_direction_"),
        **_averages(undirected, **both, prefix="undirected_"),
    }


def per_label(table: Counts, spec: TaskSpec) -> dict[str, dict[str, float]]:
    """The official line of each relation and of Other: precision, recall, F1 in per cent, and counts.

    `predicted` counts both directions; `flipped` are answers right but for the direction.
    """
    square, relation = table[..., :-1], _relation_of(spec)  # what could not be parsed was not proposed
    right, given, gold = hits(square) @ relation, square.sum(-2) @ relation, table.sum(-1) @ relation
    flipped = hits(relation.T @ square @ relation) - right
    rates = precision_recall_f1(right, given=given, gold=gold, prefix="")
    columns = rates | {"gold": gold, "predicted": given, "flipped": flipped}
    return {
        label.name: {name: float(values[i]) for name, values in columns.items()} for i, label in enumerate(spec.labels)
    }


def _square(table: Counts, spec: TaskSpec) -> Counts:
    """The table with its unparseable column added to that of Other."""
    square = table[..., :-1].copy()
    square[..., spec.answers.index(spec.none)] += table[..., -1]
    return square


def _relation_of(spec: TaskSpec) -> Counts:
    """[answers, labels], 1 where the answer is the label in one of its directions."""
    repeats = [2 if label.directed else 1 for label in spec.labels]
    return np.repeat(np.eye(len(repeats), dtype=np.int64), repeats, axis=0)


def _accuracies(table: Counts, *, other: int) -> dict[str, Rates]:
    """The scorer's three accuracies: unparseable is wrong, is Other, or is left out."""
    right, total = hits(table).sum(-1), table.sum((-2, -1))
    unparsed = table[..., -1]
    return {
        "accuracy": rate(right, total),
        "accuracy_unparseable_as_other": rate(right + unparsed[..., other], total),
        "accuracy_of_parsed": rate(right, total - unparsed.sum(-1)),
    }


def _averages(right: Counts, *, given: Counts, gold: Counts, none: int, prefix: str) -> dict[str, Rates]:
    """Macro (mean over classes) and micro (sums over classes) of [..., classes] without class `none`.

    Classes that the gold labels lack have no term in either.
    """
    counted = (gold > 0) & (np.arange(gold.shape[-1]) != none)
    classes = np.maximum(counted.sum(-1), 1)
    by_class = precision_recall_f1(right, given=given, gold=gold, prefix=f"{prefix}macro_")
    macro = {name: np.where(counted, values, 0.0).sum(-1) / classes for name, values in by_class.items()}
    right, given, gold = (np.where(counted, counts, 0).sum(-1) for counts in (right, given, gold))
    return macro | precision_recall_f1(right, given=given, gold=gold, prefix=f"{prefix}micro_")
