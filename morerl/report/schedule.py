"""What GRPO was trained on: schedule.jsonl by epoch and by window, beside the difficulty rated before.

A fixed order writes its whole plan there before the first step; nothing cuts it where the run ended sooner, so that is
done here.
"""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any, NamedTuple

from morerl.report.charts import Chart, Series, line_chart
from morerl.report.notes import LogLine, is_number
from morerl.report.read import Run

WHYS = {
    "hard": "hard",
    "easy": "easy",
    "fill": "to fill up",
    "spread": "with spread",
    "floor": "never solved",
    "replay": "solved, replayed",
}
Prompts = list[dict[str, Any]]
Windows = list[tuple[float, Prompts]]  # the first step that trains on it, and what it holds


class Trained(NamedTuple):
    """The windows that a run came to, and in words how many it had planned; no words where it came to all."""

    windows: Windows
    said: str


def trained(run: Run) -> Trained:
    """What was trained on, of what schedule.jsonl plans."""
    planned, last = windows_of(run.schedule), run.last_step("grpo")
    if run.schedule and not planned:
        lines = f"none of its {len(run.schedule)} lines holds a window's prompts; an older morerl wrote other lines"
        return Trained([], f"Nothing of schedule.jsonl can be shown: {lines}.")
    if not planned or last is None:
        said = "how many were trained is not known: neither grpo/done.json nor grpo/log.jsonl tells of a step."
        return Trained(planned, f"Planned {len(planned)} windows; {said}" if planned else "")
    done = [window for window in planned if window[0] <= last]
    said = f"Planned {len(planned)} windows, trained {len(done)}: the run went to step {last:.0f}."
    return Trained(done, said if len(done) < len(planned) else "")


def epochs(windows: Windows) -> list[tuple[str, int, int]]:
    """(epoch, hard samples, easy samples) of an order fixed ahead; what only filled a window up is not counted."""
    counts = Counter(
        (int(prompt["epoch"]), prompt.get("why"))
        for _, prompts in windows
        for prompt in prompts
        if is_number(prompt.get("epoch")) and prompt.get("why") in ("hard", "easy")
    )
    numbers = sorted({epoch for epoch, _ in counts})
    return [(str(epoch), counts[epoch, "hard"], counts[epoch, "easy"]) for epoch in numbers]


def schedule_charts(windows: Windows, against: tuple[Windows, str, str] | None = None) -> list[Chart]:
    """What each window was drawn for, and how hard its samples were, by step; `against` as of `stage_charts`."""
    pairs = (
        ("What a window holds", "share of its prompts, by why they were drawn", _shares),
        ("Pass rate of what is drawn", "mean, as known before the draw", _rates),
    )
    charts = []
    for title, unit, series in pairs:
        other = (series(against[0]), *against[1:]) if against else None
        charts.append(line_chart(title, series(windows), unit=unit, bounds=(0.0, 1.0), against=other))
    return [chart for chart in charts if chart]


def windows_of(schedule: list[LogLine]) -> Windows:
    """(first step, prompts) of every window that holds any."""
    lines = [line for line in schedule if isinstance(line.get("prompts"), list)]
    found = [(line.get("step"), [one for one in line["prompts"] if isinstance(one, dict)]) for line in lines]
    return [(float(step) if is_number(step) else n, prompts) for n, (step, prompts) in enumerate(found, 1) if prompts]


def _shares(windows: Windows) -> Series:
    found = [(step, Counter(str(one.get("why")) for one in prompts)) for step, prompts in windows]
    present = [why for why in WHYS if any(counts[why] for _, counts in found)]
    return {WHYS[why]: [(step, counts[why] / counts.total()) for step, counts in found] for why in present}


def _rates(windows: Windows) -> Series:
    rates = [
        (step, [float(one["pass_rate"]) for one in prompts if is_number(one.get("pass_rate"))])
        for step, prompts in windows
    ]
    points = [(step, fmean(found)) for step, found in rates if found]
    return {"pass rate": points} if points else {}
