"""Counts -> rates, and what chance does to them.

A protocol gives each sample one row of whole numbers. Rows that are alike are counted together, so memory
follows the number of unlike ones, and drawing n samples with replacement is one multinomial draw over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Row = tuple[int, ...]
Counts = NDArray[np.int64]
Rates = NDArray[np.float64]
Figures = Callable[[Counts], Mapping[str, Rates]]

_CELLS = 2_000_000  # numbers drawn at once: 16 MB


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


def product(one: Counts, other: Counts) -> Counts:
    """The matrix product of whole numbers below 2^53, through floats: many times faster, and as exact."""
    return (one.astype(np.float64) @ other.astype(np.float64)).astype(np.int64)


def unlike(rows: Mapping[Row, int]) -> tuple[Counts, Counts]:
    """The unlike rows [unlike, width] and how often each occurs [unlike]."""
    ordered = sorted(rows)
    return np.array(ordered, dtype=np.int64), np.array([rows[row] for row in ordered], dtype=np.int64)


def intervals(
    times: Counts, sums: Callable[[Counts], Counts], figures: Figures, *, names: Sequence[str], draws: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95% percentile intervals of the named figures over `draws` resamplings; none for 0 draws.

    `times` [unlike]: how often each unlike row occurs; `sums` maps such counts [draws, unlike] to the counts
    [draws, ...] that `figures` reads.
    """
    step = at_once(len(times), sums(times).size)
    drawn = [figures(sums(counts)) for counts in _resampled(times, draws=draws, seed=seed, step=step)]
    if not drawn:
        return {}
    return {name: interval(np.concatenate([values[name] for values in drawn])) for name in names}


def interval(values: Rates) -> tuple[float, float]:
    """The middle 95 % of the values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def at_once(*widths: int) -> int:
    """How many resamplings of so many numbers each may be held at a time."""
    return max(1, _CELLS // max(widths))


def _resampled(times: Counts, *, draws: int, seed: int, step: int) -> Iterator[Counts]:
    random, total = np.random.default_rng(seed), int(times.sum())
    for start in range(0, draws, step):
        yield random.multinomial(total, times / total, size=min(step, draws - start))
