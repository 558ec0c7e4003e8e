"""The order that follows the rollouts: what is drawn next, from how often each sample has been got right.

A sample's pass rate p is an exponential average over the rollouts of training, begun with rated.jsonl. A draw weighs
a sample by p(1-p), the spread its group can be expected to have. Two kinds would be forgotten by that rule alone:
- never solved, p(1-p) below `floor` on the low side: weighed by the floor;
- solved, below it on the high side: a share `replay` of all places, the one longest not drawn first (with several
  corpora, its age times its corpus' ratio), so that each comes round; one that fails again falls back among those
  weighed by their spread.
Everything here is a function of its arguments: the same on every rank, and after a resume.

Source: ours. Weighted draws without repeats: Efraimidis and Spirakis (2006), the largest of log(u)/weight. Left out
on purpose: what one sample tells of others like it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from morerl.grpo_settings import MixingSettings
from morerl.mixing.lines import Why
from morerl.schema import Frozen, Rated


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What stays as it is through a run; a sample is known by its row."""

    ids: Sequence[str]
    pictures: Sequence[bool]  # has the row one? a window is of one kind
    ratios: Sequence[float]  # how often a row is drawn beside one of the largest corpus (see tempered)
    mixing: MixingSettings
    size: int  # prompts in a window
    seed: int


class Standing(Frozen):
    """What has been learnt, a value a row; part of every checkpoint."""

    rates: tuple[float, ...]  # 0 to 1
    drawn: tuple[int, ...]  # the window a row was last drawn for; 0: never
    rollouts: int = 0  # since the start


class Draw(Frozen):
    """One place of a window."""

    row: int
    why: Why


def start(rated: Sequence[Rated]) -> Standing:
    """Pass rates as rated, each with one more rollout of the average pass rate: one greedy completion proves little."""
    average = sum(row.pass_rate for row in rated) / len(rated)
    rates = tuple((row.n_correct + average) / (row.n + 1) for row in rated)
    return Standing(rates=rates, drawn=(0,) * len(rated))


def why(rate: float, floor: float) -> Why:
    """The class of a pass rate: spread, floor (never solved) or replay (solved)."""
    if rate * (1 - rate) >= floor:
        return "spread"
    return "floor" if rate < 0.5 else "replay"


def weight(rate: float, floor: float) -> float:
    """What a draw weighs a pass rate by: p(1-p), the floor at least."""
    return max(rate * (1 - rate), floor)


def replayed(mixing: MixingSettings, window: int, size: int) -> int:
    """Places of a window (1 for the first) kept for the solved; over the windows their share is exact, to one place."""
    return math.floor(mixing.replay * size * window) - math.floor(mixing.replay * size * (window - 1))


def draw(pool: Pool, standing: Standing, window: int) -> list[Draw]:
    """The prompts of a window (1 for the first), shuffled; none twice unless its kind has fewer than a window's."""
    rng = random.Random(f"{pool.seed}/{window}")
    rows = _kind(pool, standing, rng)
    solved = [row for row in rows if _why(pool, standing, row) == "replay"]
    taken = _longest_ago(solved, pool, standing, window, replayed(pool.mixing, window, pool.size), rng)
    open_ = [row for row in rows if _why(pool, standing, row) != "replay"]
    taken += _weighted(open_, pool, standing, pool.size - len(taken), rng)
    here = set(taken)
    rest = [row for row in solved if row not in here]
    taken += _longest_ago(rest, pool, standing, window, pool.size - len(taken), rng)
    taken += rng.choices(rows, [_weight(pool, standing, row) for row in rows], k=pool.size - len(taken))
    rng.shuffle(taken)
    return _draws(pool, standing, taken)


def refill(pool: Pool, standing: Standing, window: int, drawn: Sequence[Draw], count: int) -> list[Draw]:
    """Up to `count` further prompts of the window's kind in place of those without spread; none that is solved.

    At most the share `refill` of the window; fewer where nothing else is left.
    """
    count = min(count, math.floor(pool.mixing.refill * pool.size))
    here, kind = {one.row for one in drawn}, pool.pictures[drawn[0].row]
    rows = [row for row in range(len(pool.ids)) if pool.pictures[row] is kind and row not in here]
    rows = [row for row in rows if _why(pool, standing, row) != "replay"]
    return _draws(pool, standing, _weighted(rows, pool, standing, count, random.Random(f"{pool.seed}/{window}/refill")))


def learn(
    pool: Pool, standing: Standing, window: int, drawn: Sequence[Draw], passed: Sequence[float], group: int
) -> Standing:
    """The standing after `group` rollouts of each prompt, of which the share `passed` was right."""
    rates, last, decay = list(standing.rates), list(standing.drawn), pool.mixing.decay
    for one, share in zip(drawn, passed, strict=True):
        rates[one.row] = decay * rates[one.row] + (1 - decay) * share
        last[one.row] = window
    return Standing(rates=tuple(rates), drawn=tuple(last), rollouts=standing.rollouts + group * len(drawn))


def _why(pool: Pool, standing: Standing, row: int) -> Why:
    return why(standing.rates[row], pool.mixing.floor)


def _weight(pool: Pool, standing: Standing, row: int) -> float:
    return weight(standing.rates[row], pool.mixing.floor) * pool.ratios[row]


def _draws(pool: Pool, standing: Standing, rows: Iterable[int]) -> list[Draw]:
    return [Draw(row=row, why=_why(pool, standing, row)) for row in rows]


def _kind(pool: Pool, standing: Standing, rng: random.Random) -> list[int]:
    """The rows with a picture or those without, weighed by all their weights together."""
    kinds: dict[bool, list[int]] = {}
    for row, picture in enumerate(pool.pictures):
        kinds.setdefault(picture, []).append(row)
    weights = [sum(_weight(pool, standing, row) for row in rows) for rows in kinds.values()]
    return rng.choices(list(kinds.values()), weights)[0]


def _weighted(rows: Sequence[int], pool: Pool, standing: Standing, count: int, rng: random.Random) -> list[int]:
    """Up to `count` rows without repeats."""
    keys = {row: math.log(1 - rng.random()) / _weight(pool, standing, row) for row in rows}
    return sorted(rows, key=lambda row: -keys[row])[:count]


def _longest_ago(
    rows: Sequence[int], pool: Pool, standing: Standing, window: int, count: int, rng: random.Random
) -> list[int]:
    """Up to `count` rows, those first that were last drawn longest ago, in a random order among equals.

    A corpus drawn r times as often ages r times as fast.
    """
    mixed = rng.sample(list(rows), len(rows))
    return sorted(mixed, key=lambda row: -(window - standing.drawn[row]) * pool.ratios[row])[:count]
