"""The figures as rows: results with their intervals, where the time went, controls, difficulty."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from morerl.report.charts import number, ticks
from morerl.report.notes import is_number
from morerl.report.sets import CONTROLS, Answered
from morerl.schema import Metrics, Rated


@dataclass(frozen=True, kw_only=True)
class Value:
    """One figure of one stage, per cent; positions are per cent of the strip's width."""

    stage: str
    value: float
    interval: tuple[float, float] | None
    at: float = 0.0
    ends: tuple[float, float] | None = None

    @property
    def unsure(self) -> bool:
        """The interval says nothing."""
        return self.interval is not None and is_flat(self.interval)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure over the stages."""

    name: str
    values: tuple[Value, ...]
    primary: bool = False

    @property
    def change(self) -> float | None:
        """Last stage less the one before, in points."""
        return self.values[-1].value - self.values[-2].value if len(self.values) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Results:
    """Figures on one common scale from `low` to `high` per cent."""

    figures: tuple[Figure, ...]
    low: float
    high: float

    @property
    def unsure(self) -> bool:
        """Some interval says nothing."""
        return any(value.unsure for figure in self.figures for value in figure.values)


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """A group of samples, its size, and each stage's official figure on it."""

    name: str
    n: float
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A named quantity and its share (0 to 1) of the largest or the whole."""

    name: str
    value: float
    share: float
    note: str = ""


def is_flat(interval: tuple[float, float]) -> bool:
    """Every resample gave the same: an interval without a width says nothing, as with 0 right of 13."""
    return interval[1] - interval[0] < 1e-9


def results(metrics: dict[str, Metrics]) -> Results | None:
    """The official figure and every other rate of the whole test set, official first."""
    if not metrics:
        return None
    primary = primary_name(list(metrics.values())[-1])
    names = dict.fromkeys([primary, *(name for m in metrics.values() for name in (*m.ci95, *m.figures))])
    names = [name for name in names if "/" not in name and name != "unparseable"]
    figures = [Figure(name=name, values=_values(metrics, name), primary=name == primary) for name in names]
    figures = [figure for figure in figures if figure.values]
    scale = ticks(*_extent(figures), want=4, bounds=(0.0, 100.0))
    low, high = scale[0], scale[-1]
    return Results(figures=tuple(_placed(figure, low, high) for figure in figures), low=low, high=high)


def group_rows(metrics: dict[str, Metrics]) -> list[GroupRow]:
    """The official figure by group of samples; [] where the protocol has no groups."""
    names = dict.fromkeys(name.removesuffix("/n") for m in metrics.values() for name in m.figures if "/" in name)
    return [
        GroupRow(
            name=name,
            n=max(m.figures.get(f"{name}/n", 0.0) for m in metrics.values()),
            values=tuple(m.figures.get(f"{name}/{primary_name(m)}") for m in metrics.values()),
        )
        for name in names
        if any(f"{name}/n" in m.figures for m in metrics.values())
    ]


def primary_name(metrics: Metrics) -> str:
    """The name of the official figure."""
    return str(metrics.primary.get("name", "score"))


def primary_value(metrics: Metrics) -> float | None:
    """The official figure, per cent; None if the file holds no number for it."""
    value = metrics.primary.get("value")
    return float(value) if is_number(value) else None


def _values(metrics: dict[str, Metrics], name: str) -> tuple[Value, ...]:
    values = []
    for stage, m in metrics.items():
        value = primary_value(m) if name == primary_name(m) else m.figures.get(name)
        if is_number(value):
            values.append(Value(stage=stage, value=value, interval=m.ci95.get(name)))
    return tuple(values)


def _extent(figures: list[Figure]) -> tuple[float, float]:
    """Lowest and highest of the values and the ends of their intervals."""
    values = [value for figure in figures for value in figure.values]
    ends = [end for value in values for end in (value.value, *(value.interval or ())) if is_number(end)]
    return min(ends, default=0.0), max(ends, default=100.0)


def _placed(figure: Figure, low: float, high: float) -> Figure:
    def across(value: float) -> float:
        return round(min(max((value - low) / (high - low), 0.0), 1.0) * 100, 2)

    values = tuple(
        Value(
            stage=v.stage,
            value=v.value,
            interval=v.interval,
            at=across(v.value),
            ends=(across(v.interval[0]), across(v.interval[1])) if v.interval else None,
        )
        for v in figure.values
    )
    return Figure(name=figure.name, values=values, primary=figure.primary)


def bars(values: dict[str, float], *, of_sum: bool = False) -> list[Bar]:
    """The values as bars, in their own order; shares of the largest, or of the sum."""
    whole = (sum(values.values()) if of_sum else max(values.values(), default=0.0)) or 1.0
    return [Bar(name=name, value=value, share=max(value / whole, 0.0)) for name, value in values.items()]


def control_rows(run: Answered) -> list[Bar]:
    """The last stage's official figure, then every control beside it."""
    if not run.controls or not run.metrics:
        return []
    stage, last = list(run.metrics.items())[-1]
    own = primary_value(last)
    rows = [] if own is None else [Bar(name=stage, value=own, share=own / 100, note="as it was evaluated")]
    return rows + [
        Bar(name=name, value=value, share=value / 100, note=CONTROLS.get(name, ""))
        for name, value in run.controls.items()
    ]


def difficulty(rated: list[Rated]) -> list[Bar]:
    """How many samples have which pass rate, lowest rate first; tenths where there are more than eleven rates."""
    bins = Counter(round(record.pass_rate, 2) for record in rated)
    if len(bins) > 11:
        bins = Counter(round(record.pass_rate, 1) for record in rated)
    return bars({f"{number(rate * 100)} %": float(bins[rate]) for rate in sorted(bins)})
