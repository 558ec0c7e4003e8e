"""Parts with weights, gates and stages -> what one completion earns, part by part.

A gate is the name of a part: the gated one counts only where that one, its own gate applied, is above 0. Values are
raw, so that every part is logged as it is; weights are the trainer's, and may change once in a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from types import MappingProxyType
from typing import NamedTuple

from morerl.errors import ConfigError
from morerl.grpo_settings import GrpoSettings, RewardSettings
from morerl.rewards.case import Case, Terms
from morerl.rewards.parts import REWARDS
from morerl.rewards.presets import PRESETS
from morerl.schema import Task


class Weighed(NamedTuple):
    """What a part counts, before and from the second stage on, and which part must be above 0."""

    first: float
    second: float
    gate: str | None = None


Parts = Mapping[str, Weighed]
ONE: Mapping[str, Iterable[Task]] = MappingProxyType({"": ()})


def compose(settings: GrpoSettings, corpus: str = "") -> dict[str, Weighed]:
    """The parts for the samples of a corpus, presets spelled out; of a part named twice the last one counts.

    Raises ConfigError for unknown names and for gates that hang on themselves.
    """
    parts: dict[str, Weighed] = {}
    where = _where(settings, corpus)
    for name, asked in (settings.rewards_of[corpus] if settings.rewards_of else settings.rewards).items():
        if name in PRESETS:
            if asked.weight is None or asked.gate is not None:
                raise ConfigError(f"{where}.{name}: a preset takes a weight alone; name its parts to change them")
            parts |= {part: _weighed(one, asked.weight) for part, one in PRESETS[name].items()}
        else:
            parts[name] = _weighed(asked, 1.0)
    _check_names(parts, where)
    return parts


def _where(settings: GrpoSettings, corpus: str) -> str:
    return f"grpo.rewards_of.{corpus}" if settings.rewards_of else "grpo.rewards"


def _weighed(one: RewardSettings, times: float) -> Weighed:
    first, second = one.stages or (one.weight or 0.0, one.weight or 0.0)
    return Weighed(times * first, times * second, one.gate)


def _check_names(parts: Parts, where: str) -> None:
    unknown = sorted({*parts} - {*REWARDS})
    if unknown:
        presets = ", ".join(PRESETS)
        raise ConfigError(f"{where}: no reward named {unknown}; known: {', '.join(REWARDS)}; presets: {presets}")
    for name, part in parts.items():
        if part.gate is not None and part.gate not in REWARDS:
            raise ConfigError(f"{where}.{name}: no reward named {part.gate!r} to be its gate")
        seen = [name]
        while (gate := parts[seen[-1]].gate if seen[-1] in parts else None) is not None:
            if gate in seen:
                raise ConfigError(f"{where}.{name}: its gate hangs on itself: {' -> '.join([*seen, gate])}")
            seen.append(gate)


def judge(case: Case, parts: Parts) -> dict[str, float | None]:
    """What each part is worth for a completion, gates applied, weights not; None where it is not for the task."""
    known: dict[str, float | None] = {}

    def value(name: str) -> float | None:
        if name not in known:
            gate = parts[name].gate if name in parts else None
            if case.sample.task not in REWARDS[name].tasks:
                known[name] = None
            else:
                known[name] = 0.0 if gate is not None and not (value(gate) or 0.0) > 0 else REWARDS[name].value(case)
        return known[name]

    return {name: value(name) for name in parts}


def terms_of(settings: GrpoSettings, steps: int) -> Terms:
    """What the settings say of length, and how many steps the sample's prompt asks for."""
    return Terms(
        steps=steps,
        length_threshold=settings.length_threshold,
        max_tokens=_cap(settings),
        overlong_buffer=settings.overlong_buffer,
    )


def _cap(settings: GrpoSettings) -> int | None:
    return settings.trainer.get("max_completion_length", 512)  # TRL's own default


def begins(settings: GrpoSettings, steps: int) -> int:
    """Steps done when the second stage begins, of a run of `steps`; 0 where there is none."""
    at = settings.second_stage
    if at is None:
        return 0
    return ceil(at * steps) if at < 1 else int(at)


def check_rewards(settings: GrpoSettings, asked: Mapping[str, Iterable[Task]] = ONE) -> None:
    """Refuses what `compose` refuses, a length no completion can reach, and a second stage like the first.

    `asked`: corpus -> the tasks that some sample of it asks; each must have a part that compares with gold. The name of
    a corpus that stands alone is "". Raises ConfigError.
    """
    each = {corpus: compose(settings, corpus) for corpus in asked}
    staged = [name for parts in each.values() for name, part in parts.items() if part.first != part.second]
    if settings.second_stage is not None and not staged:
        raise ConfigError("grpo.second_stage is set, but no part of grpo.rewards has stages: [first, second]")
    for corpus, parts in each.items():
        _check_length(settings, parts)
        _check_paid(parts, asked[corpus], _where(settings, corpus))


def _check_paid(parts: Parts, tasks: Iterable[Task], where: str) -> None:
    for task in sorted(set(tasks)):
        fit = [name for name, one in REWARDS.items() if task in one.tasks and one.gold]
        if not any(name in fit and part.second > 0 for name, part in parts.items()):
            raise ConfigError(f"{where}: nothing pays a right answer to {task!r}; add one of {', '.join(fit)}")


def _counts(parts: Parts, name: str) -> bool:
    return name in parts and (parts[name].first != 0 or parts[name].second != 0)


def _check_length(settings: GrpoSettings, parts: Parts) -> None:
    cap = _cap(settings)
    asked = any(_counts(parts, name) for name in ("length", "length_paper"))
    # English runs at about four characters a token
    if cap is not None and asked and settings.length_threshold > 4 * cap:
        raise ConfigError(
            f"grpo.length_threshold of {settings.length_threshold} characters cannot be reached with "
            f"trainer.max_completion_length of {cap} tokens (about {4 * cap} characters); raise one or lower the other"
        )
