"""How often a sample is trained so that a small corpus is not lost beside a large one: shares as n^(1/T).

Temperature sampling as in multilingual training (Arivazhagan et al. 2019, arXiv 1907.05019), by repeats of
what is small: nothing is dropped.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import floor


def ratios(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """How often a sample of each corpus is trained beside one of the largest: (n_max/n)^(1-1/T), 1 at the least.

    A corpus without samples has none.
    """
    largest = max(sizes.values(), default=0)
    return {name: (largest / size) ** (1 - 1 / temperature) for name, size in sizes.items() if size}


def repeats(ids: Mapping[str, Sequence[str]], temperature: float, *, seed: int) -> dict[str, int]:
    """id -> how often it is trained: the floor or the ceil of its corpus's ratio.

    As many have the ceil as bring the corpus's rows to size x ratio, rounded; which, is a seeded draw.
    """
    times: dict[str, int] = {}
    for name, ratio in ratios({name: len(of_corpus) for name, of_corpus in ids.items()}, temperature).items():
        whole = floor(ratio)
        once_more = round(len(ids[name]) * (ratio - whole))
        times |= dict.fromkeys(ids[name], whole)
        times |= dict.fromkeys(random.Random(f"{seed}/{name}").sample(ids[name], once_more), whole + 1)
    return times
