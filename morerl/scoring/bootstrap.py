"""Tables of counts: how answers become one, the rates read off it, and what chance does to them.

A table is [gold answer, given answer], both in guideline order, with one more column for completions
that could not be parsed. Drawing n samples with replacement is the same as drawing n times from the
cells of their table, so one multinomial draw replaces n look-ups and every figure keeps one formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Rates = NDArray[np.float64]

_CHUNK = 1000  # draws at once: a table of 21 answers then takes 4 MB


def tabulate(gold: Sequence[str], given: Sequence[str | None], *, answers: Sequence[str]) -> Counts:
    """The [answers, answers + 1] table of counts; the last column is `None` (unparseable)."""
    index: dict[str | None, int] = {answer: i for i, answer in enumerate(answers)} | {None: len(answers)}
    table = np.zeros((len(answers), len(answers) + 1), dtype=np.int64)
    np.add.at(table, ([index[label] for label in gold], [index[label] for label in given]), 1)
    return table


def hits(table: Counts) -> Counts:
    """Right answers of each class: [..., classes, classes or more] -> [..., classes]."""
    return np.diagonal(table, axis1=-2, axis2=-1)


def rate(part: Counts, whole: Counts) -> Rates:
    """`part` of `whole` in per cent, elementwise; 0 where `whole` is 0."""
    return 100.0 * part / np.maximum(whole, 1)


def f1(precision: Rates, recall: Rates) -> Rates:
    """Harmonic mean, elementwise, in the unit of its arguments; 0 where both are 0."""
    total = precision + recall
    return 2.0 * precision * recall / np.where(total > 0, total, 1.0)


def precision_recall_f1(right: Counts, *, given: Counts, gold: Counts, prefix: str) -> dict[str, Rates]:
    """`{prefix}precision`, `{prefix}recall` and `{prefix}f1` in per cent, elementwise."""
    precision, recall = rate(right, given), rate(right, gold)
    return {f"{prefix}precision": precision, f"{prefix}recall": recall, f"{prefix}f1": f1(precision, recall)}


def intervals(
    table: Counts,
    figures: Callable[[Counts], Mapping[str, Rates]],
    *,
    names: Sequence[str],
    draws: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """95% percentile intervals of the named figures over `draws` resamplings; none for 0 draws.

    `figures` maps tables [draws, classes, classes + 1] to one value per draw and name.
    """
    drawn = [figures(tables) for tables in _resampled(table, draws=draws, seed=seed)]
    if not drawn:
        return {}
    return {name: _interval(np.concatenate([values[name] for values in drawn])) for name in names}


def _interval(values: Rates) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _resampled(table: Counts, *, draws: int, seed: int) -> Iterator[Counts]:
    random = np.random.default_rng(seed)
    total, (live,) = int(table.sum()), np.nonzero(table.ravel())
    shares = table.ravel()[live] / total
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        tables = np.zeros((size, table.size), dtype=np.int64)
        tables[:, live] = random.multinomial(total, shares, size=size)
        yield tables.reshape(size, *table.shape)
