"""Line charts as geometry: data in, path strings and ticks out; the template draws them.

Left out on purpose: a plotting library (the page must open without one). A trend is drawn over the
logged values and never instead of them: a smoothed reward curve hides the collapses one looks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean as mean

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 36
MAX_POINTS = 400  # more than one a pixel of the plot's width adds nothing
TRENDY = 120  # with so many points the noise hides the course
STRETCHES = 40  # of a trend

Point = tuple[float, float]
Series = dict[str, list[Point]]
Range = tuple[float, float]  # lowest and highest that a quantity can be
ANY = (-math.inf, math.inf)
Against = tuple[Series, str, str]  # another run's series, its name, and the name of the run itself


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis: where (in pixels of the drawing) and what it says."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series, drawn: its SVG path, its trend's where points are many, dots where they are few.

    `color` counts the page's colours; `other`: it is the run that this one is laid beside.
    """

    name: str
    color: int
    other: bool
    path: str
    trend: str
    dots: tuple[Point, ...]
    last: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A line chart in a WIDTH x HEIGHT drawing; `mark` is a place across that is pointed out."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    mark: Tick | None = None


def line_chart(
    title: str,
    series: Series,
    *,
    unit: str = "",
    against: Against | None = None,
    bounds: Range = ANY,
    mark: tuple[float, str] | None = None,
) -> Chart | None:
    """A chart of the series that have points, finite ones; None if none has any. `against`: another run's, dashed.

    `bounds`: what the values can be; the axis shows nothing beyond. `mark`: where on the x axis something is to be
    pointed out, and what.
    """
    lines = _named(series, against) if against else [(name, n, False, p) for n, (name, p) in enumerate(series.items())]
    kept = [(name, color, dashed, sorted(points)) for name, color, dashed, points in lines if points]
    if not kept:
        return None
    every = [point for *_, points in kept for point in points]
    y_values = ticks(min(y for _, y in every), max(y for _, y in every), bounds=bounds)
    x_low, x_high = _span((x for x, _ in every), (0.0, math.inf))
    x_values = [value for value in ticks(x_low, x_high) if x_low <= value <= x_high]
    across = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    up = _scale(y_values[0], y_values[-1], HEIGHT - BOTTOM, TOP)
    return Chart(
        title=title,
        unit=unit,
        lines=tuple(_line(name, color, dashed, points, across, up) for name, color, dashed, points in kept),
        x_ticks=tuple(Tick(at=across(value), text=number(value)) for value in x_values),
        y_ticks=tuple(Tick(at=up(value), text=number(value)) for value in y_values),
        mark=Tick(at=across(mark[0]), text=mark[1]) if mark and x_low <= mark[0] <= x_high else None,
    )


def _named(series: Series, against: Against) -> list[tuple[str, int, bool, list[Point]]]:
    """(legend, colour, dashed, points): the same colours for the same series, or for runs where there is but one."""
    others, other, own = against
    colors = {name: number for number, name in enumerate({**series, **others})}
    if len(colors) == 1:
        runs = [(other, 0, True, points) for points in others.values()]
        return runs + [(own, 1, False, points) for points in series.values()]
    lines = [(name, colors[name], False, points) for name, points in series.items()]
    return lines + [(f"{name}, {other}", colors[name], True, points) for name, points in others.items()]


def ticks(low: float, high: float, want: int = 5, bounds: Range = ANY) -> list[float]:
    """Round values, 1, 2 or 5 times a power of ten apart, the first <= low and the last >= high.

    None is out of `bounds`, which are 0, 1, 100 or infinite, unless `low` or `high` is.
    """
    low, high = _span((low, high), bounds)
    rough = (high - low) / want
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def number(value: float) -> str:
    """A value as a person reads it: no needless digits, thousands as k."""
    return f"{value / 1000:.4g}k" if 10_000 <= abs(value) < 1_000_000 else f"{value:.4g}"


def thin(points: list[Point], most: int = MAX_POINTS) -> list[Point]:
    """At most `most` of the sorted points, with the lowest and highest of every stretch: no spike is lost."""
    if len(points) <= most:
        return points
    kept: list[Point] = []
    for stretch in _stretches(points, most // 2):
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept


def trend(points: list[Point]) -> list[Point]:
    """The mean of every stretch of the sorted points; [] where they are too few to need it."""
    if len(points) < TRENDY:
        return []
    return [(mean(x for x, _ in part), mean(y for _, y in part)) for part in _stretches(points, STRETCHES)]


def _stretches(points: list[Point], most: int) -> list[list[Point]]:
    size = math.ceil(len(points) / most)
    return [points[start : start + size] for start in range(0, len(points), size)]


def _span(values: Iterable[float], bounds: Range) -> Point:
    """Lowest and highest, at least a little apart; within `bounds` where the values are."""
    found = list(values)
    low, high = min(found), max(found)
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    margin = abs(low) / 10 or 1.0
    if bounds[0] <= low and high <= bounds[1]:
        return max(low - margin, bounds[0]), min(high + margin, bounds[1])
    return low - margin, high + margin


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    return lambda value: round(start + (value - low) / (high - low) * (stop - start), 1)


def _line(
    name: str,
    color: int,
    other: bool,
    points: list[Point],
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> Line:
    drawn = [(across(x), up(y)) for x, y in thin(points)]
    return Line(
        name=name,
        color=color,
        other=other,
        path=_path(drawn),
        trend=_path([(across(x), up(y)) for x, y in trend(points)]),
        dots=tuple(drawn) if len(drawn) <= 30 else (),
        last=number(points[-1][1]),
    )


def _path(points: list[Point]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points) if points else ""
