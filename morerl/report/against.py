"""Two runs as one to look at: the last stage of each side by side, on the same samples.

The other run comes first, so that the page's "before" and "after" read: other, this one. What the two were trained
with is compared setting by setting. Left out on purpose: earlier stages; each run's own report shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from morerl.comparison import compare_runs
from morerl.errors import MorerlError
from morerl.report.read import Run
from morerl.report.sets import Answered
from morerl.schema import Sample
from morerl.scoring.compare import DRAWS, Comparison

T = TypeVar("T")
ELSEWHERE = (".dir", ".out")  # ends of settings that say where things lie


@dataclass(frozen=True, kw_only=True)
class Versus:
    """The run that another is laid beside, the name it goes by, and where the settings differ."""

    name: str
    run: Run
    settings: list[tuple[str, str, str]]


def beside(run: Run, other: Run) -> tuple[Run, Versus]:
    """The run with the other one's answers before its own, and what is the other's alone."""
    first, second = _names(other, run)
    theirs = {(one.split, one.corpus): one for one in other.sets}
    notes = {**run.notes}
    sets = [_both(notes, theirs.get((one.split, one.corpus)), one, first, second) for one in run.sets]
    versus = Versus(name=first, run=other, settings=_changed(other, run))
    return replace(run, name=second, sets=sets, notes=notes), versus


def _names(other: Run, run: Run) -> tuple[str, str]:
    if other.name != run.name:
        return other.name, run.name
    longer = [f"{one.folder.resolve().parent.name}/{one.name}" for one in (other, run)]
    return (longer[0], longer[1]) if longer[0] != longer[1] else (f"{other.name} (other)", run.name)


def _both(notes: dict[str, str], other: Answered | None, own: Answered, first: str, second: str) -> Answered:
    reason = _unlike(other, own)
    if other is None or reason:
        notes[f"against {own.name}"] = f"{own.name}: {reason}"
    same = other if other is not None and not reason else Answered(name="", split="")
    return replace(
        own,
        files=_last(same.files, first) | _last(own.files, second),
        predictions=_last(same.predictions, first) | _last(own.predictions, second),
        metrics=_last(same.metrics, first) | _last(own.metrics, second),
    )


def _last(stages: dict[str, T], name: str) -> dict[str, T]:
    """The last stage alone, under the run's name."""
    return {name: list(stages.values())[-1]} if stages else {}


def _unlike(other: Answered | None, own: Answered) -> str:
    """Why the two cannot be laid side by side; empty where they can."""
    if other is None:
        return "the other run has no answers to it."
    if _questions(other.samples) != _questions(own.samples):
        return "the two runs were asked different samples, so the other one's answers are left out."
    return ""


def _questions(samples: list[Sample]) -> dict[str, Any]:
    return {one.id: (one.text, one.image, one.head, one.tail, one.regions, one.mentions, one.gold) for one in samples}


def paired(answered: Answered) -> Comparison | str:
    """The last two stages (or runs) of a set by the official figure, paired by sample; or why that cannot be told."""
    files = [answered.files[stage] for stage in answered.predictions if stage in answered.files][-2:]
    if len(files) < 2 or answered.gold is None:
        return ""
    try:
        return compare_runs(*files, gold=answered.gold, guidelines=answered.guidelines, draws=DRAWS)
    except MorerlError as error:
        return f"No paired difference: {error}"


def _changed(other: Run, run: Run) -> list[tuple[str, str, str]]:
    """(setting, the other run's value, this one's), for those that differ and are no place or name."""
    if other.settings is None or run.settings is None:
        return []
    a, b = (_flat(one.settings.model_dump(mode="json"), "") for one in (other, run) if one.settings)
    names = [name for name in {**a, **b} if not name.endswith(ELSEWHERE) and a.get(name) != b.get(name)]
    return [(name, a.get(name, "–"), b.get(name, "–")) for name in names]


def _flat(value: object, name: str) -> dict[str, str]:
    if isinstance(value, dict) and value:
        return {key: one for part, inner in value.items() for key, one in _flat(inner, f"{name}.{part}").items()}
    return {name.removeprefix("."): str(value)}
