"""The official figures of a model's answers; one protocol per family of corpora.

Every sample counts. What could not be parsed is `None`, and each protocol says what that costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from morerl.errors import ConfigError, DataError
from morerl.schema import Metrics, Sample, TaskSpec
from morerl.scoring import more, sem2010
from morerl.scoring.bootstrap import Counts, Rates, intervals, rate, tabulate

UNPARSEABLE = "(unparseable)"


class Protocol(NamedTuple):
    """How one family of corpora is scored."""

    primary: str
    figures: Callable[[Counts, TaskSpec], dict[str, Rates]]
    per_label: Callable[[Counts, TaskSpec], dict[str, dict[str, float]]]
    groups: Callable[[Sequence[Sample]], list[str] | None]


PROTOCOLS = {
    "more": Protocol(more.PRIMARY, more.figures, more.per_label, more.groups),
    "sem2010": Protocol(sem2010.PRIMARY, sem2010.figures, sem2010.per_label, lambda samples: None),
}


def score(
    samples: Sequence[Sample],
    answers: Sequence[str | None],
    spec: TaskSpec,
    *,
    problems: dict[str, int] | None = None,
    settings: dict[str, str | int | float | None] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Metrics:
    """The figures of `answers` (canonical legal answers; None = unparseable), one per sample.

    Rates are in per cent. `draws` resamplings give the 95% intervals of the primary figure and of
    accuracy; 0 leaves them out. `problems` and `settings` are passed on. Raises DataError where the
    lengths differ, there is no sample, a sample has no gold, or a label is none of `spec.answers`.
    """
    protocol = PROTOCOLS[spec.protocol]
    gold = _checked_gold(samples, answers, spec=spec)
    table = tabulate(gold, answers, answers=spec.answers)
    figures = {name: float(value) for name, value in protocol.figures(table, spec).items()}
    figures["unparseable"] = float(rate(table[:, -1].sum(), table.sum()))
    names = (protocol.primary, "accuracy")
    return Metrics(
        protocol=spec.protocol,
        n=len(samples),
        primary={"name": protocol.primary, "value": figures.pop(protocol.primary)},
        figures=figures | _by_group(samples, gold, answers=answers, spec=spec),
        per_label=protocol.per_label(table, spec),
        confusion=_confusion(table, spec.answers),
        ci95=intervals(table, partial(protocol.figures, spec=spec), names=names, draws=draws, seed=seed),
        problems=problems or {},
        settings=settings or {},
    )


def _checked_gold(samples: Sequence[Sample], answers: Sequence[str | None], *, spec: TaskSpec) -> list[str]:
    if len(samples) != len(answers):
        raise DataError(f"{len(samples)} samples but {len(answers)} answers; an unparseable one is None")
    if not samples:
        raise DataError("there is no sample to score")
    legal = frozenset(spec.answers)
    if spec.none not in legal:
        raise ConfigError(f"the label {spec.none!r} of the {spec.corpus} guideline must not be directed")
    for sample, answer in zip(samples, answers, strict=True):
        if answer is not None and answer not in legal:
            raise DataError(f"{sample.id}: {answer!r} is no answer of {spec.corpus} (unparseable: None)")
    return [_gold(sample, spec, legal=legal) for sample in samples]


def _gold(sample: Sample, spec: TaskSpec, *, legal: frozenset[str]) -> str:
    if sample.gold is None:
        raise DataError(f"{sample.id} has no gold answer, so nothing can be scored against it")
    if sample.gold.label not in legal:
        raise DataError(f"{sample.id}: the gold label {sample.gold.label!r} is no answer of {spec.corpus}")
    return sample.gold.label


def _by_group(
    samples: Sequence[Sample], gold: Sequence[str], *, answers: Sequence[str | None], spec: TaskSpec
) -> dict[str, float]:
    """`group/n`, and `group/figure` for accuracy and the micro figures: few groups hold every label."""
    protocol, figures = PROTOCOLS[spec.protocol], {}
    groups = protocol.groups(samples) or []
    for group in sorted(set(groups)):
        rows = [i for i, name in enumerate(groups) if name == group]
        table = tabulate([gold[i] for i in rows], [answers[i] for i in rows], answers=spec.answers)
        figures[f"{group}/n"] = float(len(rows))
        for name, value in protocol.figures(table, spec).items():
            if not name.startswith("macro_"):
                figures[f"{group}/{name}"] = float(value)
    return figures


def _confusion(table: Counts, answers: Sequence[str]) -> dict[str, dict[str, int]]:
    """gold answer -> given answer -> count, without the zeros."""
    columns = (*answers, UNPARSEABLE)
    rows = {
        gold: {given: int(count) for given, count in zip(columns, row, strict=True) if count}
        for gold, row in zip(answers, table, strict=True)
    }
    return {gold: row for gold, row in rows.items() if row}
