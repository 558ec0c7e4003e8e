"""What GRPO was trained on: schedule.jsonl by epoch and by window, beside the difficulty rated before."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any

from morerl.report.charts import Chart, Series, line_chart
from morerl.report.notes import is_number
from morerl.report.read import LogLine

WHYS = {
    "hard": "hard",
    "easy": "easy",
    "fill": "to fill up",
    "spread": "with spread",
    "floor": "never solved",
    "replay": "solved, replayed",
}
Prompts = list[dict[str, Any]]


def epochs(schedule: list[LogLine]) -> list[tuple[str, int, int]]:
    """(epoch, hard samples, easy samples) of an order fixed ahead; what only filled a window up is not counted."""
    counts = Counter(
        (int(prompt["epoch"]), prompt.get("why"))
        for _, prompts in _windows(schedule)
        for prompt in prompts
        if is_number(prompt.get("epoch")) and prompt.get("why") in ("hard", "easy")
    )
    numbers = sorted({epoch for epoch, _ in counts})
    return [(str(epoch), counts[epoch, "hard"], counts[epoch, "easy"]) for epoch in numbers]


def schedule_charts(schedule: list[LogLine], against: tuple[list[LogLine], str, str] | None = None) -> list[Chart]:
    """What each window was drawn for, and how hard its samples were, by step; `against` as of `stage_charts`."""
    pairs = (
        ("What a window holds", "share of its prompts, by why they were drawn", _shares),
        ("Pass rate of what is drawn", "mean, as known before the draw", _rates),
    )
    charts = [
        line_chart(title, series(schedule), unit=unit, against=(series(against[0]), *against[1:]) if against else None)
        for title, unit, series in pairs
    ]
    return [chart for chart in charts if chart]


def _windows(schedule: list[LogLine]) -> list[tuple[float, Prompts]]:
    """(first step, prompts) of every window that holds any."""
    lines = [line for line in schedule if isinstance(line.get("prompts"), list)]
    found = [(line.get("step"), [one for one in line["prompts"] if isinstance(one, dict)]) for line in lines]
    return [(float(step) if is_number(step) else n, prompts) for n, (step, prompts) in enumerate(found, 1) if prompts]


def _shares(schedule: list[LogLine]) -> Series:
    windows = [(step, Counter(str(one.get("why")) for one in prompts)) for step, prompts in _windows(schedule)]
    present = [why for why in WHYS if any(counts[why] for _, counts in windows)]
    return {WHYS[why]: [(step, counts[why] / counts.total()) for step, counts in windows] for why in present}


def _rates(schedule: list[LogLine]) -> Series:
    rates = [
        (step, [float(one["pass_rate"]) for one in prompts if is_number(one.get("pass_rate"))])
        for step, prompts in _windows(schedule)
    ]
    points = [(step, fmean(found)) for step, found in rates if found]
    return {"pass rate": points} if points else {}
