"""The figures by label: precision, recall and F1 of every stage, and what is taken for what."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from morerl.report.judged import Verdict
from morerl.schema import Extraction, Metrics, Sample
from morerl.scoring import spans
from morerl.task import ArgumentType, Label, TaskSpec

Counts = dict[str, dict[str, int]]  # gold -> predicted -> how often

HEATS = 9
COMMON_MISTAKES = 10


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One label: its support, and each stage's {precision, recall, f1, predicted} in per cent."""

    name: str
    support: int
    stages: tuple[dict[str, float], ...]

    @property
    def change(self) -> float | None:
        """F1 of the last stage less that of the one before, in points."""
        f1 = [stage["f1"] for stage in self.stages[-2:] if "f1" in stage]
        return f1[1] - f1[0] if len(f1) == 2 else None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A count, its shade 0..HEATS by its share of the row, and whether gold = predicted."""

    count: int
    heat: int
    right: bool


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A square of counts with gold answers down and predicted ones across."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    mistakes: tuple[tuple[str, str, int], ...]


def meanings(spec: TaskSpec | None) -> dict[str, str]:
    """Label or type -> what the guideline says of it, examples included."""
    if spec is None:
        return {}
    answers = {name: _meaning(label) for label in spec.labels for name in (label.name, *label.aliases)}
    directed = {answer: answers[answer.partition("(")[0]] for answer in spec.answers if answer not in answers}
    return answers | directed | {name: _meaning(kind) for name, kind in spec.types.items()}


def _meaning(label: Label | ArgumentType) -> str:
    examples = (("Example", label.positive), ("Not", label.near_miss))
    return label.definition + "".join(f"\n{name}: {text}" for name, text in examples if text)


def label_groups(metrics: dict[str, Metrics], spec: TaskSpec | None) -> dict[str, list[LabelRow]]:
    """The rows by what they are of: types of entities and relations apart, where there are both."""
    rows = label_rows(metrics)
    types = [row for row in rows if spec is not None and row.name in spec.types]
    others = [row for row in rows if row not in types]
    return {"Types of entities": types, "Relations": others} if types and others else {"": rows} if rows else {}


def label_rows(metrics: dict[str, Metrics]) -> list[LabelRow]:
    """A row a label that some stage was scored on, largest support first."""
    names = dict.fromkeys(name for m in metrics.values() for name in m.per_label)
    rows = [
        LabelRow(
            name=name,
            support=int(max(m.per_label.get(name, {}).get("gold", 0) for m in metrics.values())),
            stages=tuple(m.per_label.get(name, {}) for m in metrics.values()),
        )
        for name in names
    ]
    return sorted(rows, key=lambda row: -row.support)


def confusions(metrics: Metrics, pairs: Iterable[tuple[Sample, Verdict]]) -> dict[str, Confusion]:
    """The confusion matrices: that of the figures, and of extractions with relations also one of their types."""
    own = confusion(metrics.confusion)
    types = confusion(_types(pairs)) if metrics.protocol == "scier" else None
    found = {"Types of the same span": types, "Relations between the same two spans": own} if types else {"": own}
    return {title: one for title, one in found.items() if one}


def _types(pairs: Iterable[tuple[Sample, Verdict]]) -> Counts:
    found: dict[str, Counter[str]] = {}
    for sample, verdict in pairs:
        if isinstance(sample.gold, Extraction):
            given = verdict.parsed.answer if isinstance(verdict.parsed.answer, Extraction) else spans.EMPTY
            for _, gold, other in spans.confusions(spans.entity_spans(given), spans.entity_spans(sample.gold)):
                found.setdefault(gold, Counter())[other] += 1
    return {gold: dict(row) for gold, row in found.items()}


def confusion(counts: Counts) -> Confusion | None:
    """The confusion matrix of counts; None where there are none."""
    predicted = {name for row in counts.values() for name, count in row.items() if count}
    golds = [name for name in counts if name in predicted or any(counts[name].values())]
    if not golds:
        return None
    golds.sort(key=lambda name: (name == spans.SPURIOUS, -sum(counts[name].values())))
    columns = tuple(name for name in (*golds, *sorted(predicted - set(golds))) if name != spans.SPURIOUS)
    return Confusion(
        columns=columns,
        rows=tuple((gold, _cells(gold, counts[gold], columns)) for gold in golds),
        mistakes=_mistakes(counts),
    )


def problem_rows(metrics: dict[str, Metrics]) -> list[tuple[str, tuple[int, ...]]]:
    """(problem, its count in every stage), most frequent in the last stage first."""
    names = dict.fromkeys(name for m in metrics.values() for name in m.problems)
    rows = [(name, tuple(m.problems.get(name, 0) for m in metrics.values())) for name in names]
    return sorted(rows, key=lambda row: -row[1][-1])


def _cells(gold: str, row: dict[str, int], columns: tuple[str, ...]) -> tuple[Cell, ...]:
    whole = sum(row.values()) or 1
    return tuple(
        Cell(count=row.get(name, 0), heat=math.ceil(row.get(name, 0) / whole * HEATS), right=name == gold)
        for name in columns
    )


def _mistakes(counts: dict[str, dict[str, int]]) -> tuple[tuple[str, str, int], ...]:
    wrong = [
        (gold, name, count) for gold, row in counts.items() for name, count in row.items() if name != gold and count
    ]
    return tuple(sorted(wrong, key=lambda item: -item[2])[:COMMON_MISTAKES])
