"""Which sample is trained when: MORE-R1's progressive mixing (section 2.5), as a pure function.

What the paper leaves open, decided here: easy samples are drawn without repeats until all are used
up, then anew; an epoch is shuffled with its own seed; a window that an epoch cannot fill is filled
by the next one, and the run's last by a seeded redraw from the last epoch. Nothing is dropped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence

from morerl.errors import DataError
from morerl.grpo_settings import MixingSettings
from morerl.schema import Frozen, Rated


class Epoch(Frozen):
    """One epoch of the schedule, as drawn; one line of schedule.jsonl."""

    epoch: int  # 1 for the first
    hard: int
    easy: int
    ids: tuple[str, ...]  # in the order of training


def schedule(rated: Sequence[Rated], mixing: MixingSettings, *, seed: int) -> list[Epoch]:
    """Epoch t takes every hard sample and floor(alpha^(t-1) * hard + 0.5) easy ones, shuffled.

    Where the easy ones are fewer, all are taken. Raises DataError if nothing is hard.
    """
    hard = [row.id for row in rated if row.pass_rate < mixing.hard_below]
    easy = [row.id for row in rated if row.pass_rate >= mixing.hard_below]
    if not hard:
        raise DataError(f"none of the {len(rated)} rated samples is hard (pass rate < {mixing.hard_below:g})")
    draws = _endless(easy, random.Random(f"{seed}/easy"))
    epochs = []
    for number in range(1, mixing.epochs + 1):
        wanted = math.floor(mixing.alpha ** (number - 1) * len(hard) + 0.5)
        taken = [next(draws) for _ in range(min(wanted, len(easy)))]
        ids = [*hard, *taken]
        random.Random(f"{seed}/{number}").shuffle(ids)
        epochs.append(Epoch(epoch=number, hard=len(hard), easy=len(taken), ids=tuple(ids)))
    return epochs


def _endless(items: list[str], rng: random.Random) -> Iterator[str]:
    while items:
        yield from rng.sample(items, len(items))


def windows(epochs: Sequence[Epoch], size: int, kind: Callable[[str], bool], *, seed: int) -> list[list[str]]:
    """The schedule cut into generation windows of `size` ids, each of one kind (picture or text).

    A window of one kind on all ranks is what keeps TRL from failing or hanging on mixed rows
    (kind: has the sample a picture?).
    """
    waiting: dict[bool, list[str]] = {}
    full = []
    for epoch in epochs:
        for id_ in epoch.ids:
            window = waiting.setdefault(kind(id_), [])
            window.append(id_)
            if len(window) == size:
                full.append(waiting.pop(kind(id_)))
    for which, window in waiting.items():
        pool = sorted({id_ for id_ in epochs[-1].ids if kind(id_) is which} or set(window))
        rng = random.Random(f"{seed}/fill/{which}")
        full.append(window + [rng.choice(pool) for _ in range(size - len(window))])
    return full
