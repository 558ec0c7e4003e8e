"""One model on many corpora: predict, score, and one table with what others have published beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from morerl.benchmark import Written, write_table
from morerl.benchmark.table import OurRow
from morerl.config import load_settings, make_settings
from morerl.errors import DataError
from morerl.evaluation import score_files
from morerl.guidelines import known_specs, load_spec
from morerl.inference import run_predict
from morerl.jsonl import stream_samples, write_records
from morerl.runs import begin, finish, model_marks, read_json
from morerl.schema import Metrics, Sample
from morerl.settings import Settings

Listener = Callable[[str, int, int], object]
HERITAGE = ("images", "prompt", "model", "generate")  # sections that a trained model is asked by


def run_benchmark(
    model: str,
    corpora: Sequence[str],
    *,
    data: Path,
    out: Path,
    endpoint: str | None = None,
    split: str = "test",
    limit: int | None = None,
    overrides: Sequence[str] = (),
    listener: Listener = lambda corpus, done, total: None,
) -> Written:
    """Answers <data>/<corpus>/<split>.jsonl for every corpus, scores it, and writes <out>/table.{md,json,png}.

    `model`: a folder or hub id, or the name it has at `endpoint`. A model in a run's folder is asked as that run's
    settings say, any other as the samples suggest; `overrides` (section.key=value) change either. What was answered
    with the same settings is not asked again. Raises MorerlError.
    """
    gold = {corpus: data / corpus / f"{split}.jsonl" for corpus in corpora}
    for corpus, path in gold.items():
        if not path.is_file():
            raise DataError(f"no {path}; make it: python tools/prepare_corpus.py FORMAT RAW --out {data / corpus}")
    rows = []
    for corpus in corpora:
        samples = list(itertools.islice(stream_samples(gold[corpus]), limit))
        settings = _settings(model, corpus, samples[0], data, out, endpoint, split, overrides)
        metrics = _answered(settings, samples, partial(listener, corpus))
        note = f"the first {limit} samples only" if limit is not None else ""
        rows.append(OurRow(corpus=corpus, model=model, metrics=metrics, note=note))
    return write_table(rows, out)


def _answered(settings: Settings, samples: list[Sample], listener: Callable[[int, int], object]) -> Metrics:
    """The metrics of the predictions, which are made unless they are there."""
    folder = settings.run.dir
    asked = folder / "samples.jsonl"
    write_records(asked, samples)
    model = settings.predict.model or ""
    if begin(settings, "predict", [asked, *model_marks(model)]) is None:
        run_predict(settings, listener=listener, samples=samples)
        finish(settings, "predict", {"samples": len(samples)})
    out = settings.predict.out
    assert out is not None
    return score_files(asked, out, settings.data.guidelines, folder / "metrics.json", model=model)


def _settings(
    model: str,
    corpus: str,
    sample: Sample,
    data: Path,
    out: Path,
    endpoint: str | None,
    split: str,
    overrides: Sequence[str],
) -> Settings:
    own = Path(model).parent / "config.yaml"  # <run.dir>/grpo/model lies beside the settings that made it
    tree = load_settings(own).model_dump(mode="json") if endpoint is None and own.is_file() else {}
    tree = {name: tree[name] for name in HERITAGE if name in tree}
    template = (tree.get("prompt") or {}).get("template")
    if template is not None and (template == "extract") != (sample.task != "pair"):
        tree["prompt"]["template"] = None  # it asks something else than this corpus does
    about = read_json(data / corpus / "corpus.json") or {}
    folder = out / corpus
    tree |= {
        "run": {"dir": str(folder)},
        "data": {
            "dir": str(data / corpus),
            "guidelines": _guidelines(corpus, data),
            "image_root": about.get("image_root"),
        },
        "predict": {"model": model, "endpoint": endpoint, "split": split, "out": str(folder / "predictions.jsonl")},
    }
    return make_settings(tree, list(overrides), own)


def _guidelines(corpus: str, data: Path) -> str:
    """The packaged guideline of the corpus, or the one beside its samples. Raises ConfigError if there is neither."""
    beside = data / corpus / "guidelines.yaml"
    name = str(beside) if corpus not in known_specs() and beside.is_file() else corpus
    load_spec(name)
    return name
