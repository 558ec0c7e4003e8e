"""Which samples are asked: a share of each label's, and of these one machine's part."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence

from morerl.schema import Sample, extraction, label


def choose(samples: Sequence[Sample], share: float, *, seed: int) -> list[Sample]:
    """A share of each label's samples, at least one, in corpus order (MORE-R1 section 2.3).

    Of extractions: of the samples that hold the same labels (relations, or types where none are asked for).
    Half is rounded up. Seeded; a label's draw does not depend on the other labels.
    """
    by_label: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.gold is not None:
            by_label[stratum(sample)].append(sample)
    chosen = {
        sample.id
        for name, members in by_label.items()
        for sample in random.Random(f"{seed}/{name}").sample(members, max(1, math.floor(share * len(members) + 0.5)))
    }
    return [sample for sample in samples if sample.id in chosen]


def stratum(sample: Sample) -> str:
    """What a sample is drawn among: its label, or the labels (types) its extraction holds."""
    if sample.task == "pair":
        return label(sample)
    gold = extraction(sample)
    names = {one.label for one in gold.relations} if sample.task == "extract" else {one.type for one in gold.entities}
    return " ".join(sorted(names))


def part(samples: Sequence[Sample], number: int, of: int) -> list[Sample]:
    """Every `of`-th sample, the `number`-th part counted from 1: parts are disjoint and make up the whole."""
    return list(samples[number - 1 :: of])


def some(samples: Sequence[Sample], limit: int, seed: int) -> list[Sample]:
    """At most `limit` of them, a seeded draw in corpus order; a larger limit holds a smaller one's."""
    order = random.Random(seed).sample(range(len(samples)), len(samples))
    return [samples[index] for index in sorted(order[:limit])]
