"""A run folder as the report sees it: every file optional, every gap a plain sentence.

What a stage wrote may be absent, cut short or of another make; that is never an error here. It
becomes a note, and the page shows the note where the section would have been.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from morerl.config import dump_settings, load_settings
from morerl.errors import DataError
from morerl.jsonl import read_records
from morerl.report.ended import Kept, kept, last_step, read_ended, seconds
from morerl.report.notes import LogLine, Notes, is_number, numbers, read, read_object
from morerl.report.sets import Answered, by_stage, read_sets
from morerl.schema import Rated
from morerl.settings import Settings

# A run's own config.yaml and run.json, or else those of the latest stage that left them.
LATEST_FIRST = ("test", "grpo", "rate", "sft", "teach", "draw")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was found; a mapping is empty and a scalar None where its file is missing."""

    name: str
    folder: Path
    settings: Settings | None = None
    config_text: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, list[LogLine]] = field(default_factory=dict)
    schedule: list[LogLine] = field(default_factory=list)
    rated: list[Rated] = field(default_factory=list)
    sets: list[Answered] = field(default_factory=list)
    notes: Notes = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The run's seed; 0 where the settings are missing."""
        return self.settings.run.seed if self.settings else 0

    def last_step(self, stage: str) -> float | None:
        """The step a stage went to; None where that is not known."""
        return last_step(self.ended.get(stage, {}), self.logs.get(stage, []))

    def kept(self, stage: str) -> Kept | None:
        """The step whose model a stage kept; None where it does not say."""
        return kept(self.folder, stage, self.ended.get(stage, {}), self.last_step(stage))


def read_run(run_dir: Path) -> Run:
    """Everything of a run folder that can be read. Raises DataError if there is no such folder."""
    if not run_dir.is_dir():
        raise DataError(f"no run folder {run_dir}; want the run.dir of a run's settings")
    notes: Notes = {}
    settings = _settings(notes, run_dir)
    figures = read({}, run_dir, "metrics.json", read_object, {})
    peak, ended = figures.get("peak_memory_mb"), read_ended(run_dir)
    return Run(
        name=run_dir.resolve().name,
        folder=run_dir,
        settings=settings,
        config_text=dump_settings(settings) if settings else "",
        about=read(notes, _home(run_dir, "run.json"), "run.json", read_object, {}),
        seconds=numbers(figures.get("seconds")) or _by_stage(notes, seconds(ended)),
        peak_memory_mb=peak if is_number(peak) else None,
        ended=ended,
        logs=_read_logs(notes, run_dir),
        schedule=_read_log(notes, run_dir, "schedule.jsonl"),
        rated=read(notes, run_dir, "rated.jsonl", lambda path: list(read_records(path, Rated)), []),
        sets=read_sets(notes, run_dir, settings),
        notes=notes,
    )


def _by_stage(notes: Notes, found: dict[str, float]) -> dict[str, float]:
    """What the stages wrote down of themselves, with a word on what that leaves out."""
    if found:
        notes["time"] = f"As {', '.join(found)} wrote down; a stage that was resumed counts from there on."
    else:
        notes["time"] = "No stage has written down its time: neither metrics.json nor a stage's done.json has seconds."
    return found


def _settings(notes: Notes, run_dir: Path) -> Settings | None:
    """The settings; where an older or a changed file cannot be used, the note names the file and says what to do."""
    name = (_home(run_dir, "config.yaml") / "config.yaml").relative_to(run_dir).as_posix()
    said: Notes = {}
    settings = read(said, run_dir, name, load_settings, None)
    for sentence in said.values():
        remedy = (
            " Mend it there, or delete the key, and write the report again." if "cannot be used" in sentence else ""
        )
        notes["config.yaml"] = sentence + remedy
    return settings


def _home(run_dir: Path, name: str) -> Path:
    homes = (run_dir, *(run_dir / stage for stage in LATEST_FIRST))
    return next((home for home in homes if (home / name).exists()), run_dir)


def _read_logs(notes: Notes, run_dir: Path) -> dict[str, list[LogLine]]:
    stages = by_stage(sorted(path.parent.name for path in run_dir.glob("*/log.jsonl")))
    for stage in ("sft", "grpo"):
        if stage not in stages:
            notes[f"{stage}/log.jsonl"] = f"{stage}/log.jsonl is not in the run folder."
    return {stage: _read_log(notes, run_dir, f"{stage}/log.jsonl") for stage in stages}


def _read_log(notes: Notes, run_dir: Path, name: str) -> list[LogLine]:
    """The good lines; a killed run leaves a torn last one, so bad lines are counted and not fatal."""
    raw = read(notes, run_dir, name, lambda path: path.read_bytes().splitlines(), [])
    lines, bad = [], 0
    for line in filter(bytes.strip, raw):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            lines.append(value)
        else:
            bad += 1
    if bad:
        notes[name] = f"{name}: {bad} of {bad + len(lines)} lines could not be read and are left out."
    elif raw and not lines:
        notes[name] = f"{name} is empty."
    return lines
