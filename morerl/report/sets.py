"""What a run answered: a split (of a corpus) with its samples, its task, and each stage's completions and figures.

Files are named <stage>.<split>.jsonl, or <stage>.<split>.<corpus>.jsonl where a run has several corpora. Gold and
guideline are those that the figures beside a file say it was scored with, or else the ones of the run's settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from morerl.data_settings import ALONE, CorpusSettings
from morerl.errors import MorerlError
from morerl.evaluation import task_of
from morerl.jsonl import read_records, read_samples
from morerl.report.notes import Notes, numbers, read, read_object
from morerl.schema import Completions, Metrics, Sample
from morerl.settings import Settings
from morerl.task import TaskSpec

# The two stages of the method come last and in this order, however a file lists them: the page
# reads "before" and "after" off the end.
STAGE_RANK = {"sft": 1, "grpo": 2}
# What a control takes away. Its predictions answer changed samples, so they are no stage's.
CONTROLS = {
    "shuffled_pictures": "every question asked with another sample's picture",
    "blank_text": "the text blanked out",
}
FIGURES = ".metrics.json"
NAME = re.compile(r"(?P<stage>.+?)\.(?P<split>train|dev|test)(?:\.(?P<corpus>[^.]+))?")  # models have dots too
Answers = dict[str, tuple[str, ...]]  # sample id -> completions


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One split of one corpus; a mapping is empty and `spec` None where nothing could be read."""

    name: str
    split: str
    corpus: str = ""
    gold: Path | None = None
    guidelines: str | None = None
    image_root: Path | None = None
    spec: TaskSpec | None = None
    samples: list[Sample] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    predictions: dict[str, Answers] = field(default_factory=dict)
    metrics: dict[str, Metrics] = field(default_factory=dict)
    controls: dict[str, float] = field(default_factory=dict)


def read_sets(notes: Notes, run_dir: Path, settings: Settings | None) -> list[Answered]:
    """Everything a run answered, its test split first; one empty test split where it answered nothing."""
    found: dict[tuple[str, str], list[str]] = {}
    for stage, split, corpus in _names(notes, run_dir / "predictions"):
        found.setdefault((split, corpus), []).append(stage)
    answered = any(stage not in CONTROLS for stages in found.values() for stage in stages)
    if not answered:
        notes["predictions"] = "predictions/ holds no <stage>.test.jsonl."
    asked = {("test", name) for name in (settings.data.each if settings else (ALONE,))}
    keys = sorted(found or asked, key=lambda key: (key[0] != "test", key))
    # the demo alone writes one; of a run whose stages were scored one by one nobody expects it
    whole = read(notes, run_dir, "metrics.json", read_object, {}) if (run_dir / "metrics.json").exists() else {}
    sets = [_answered(notes, run_dir, settings, key, found.get(key, []), whole) for key in keys]
    if not any(one.metrics for one in sets):
        verbs = "morerl score CONFIG" if answered else "morerl predict CONFIG, then morerl score CONFIG"
        notes.setdefault("metrics.json", f"No figures yet: {verbs}")
    return sets


def by_stage(names: Iterable[str]) -> list[str]:
    """Stage names in the order they ran, as far as names tell."""
    return sorted(names, key=lambda name: STAGE_RANK.get(name, 0))


def _names(notes: Notes, folder: Path) -> list[tuple[str, str, str]]:
    """(stage, split, corpus) of every file of predictions or of figures; the corpus is often empty."""
    stems = {path.name.removesuffix(suffix) for suffix in (".jsonl", FIGURES) for path in folder.glob(f"*{suffix}")}
    found = {stem: NAME.fullmatch(stem) for stem in sorted(stems)}
    for stem in (stem for stem, named in found.items() if named is None):
        notes[f"predictions/{stem}"] = f"predictions/{stem}.* is not shown: its name is not <stage>.<split>."
    return [(one["stage"], one["split"], one["corpus"] or "") for one in found.values() if one is not None]


def _answered(
    notes: Notes,
    run_dir: Path,
    settings: Settings | None,
    key: tuple[str, str],
    stages: list[str],
    whole: dict[str, Any],
) -> Answered:
    split, corpus = key
    folder = run_dir / "predictions"
    names = {stage: ".".join(filter(None, (stage, split, corpus))) for stage in by_stage(stages)}
    beside = _beside(notes, run_dir, names)
    figures = whole if whole and key == ("test", "") else beside
    gold, guidelines = _scored_with(run_dir, settings, key, beside)
    samples = _samples(notes, gold)
    answered = {stage: name for stage, name in names.items() if (folder / f"{name}.jsonl").exists()}
    stages_own = {stage: name for stage, name in answered.items() if stage not in CONTROLS}
    return Answered(
        name=" · ".join(filter(None, (corpus, split))),
        split=split,
        corpus=corpus,
        gold=gold,
        guidelines=guidelines,
        image_root=of_run.image_root if (of_run := _data(run_dir, settings, corpus)) else None,
        spec=_task(notes, gold, guidelines) if samples else None,
        samples=samples,
        files={stage: folder / f"{name}.jsonl" for stage, name in stages_own.items()},
        predictions=_predictions(notes, run_dir, stages_own),
        metrics=_metrics(notes, figures),
        controls=numbers(figures.get("controls")),
    )


