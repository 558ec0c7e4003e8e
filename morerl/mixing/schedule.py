"""Orders fixed ahead: MORE-R1's progressive mixing (section 2.5) and the rows of its ablation.

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
    """One epoch of an order, as drawn."""

    epoch: int  # 1 for the first
    hard: int
    easy: int
    ids: tuple[str, ...]  # in the order of training


class Slot(Frozen):
    """One place of a window."""

    id: str
    epoch: int  # that drew it
    fill: bool = False  # drawn again, for the run's last window


def schedule(rated: Sequence[Rated], mixing: MixingSettings, *, seed: int) -> list[Epoch]:
    """Every epoch takes all hard samples and as many easy ones as the strategy says (`easy_wanted`), shuffled.

    Where the easy ones are fewer, all are taken. Raises DataError if nothing is hard, but for `raw`.
    """
    hard = [row.id for row in rated if row.pass_rate < mixing.hard_below]
    easy = [row.id for row in rated if row.pass_rate >= mixing.hard_below]
    if not hard and mixing.strategy != "raw":
        raise DataError(f"none of the {len(rated)} rated samples is hard (pass rate < {mixing.hard_below:g})")
    draws = _endless(easy, random.Random(f"{seed}/easy"))
    epochs = []
    for number in range(1, mixing.epochs + 1):
        wanted = easy_wanted(mixing, number, len(hard), len(easy))
        taken = [next(draws) for _ in range(min(wanted, len(easy)))]
        if len(set(taken)) < len(taken) == len(easy):  # of the end of one round of draws and the beginning of the next
            taken = easy
        ids = [*hard, *taken]
        random.Random(f"{seed}/{number}").shuffle(ids)
        epochs.append(Epoch(epoch=number, hard=len(hard), easy=len(taken), ids=tuple(ids)))
    return epochs


def easy_wanted(mixing: MixingSettings, epoch: int, hard: int, easy: int) -> int:
    """Easy samples of epoch t: progressive floor(alpha^(t-1) * hard + 0.5), raw all, hard_only none, fixed as the hard.

    adaptive draws by itself; this gives it the number of windows that progressive would have.
    """
    if mixing.strategy == "raw":
        return easy
    if mixing.strategy == "hard_only":
        return 0
    if mixing.strategy == "fixed":
        return hard
    try:
        return math.floor(mixing.alpha ** (epoch - 1) * hard + 0.5)
    except OverflowError:  # alpha above 1, and many epochs: more than there are
        return easy


def _endless(items: list[str], rng: random.Random) -> Iterator[str]:
    while items:
        yield from rng.sample(items, len(items))


def windows(epochs: Sequence[Epoch], size: int, kind: Callable[[str], bool], *, seed: int) -> list[list[Slot]]:
    """The epochs cut into generation windows of `size` samples, each of one kind (picture or text).

    A window of one kind on all ranks is what keeps TRL from failing or hanging on mixed rows
    (kind: has the sample a picture?).
    """
    waiting: dict[bool, list[Slot]] = {}
    full = []
    for epoch in epochs:
        for id_ in epoch.ids:
            window = waiting.setdefault(kind(id_), [])
            window.append(Slot(id=id_, epoch=epoch.epoch))
            if len(window) == size:
                full.append(waiting.pop(kind(id_)))
    return full + [_filled(window, size, which, epochs[-1], kind, seed) for which, window in waiting.items()]


def _filled(
    window: list[Slot], size: int, which: bool, last: Epoch, kind: Callable[[str], bool], seed: int
) -> list[Slot]:
    """A window that the last epoch left open, filled from that epoch's samples of its kind."""
    pool = sorted({id_ for id_ in last.ids if kind(id_) is which} or {slot.id for slot in window})
    rng = random.Random(f"{seed}/fill/{which}")
    fill = [Slot(id=rng.choice(pool), epoch=last.epoch, fill=True) for _ in range(size - len(window))]
    return window + fill
