"""What a model card states, read from the files of the run: figures, data, training.

Paths of the machine are cut to their last parts, and addresses left out: a card is made to be published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from morerl.data_settings import ALONE
from morerl.export.source import Source
from morerl.jsonl import read_record
from morerl.runs import read_json, reasoning_files, sha256
from morerl.schema import Metrics
from morerl.settings import Settings

OWN_TO_THE_MACHINE = {"teach": ("endpoint", "request", "prices"), "predict": ("model", "endpoint", "out")}


class Scored(NamedTuple):
    """The figures of the model on one split; `corpus` as its guideline calls it, `gold` the samples."""

    split: str
    corpus: str
    metrics: Metrics
    gold: Path | None


class File(NamedTuple):
    """One file that was read, as its stage found it; `rows` None where it is gone or has changed since."""

    name: str
    sha256: str
    rows: int | None


class Stage(NamedTuple):
    """One stage of training; `done` is empty where it had not ended."""

    name: str
    about: dict[str, Any]
    done: dict[str, Any]


def scored(source: Source, corpora: dict[str, str]) -> list[Scored]:
    """What `morerl score` left of this model, test first. `corpora`: name in the settings -> in the guideline.

    Raises DataError for a file that cannot be read.
    """
    found = []
    for path in sorted((source.run / "predictions").glob(f"{source.stage}.*.metrics.json")):
        _, split, *of = path.name.removesuffix(".metrics.json").split(".")
        name = of[0] if of else ALONE
        metrics = read_record(path, Metrics)
        if name in corpora and _of_it(source, metrics):
            gold = metrics.settings.get("gold")
            found.append(Scored(split, corpora[name], metrics, None if gold is None else path.parent / str(gold)))
    return sorted(found, key=lambda one: (one.split != "test", one.split, one.corpus))


def _of_it(source: Source, metrics: Metrics) -> bool:
    """Predictions may have been written under the stage's name by another run's model.

    A run that was moved names its model as it lay when it was scored, below the run.dir of its settings.
    """
    model = str(metrics.settings.get("model") or source.stage)
    own = (source.model, source.settings.run.dir / source.stage / "model")
    return model == source.stage or Path(model).resolve() in [path.resolve() for path in own]


def training(source: Source) -> list[Stage]:
    """The stages that led to the model, each as it tells of itself."""
    names = ("sft", "grpo") if source.stage == "grpo" and source.settings.grpo.model is None else (source.stage,)
    read = [(name, read_json(source.run / name / "run.json")) for name in names]
    return [Stage(name, about, read_json(source.run / name / "done.json") or {}) for name, about in read if about]


def files_read(source: Source, stages: list[Stage], found: list[Scored]) -> list[File]:
    """The files of samples, chains and ratings that the stages and the scorer read, each once, with their hashes."""
    read = {name: digest for stage in stages for name, digest in stage.about.get("inputs", {}).items()}
    wanted = {name: digest for name, digest in read.items() if name.endswith(".jsonl")}
    here = [path for path in _candidates(source) if path.is_file()]
    rows = {sha256(path): _lines(path) for path in here if any(name.endswith(path.name) for name in wanted)}
    files = [File("/".join(PurePath(name).parts[-2:]), digest, rows.get(digest)) for name, digest in wanted.items()]
    gold = {sha256(one.gold): one.gold for one in found if one.gold is not None and one.gold.is_file()}
    fresh = {digest: path for digest, path in gold.items() if digest not in read.values()}
    return files + [File("/".join(path.parts[-2:]), digest, _lines(path)) for digest, path in fresh.items()]


def _candidates(source: Source) -> Iterator[Path]:
    settings = source.settings
    named = [*reasoning_files(settings), *filter(None, [settings.grpo.rated])]
    named += [one.dir / f"{split}.jsonl" for one in settings.data.each.values() for split in ("train", "dev", "test")]
    yield from source.run.glob("*.jsonl")
    for path in named:
        inside = path.is_relative_to(settings.run.dir)
        yield source.run / path.relative_to(settings.run.dir) if inside else path


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(bool(line.strip()) for line in lines)


def base_model(source: Source) -> str | None:
    """The hub id, or the name of the folder, that training began with; None for random weights."""
    settings = source.settings
    path = settings.grpo.model if source.stage == "grpo" and settings.grpo.model else settings.model.path
    return None if path is None else path if is_hub_id(path) else f".../{PurePath(path).name}"


def is_hub_id(path: str) -> bool:
    """Whether a model's path is owner/name on the Hub, and no folder of this machine."""
    return re.fullmatch(r"\w[\w.-]*/[\w.-]+", path) is not None and not Path(path).exists()


def public(settings: Settings) -> dict[str, Any]:
    """The settings as a tree, without addresses, and with paths that leave the run's place cut to their last part."""
    tree = settings.model_dump(mode="json")
    for stage in ("sft", "grpo"):
        options = tree[stage]["trainer"]
        tree[stage]["trainer"] = {name: one for name, one in options.items() if not name.startswith("vllm_server_")}
    for section, names in OWN_TO_THE_MACHINE.items():
        tree[section] = {name: value for name, value in tree[section].items() if name not in names}
    return _cut(tree)


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if "://" in value:
        return "..."
    return f".../{PurePath(value).name}" if value.startswith(("/", "~")) or ".." in PurePath(value).parts else value
