"""Two models on the same samples: the difference of a figure, its interval, and how likely chance makes as much.

Paired bootstrap for the interval; approximate randomisation (Noreen 1989, as Yeh 2000 uses it for F1) for p: where
the two do not differ, each sample's two answers might as well change places.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from morerl.errors import DataError
from morerl.schema import Frozen
from morerl.scoring.counts import Counts, Rates, Row, at_once, interval
from morerl.scoring.protocols import protocol
from morerl.task import TaskSpec

DRAWS = 2000  # resamplings, wherever two models are compared: one difference has one interval
Pairs = Counter[tuple[Row, Row]]


class Comparison(Frozen):
    """Two values of one figure in per cent, and what is known of their difference (b minus a)."""

    figure: str
    protocol: str
    n: int
    a: float
    b: float
    difference: float
    ci95: tuple[float, float]
    p: float
    changed: int
    draws: int


def compare(pairs: Pairs, spec: TaskSpec, name: str, figure: str, *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compares `figure` (of the protocol `name`) from each sample's rows of counts under a and under b.

    `p` is two-sided, with one added to both counts, so that it is never 0. `changed`: samples whose rows differ.
    Raises DataError if there is no sample, or the protocol has no such figure.
    """
    if not pairs:
        raise DataError("there is no sample to compare on")
    ordered = sorted(pairs)
    times = np.array([pairs[pair] for pair in ordered])
    sides = [np.array([pair[side] for pair in ordered], dtype=np.int64) for side in (0, 1)]

    def value(rows_of_a: Counts, rows_of_b: Counts) -> Rates:
        """The figure of tables that take `rows_of_a` times from a's rows and `rows_of_b` times from b's."""
        summed = sum(protocol(name).sums(rows, n, spec) for rows, n in zip(sides, (rows_of_a, rows_of_b), strict=True))
        figures = protocol(name).figures(summed, spec)
        if figure not in figures:
            raise DataError(f"the protocol {name!r} has no figure {figure!r} to compare; known: {', '.join(figures)}")
        return figures[figure]

    none = np.zeros_like(times)
    a, b = float(value(times, none)), float(value(none, times))
    random, total = np.random.default_rng(seed), int(times.sum())
    drawn, swapped = [], []
    step = at_once(len(times), protocol(name).sums(sides[0], times, spec).size)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        again = random.multinomial(total, times / total, size=size)
        drawn.append(value(np.zeros_like(again), again) - value(again, np.zeros_like(again)))
        stay = random.binomial(times, 0.5, size=(size, len(times)))
        swapped.append(value(times - stay, stay) - value(stay, times - stay))
    extreme = int((np.abs(np.concatenate(swapped)) >= abs(b - a) - 1e-9).sum())
    return Comparison(
        figure=figure,
        protocol=name,
        n=total,
        a=a,
        b=b,
        difference=b - a,
        ci95=interval(np.concatenate(drawn)),
        p=(extreme + 1) / (draws + 1),
        changed=sum(count for (one, other), count in pairs.items() if one != other),
        draws=draws,
    )