def _beside(notes: Notes, run_dir: Path, names: dict[str, str]) -> dict[str, Any]:
    """What scoring left beside the predictions, in the form of the demo's metrics.json."""
    folder = run_dir / "predictions"
    there = {stage: name for stage, name in names.items() if (folder / f"{name}{FIGURES}").exists()}
    found = {stage: read(notes, folder, f"{name}{FIGURES}", read_object, {}) for stage, name in there.items()}
    stages = {name: value for name, value in found.items() if name not in CONTROLS}
    primaries = {name: value.get("primary") or {} for name, value in found.items() if name in CONTROLS}
    controls = {name: one.get("value") for name, one in primaries.items() if isinstance(one, dict)}
    return stages | {"controls": controls}


def _metrics(notes: Notes, figures: dict[str, Any]) -> dict[str, Metrics]:
    found = {}
    for stage in by_stage([name for name, value in figures.items() if isinstance(value, dict) and "primary" in value]):
        try:
            found[stage] = Metrics.model_validate(figures[stage])
        except ValueError as error:
            notes["metrics.json"] = f"The figures of {stage} in metrics.json cannot be used: {error}"
    if figures.keys() - {"controls"} and not found:
        notes.setdefault("metrics.json", "metrics.json holds no figures of any stage.")
    return found


def _scored_with(
    run_dir: Path, settings: Settings | None, key: tuple[str, str], figures: dict[str, Any]
) -> tuple[Path | None, str | None]:
    """The file of gold answers and the guideline."""
    split, corpus = key
    told = [one.get("settings") or {} for one in figures.values() if isinstance(one, dict)]
    told = [one for one in told if isinstance(one, dict) and isinstance(one.get("gold"), str)]
    for one in told:
        gold = run_dir / "predictions" / one["gold"]
        if gold.is_file():
            guidelines = one.get("guidelines")
            return gold, guidelines if isinstance(guidelines, str) else None
    of_run = _data(run_dir, settings, corpus)
    if of_run is None:
        return None, None
    return of_run.dir / f"{split}.jsonl", of_run.guidelines


def _data(run_dir: Path, settings: Settings | None, corpus: str) -> CorpusSettings | None:
    """Where the settings say that a corpus is, or where it is in a run folder that carries it; None if they do not."""
    told = settings.data.each.get(corpus) if settings is not None else None
    if settings is None or told is None:
        return None
    of_run = settings.run.dir
    pictures = None if told.image_root is None else _carried(run_dir, of_run, told.image_root)
    return told.model_copy(update={"dir": _carried(run_dir, of_run, told.dir), "image_root": pictures})


def _carried(run_dir: Path, of_run: Path, folder: Path) -> Path:
    """A folder as it was named, or its like in a run folder that has been moved with what it holds."""
    inside = [run_dir / folder.relative_to(of_run)] if folder.is_relative_to(of_run) else []
    places = [folder, *inside, run_dir / folder]
    return next((place for place in places if place.is_dir()), folder)


def _samples(notes: Notes, gold: Path | None) -> list[Sample]:
    if gold is None:
        damaged = "cannot be used" in notes.get("config.yaml", "")
        why = "config.yaml would say it" if damaged else "there is no config.yaml that names them"
        notes["test.jsonl"] = f"It is not known where the test samples are: {why}."
        return []
    samples = read(notes, gold.parent, gold.name, read_samples, [])
    if not gold.exists():
        notes.pop(gold.name, None)
        notes["test.jsonl"] = f"{gold.name} is not in the data folder that config.yaml names (data.dir)."
    return samples


def _task(notes: Notes, gold: Path | None, guidelines: str | None) -> TaskSpec | None:
    try:
        return task_of(gold, guidelines) if gold is not None else None
    except MorerlError as error:
        notes["guidelines"] = f"The answers cannot be read again, for the guideline cannot: {error}"
        return None


def _predictions(notes: Notes, run_dir: Path, names: dict[str, str]) -> dict[str, Answers]:
    found = {}
    for stage, name in names.items():
        rows = read(notes, run_dir, f"predictions/{name}.jsonl", _read_completions, [])
        if rows:
            found[stage] = {row.id: row.completions for row in rows}
    return found


def _read_completions(path: Path) -> list[Completions]:
    return list(read_records(path, Completions))
