"""What a benchmark will do: for each corpus its samples and settings, all checked before anything is answered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from morerl.config import load_settings, make_settings
from morerl.errors import ConfigError, DataError
from morerl.guidelines import known_specs, load_spec
from morerl.jsonl import read_samples
from morerl.prompts.render import render
from morerl.runs import read_json, settings_file
from morerl.schema import Sample
from morerl.scoring import Tally
from morerl.settings import Settings

HERITAGE = ("images", "prompt", "model", "generate")  # sections that a trained model is asked by
OWN = ("run", "data", "predict")  # sections that the benchmark fills in
FREE = ("run.seed", "data.image_root", "data.max_prompt_tokens")


class Wanted(NamedTuple):
    """What was asked for, as `morerl.benchmark.run.run_benchmark` has it."""

    model: str
    data: Path
    out: Path
    endpoint: str | None
    split: str
    limit: int | None
    overrides: Sequence[str]


class Task(NamedTuple):
    """One corpus to answer; its folder is `settings.run.dir`."""

    corpus: str
    gold: Path
    samples: list[Sample]
    settings: Settings


def plan(corpora: Sequence[str], wanted: Wanted) -> list[Task]:
    """A task for each corpus, once, in that order.

    Raises ConfigError for an override of what has an option of its own, ConfigError or DataError where a corpus has
    no samples or guideline, or one that the samples do not fit.
    """
    for key in (override.partition("=")[0] for override in wanted.overrides):
        if key.partition(".")[0] in OWN and key not in FREE:
            raise ConfigError(
                f"{key} cannot be overridden here: the benchmark sets it from MODEL, --endpoint, --corpora, --data, "
                "--split, --limit and --out; use these"
            )
    gold = {corpus: wanted.data / corpus / f"{wanted.split}.jsonl" for corpus in corpora}
    for path in gold.values():
        if not path.is_file():
            raise DataError(f"no {path}; make it: python tools/prepare_corpus.py FORMAT RAW --out {path.parent}")
    return [_task(corpus, path, wanted) for corpus, path in gold.items()]


def _task(corpus: str, gold: Path, wanted: Wanted) -> Task:
    samples = read_samples(gold, limit=None if wanted.limit is None else wanted.limit + 1)
    # a limit that leaves nothing out is none
    cut = wanted.limit if wanted.limit is not None and len(samples) > wanted.limit else None
    samples = samples[:cut]
    settings = _settings(corpus, samples[0], cut, wanted)
    spec = load_spec(settings.data.guidelines)
    tally = Tally(spec)
    for sample in samples:  # that each can be scored, were its answer unparseable
        tally.rows(sample, [None])
    render(samples[0], spec, settings.prompt, settings.images)
    return Task(corpus, gold, samples, settings)


def _settings(corpus: str, sample: Sample, limit: int | None, wanted: Wanted) -> Settings:
    data, folder = wanted.data / corpus, wanted.out / slug(wanted.model) / corpus
    # a hub id or a served name lies nowhere
    own = settings_file(wanted.model) if wanted.endpoint is None else None
    about = read_json(data / "corpus.json") or {}
    tree = (_heritage(own, sample) if own is not None else {}) | {
        "run": {"dir": str(folder)},
        "data": {
            "dir": str(data),
            "guidelines": _guidelines(corpus, data),
            "image_root": about.get("image_root"),
            "limit": limit,
        },
        "predict": {
            "model": wanted.model,
            "endpoint": wanted.endpoint,
            "split": wanted.split,
            "out": str(folder / "predictions.jsonl"),
        },
    }
    return make_settings(tree, list(wanted.overrides), own or Path("benchmark"))


def _heritage(own: Path, sample: Sample) -> dict[str, Any]:
    """The sections of the run that made the model, without a template that asks something else than the sample."""
    tree = load_settings(own).model_dump(mode="json")
    tree = {name: tree[name] for name in HERITAGE}
    template = tree["prompt"]["template"]
    if template is not None and (template == "extract") != (sample.task != "pair"):
        tree["prompt"]["template"] = None
    return tree


def _guidelines(corpus: str, data: Path) -> str:
    """The packaged guideline of the corpus, or the one beside its samples."""
    beside = data / "guidelines.yaml"
    return str(beside) if corpus not in known_specs() and beside.is_file() else corpus


def slug(model: str) -> str:
    """A folder's name for a model: its path or name where that is one, else what is safe of it and a short hash."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", model).lstrip("._-")[-80:]
    return safe if safe == model else f"{safe}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
