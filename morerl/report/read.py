"""A run folder as the report sees it: every file optional, every gap a plain sentence.

What a stage wrote may be absent, cut short or of another make; that is never an error here. It
becomes a note, and the page shows the note where the section would have been.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from morerl.config import dump_settings, load_settings
from morerl.data_settings import ALONE
from morerl.errors import DataError, MorerlError
from morerl.jsonl import read_records, read_samples
from morerl.schema import Metrics, Prediction, Rated, Sample
from morerl.settings import Settings

T = TypeVar("T")
LogLine = dict[str, Any]
Notes = dict[str, str]

# The two stages of the method come last and in this order, however a file lists them: the page
# reads "before" and "after" off the end.
STAGE_RANK = {"sft": 1, "grpo": 2}
# A run's own config.yaml and run.json, or else those of the latest stage that left them.
LATEST_FIRST = ("test", "grpo", "rate", "sft", "teach", "draw")
# What a control takes away. Its predictions answer changed samples, so they are no stage's.
CONTROLS = {
    "shuffled_pictures": "every question asked with another sample's picture",
    "blank_text": "the text blanked out",
}
HUGE = 1e12  # what a diverged run logs beyond this would flatten every curve


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was found; a mapping is empty and a scalar None where its file is missing."""

    name: str
    settings: Settings | None = None
    config_text: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Metrics] = field(default_factory=dict)
    controls: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: float | None = None
    logs: dict[str, list[LogLine]] = field(default_factory=dict)
    schedule: list[LogLine] = field(default_factory=list)
    rated: list[Rated] = field(default_factory=list)
    predictions: dict[str, dict[str, Prediction]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    notes: Notes = field(default_factory=dict)

    def image_root(self, sample: Sample) -> Path | None:
        """Where the sample's picture is, if the settings say so."""
        corpora = self.settings.data.each if self.settings else {}
        corpus = corpora.get(ALONE) or corpora.get(sample.corpus)
        return corpus.image_root if corpus else None

    @property
    def seed(self) -> int:
        """The run's seed; 0 where the settings are missing."""
        return self.settings.run.seed if self.settings else 0


def read_run(run_dir: Path) -> Run:
    """Everything of a run folder that can be read. Raises DataError if there is no such folder."""
    if not run_dir.is_dir():
        raise DataError(f"no run folder {run_dir}; want the run.dir of a run's settings")
    notes: Notes = {}
    settings = _read(notes, _home(run_dir, "config.yaml"), "config.yaml", load_settings, None)
    names = list(settings.data.each) if settings else [ALONE]
    figures = _read_figures(notes, run_dir)
    if names != [ALONE]:
        notes["metrics.json"] = _figures_of_each(run_dir, names)
    return Run(
        name=run_dir.resolve().name,
        settings=settings,
        config_text=dump_settings(settings) if settings else "",
        about=_read(notes, _home(run_dir, "run.json"), "run.json", read_object, {}),
        metrics=_metrics(notes, figures),
        controls=_numbers(figures.get("controls")),
        seconds=_numbers(figures.get("seconds")),
        peak_memory_mb=_numbers(figures).get("peak_memory_mb"),
        logs=_read_logs(notes, run_dir),
        schedule=_read_log(notes, run_dir, "schedule.jsonl"),
        rated=_read(notes, run_dir, "rated.jsonl", lambda path: list(read_records(path, Rated)), []),
        predictions=_read_predictions(notes, run_dir, names),
        samples=_read_test(notes, settings),
        notes=notes,
    )


def by_stage(names: list[str]) -> list[str]:
    """Stage names in the order they ran, as far as names tell."""
    return sorted(names, key=lambda name: STAGE_RANK.get(name, 0))


def _read(notes: Notes, folder: Path, name: str, read: Callable[[Path], T], fallback: T) -> T:
    path = folder / name
    if not path.exists():
        notes[name] = f"{name} is not in the run folder."
        return fallback
    try:
        return read(path)
    except (MorerlError, ValueError, OSError) as error:  # bad JSON, UTF-8 and fields are ValueErrors
        notes[name] = f"{name} cannot be used: {error}".replace(f"{folder}/", "")
        return fallback


def _home(run_dir: Path, name: str) -> Path:
    homes = (run_dir, *(run_dir / stage for stage in LATEST_FIRST))
    return next((home for home in homes if (home / name).exists()), run_dir)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object a file holds. Raises ValueError for anything else."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"want a JSON object, found {type(value).__name__}")
    return value


def _read_figures(notes: Notes, run_dir: Path) -> dict[str, Any]:
    """metrics.json, or what scoring left beside the predictions, in the same form."""
    beside = _test_files(run_dir, ".test.metrics.json")
    if not beside or (run_dir / "metrics.json").exists():
        return _read(notes, run_dir, "metrics.json", read_object, {})
    found = {
        name: _read(notes, run_dir / "predictions", f"{name}.test.metrics.json", read_object, {}) for name in beside
    }
    stages = {name: value for name, value in found.items() if name not in CONTROLS}
    primaries = {name: value.get("primary") or {} for name, value in found.items() if name in CONTROLS}
    return stages | {"controls": {name: primary.get("value") for name, primary in primaries.items()}}


def _figures_of_each(run_dir: Path, names: list[str]) -> str:
    """The official figure of every stage and corpus, in a sentence: figures of different kinds share no scale."""
    told = []
    for name in names:
        for stage in by_stage(_test_files(run_dir, f".test.{name}.metrics.json")):
            path = f"{stage}.test.{name}.metrics.json"
            primary = _read({}, run_dir / "predictions", path, read_object, {}).get("primary")
            if isinstance(primary, dict) and is_number(primary.get("value")):
                told.append(f"{name} {primary.get('name')} {primary['value']:.2f} ({stage})")
    return f"This run has {len(names)} corpora, on test: {', '.join(told) or 'not scored yet'}."


def _test_files(run_dir: Path, suffix: str) -> list[str]:
    return sorted(path.name.removesuffix(suffix) for path in (run_dir / "predictions").glob(f"*{suffix}"))


def _metrics(notes: Notes, figures: dict[str, Any]) -> dict[str, Metrics]:
    found = {}
    for stage in by_stage([name for name, value in figures.items() if isinstance(value, dict) and "primary" in value]):
        try:
            found[stage] = Metrics.model_validate(figures[stage])
        except ValueError as error:
            notes["metrics.json"] = f"The figures of {stage} in metrics.json cannot be used: {error}"
    if figures and not found:
        notes.setdefault("metrics.json", "metrics.json holds no figures of any stage.")
    return found


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {str(key): float(v) for key, v in value.items() if is_number(v)}


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite int or float, fit for drawing, and not a bool, which Python counts among the ints."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < HUGE


def _read_logs(notes: Notes, run_dir: Path) -> dict[str, list[LogLine]]:
    stages = by_stage(sorted(path.parent.name for path in run_dir.glob("*/log.jsonl")))
    for stage in ("sft", "grpo"):
        if stage not in stages:
            notes[f"{stage}/log.jsonl"] = f"{stage}/log.jsonl is not in the run folder."
    return {stage: _read_log(notes, run_dir, f"{stage}/log.jsonl") for stage in stages}


def _read_log(notes: Notes, run_dir: Path, name: str) -> list[LogLine]:
    """The good lines; a killed run leaves a torn last one, so bad lines are counted and not fatal."""
    raw = _read(notes, run_dir, name, lambda path: path.read_bytes().splitlines(), [])
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


def _read_predictions(notes: Notes, run_dir: Path, names: list[str]) -> dict[str, dict[str, Prediction]]:
    """Stage -> sample id -> prediction, those of several corpora together."""
    found: dict[str, dict[str, Prediction]] = {}
    for suffix in (".test.jsonl" if name == ALONE else f".test.{name}.jsonl" for name in names):
        stages = [stage for stage in _test_files(run_dir, suffix) if stage not in CONTROLS]
        if not stages:
            notes["predictions"] = f"predictions/ holds no <stage>{suffix}."
        for stage in by_stage(stages):
            records = _read(notes, run_dir, f"predictions/{stage}{suffix}", _read_prediction_file, [])
            if records:
                found.setdefault(stage, {}).update({record.id: record for record in records})
    return {stage: found[stage] for stage in by_stage(list(found))}


def _read_prediction_file(path: Path) -> list[Prediction]:
    return list(read_records(path, Prediction))


def _read_test(notes: Notes, settings: Settings | None) -> list[Sample]:
    if settings is None:
        notes["test.jsonl"] = "Without config.yaml it is not known where the test samples are."
        return []
    found: list[Sample] = []
    for corpus in settings.data.each.values():
        samples = _read(notes, corpus.dir, "test.jsonl", read_samples, [])
        if not samples and not (corpus.dir / "test.jsonl").exists():
            notes["test.jsonl"] = "test.jsonl is not in the data folder that config.yaml names (data.dir)."
        found += samples
    return found
