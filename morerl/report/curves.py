"""Which of a training log's metrics share a chart. Names are TRL's, and morerl's own (mixing/, dev_f1)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from morerl.report.charts import ANY, Chart, Point, Series, line_chart
from morerl.report.ended import Kept
from morerl.report.notes import LogLine, is_number

DEV = "F1 on dev"
PARTS = "mean over the batch; parts before their weights, all parts: the weighted sum"
# `solved` is what adaptive mixing counts a sample's rollouts by: it is logged as a part, and earns nothing
SHARE, PER_CENT, POSITIVE = (0.0, 1.0), (0.0, 100.0), (0.0, math.inf)
# title, unit, what it can be, pattern of the metric; a named group is what the legend says
CHARTS = (
    ("Loss", "", ANY, r"(?P<name>loss|eval_loss)"),
    ("Reward, by part", PARTS, ANY, r"(?P<name>reward)|rewards/(?P<part>(?!solved/).+)/mean"),
    ("Groups whose rewards are all equal", "share; these teach nothing", SHARE, r"(?P<name>frac_reward_zero_std)"),
    ("Spread of the reward within a group", "standard deviation", POSITIVE, r"(?P<name>reward_std)"),
    ("Completion length", "tokens, mean", POSITIVE, r"(?P<name>completions/mean_length)"),
    ("Completions cut off at the limit", "share", SHARE, r"(?P<name>completions/clipped_ratio)"),
    ("Distance from the starting model", "KL", ANY, r"(?P<name>kl)"),
    ("Entropy", "nats a token", POSITIVE, r"(?P<name>entropy)"),
    ("Gradient norm", "", POSITIVE, r"(?P<name>grad_norm)"),
    ("Adaptive mixing", "share: refilled of a window, the others of all samples", SHARE, r"mixing/(?P<name>.+)"),
    (DEV, "per cent, greedy decoding", PER_CENT, r"(?P<name>dev_f1)|dev/(?P<corpus>.+)"),
)


def stage_charts(
    log: list[LogLine], against: tuple[list[LogLine], str, str] | None = None, kept: Kept | None = None
) -> list[Chart]:
    """The charts a stage's log has points for, in the order of CHARTS; the step it kept is marked in that of dev.

    `against`: the same log of another run, its name, and the name of the run itself.
    """
    charts = []
    for title, unit, bounds, pattern in CHARTS:
        other = (_series(against[0], pattern), *against[1:]) if against else None
        mark = (kept.step, "kept") if kept and title == DEV else None
        charts.append(line_chart(title, _series(log, pattern), unit=unit, bounds=bounds, against=other, mark=mark))
    return [chart for chart in charts if chart]


def _series(log: list[LogLine], pattern: str) -> Series:
    metrics = sorted({key for line in log for key in line}, key=lambda key: (key != "reward", key))
    names = [(_legend(pattern, metric), metric) for metric in metrics]
    series = {name: points_of(log, metric) for name, metric in names if name}
    # a part equal to the whole hides under it, so the whole is drawn first and named so
    if "reward" in series and len(series) > 1:
        series = {"all parts": series.pop("reward"), **series}
    return series


def points_of(log: Iterable[LogLine], metric: str) -> list[Point]:
    """(step, value) of every line that holds both as numbers."""
    return [
        (float(line["step"]), float(line[metric]))
        for line in log
        if is_number(line.get("step")) and is_number(line.get(metric))
    ]


def _legend(pattern: str, metric: str) -> str | None:
    match = re.fullmatch(pattern, metric)
    return next((name for name in match.groups() if name), None) if match else None
