"""Stages that only read a model: difficulty of the remaining train samples, predictions, their score."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from morerl.errors import DataError
from morerl.evaluation import score_files
from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples, write_records
from morerl.models.endpoint import complete
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.partial import Ask, drop, fingerprint, in_chunks, kept
from morerl.prompts.parse import parse
from morerl.runs import begin, finish, model_marks, sha256
from morerl.schema import Extraction, Metrics, Prediction, Rated, Reasoning, Sample
from morerl.scoring import is_right
from morerl.settings import GenerateSettings, Settings
from morerl.task import TaskSpec

Listener = Callable[[int, int], object]
CHUNK = 16  # batches that are answered before they are put on disk
SPREAD = 7919  # keeps the seeds of one chunk's batches apart from another's


def run_rate(settings: Settings, *, listener: Listener = lambda done, total: None) -> dict[str, Any]:
    """Rates the train samples that SFT did not use, or with rate.taught all; writes <run.dir>/rated.jsonl.

    Greedy and once, as MORE-R1 does; with rate.n > 1 and rate.temperature > 0 the pass rate over n
    draws. What cannot be parsed is not right, so every sample given is rated. Returns
    {"rated", "easy", "hard", "seconds"} (easy: always right).
    """
    model = settings.rate.model or settings.run.dir / "sft" / "model"
    reasoning = settings.sft.reasoning or settings.run.dir / "reasoning.jsonl"
    taught = [] if settings.rate.taught else [reasoning]
    done = begin(settings, "rate", [*taught, settings.data.dir / "train.jsonl", *model_marks(model)])
    if done is not None:
        return done
    started = time.perf_counter()
    spec = load_spec(settings.data.guidelines)
    samples = _to_rate(settings, taught)
    how = settings.generate.model_copy(update={"n": settings.rate.n, "temperature": settings.rate.temperature})
    texts = _answerer(model, None, spec, settings, how, lambda n: listener(n, len(samples)))(samples, 0)
    rows = [_rated(sample, drawn, spec) for sample, drawn in zip(samples, texts, strict=True)]
    write_records(settings.run.dir / "rated.jsonl", rows)
    easy = sum(row.pass_rate == 1.0 for row in rows)
    seconds = round(time.perf_counter() - started, 1)
    return finish(settings, "rate", {"rated": len(rows), "easy": easy, "hard": len(rows) - easy, "seconds": seconds})


def _to_rate(settings: Settings, taught: list[Path]) -> list[Sample]:
    used = {row.id for path in taught for row in read_records(path, Reasoning)}
    train = read_samples(settings.data.dir / "train.jsonl", limit=settings.data.limit)
    rest = [sample for sample in train if sample.id not in used and sample.gold is not None]
    if not rest:
        raise DataError(f"{_no_rest(settings, taught)}: none is left to rate")
    if settings.rate.limit is not None and settings.rate.limit < len(rest):
        drawn = set(random.Random(settings.run.seed).sample(range(len(rest)), settings.rate.limit))
        rest = [sample for index, sample in enumerate(rest) if index in drawn]
    return rest


def _no_rest(settings: Settings, taught: list[Path]) -> str:
    if not taught:
        return f"{settings.data.dir / 'train.jsonl'} holds no gold answer"
    return f"{taught[0]} uses every train sample (rate.taught=true rates those too)"


def _rated(sample: Sample, drawn: Sequence[str], spec: TaskSpec) -> Rated:
    right = sum(is_right(sample, parse(text, spec, sample).answer, spec) for text in drawn)
    return Rated(id=sample.id, n=len(drawn), n_correct=right)


def run_predict(
    settings: Settings,
    *,
    listener: Listener = lambda done, total: None,
    samples: Sequence[Sample] | None = None,
) -> Path:
    """Writes the completions of a split (or of `samples`) as predictions; returns the file.

    What an interrupted call has answered with the same settings is not asked again.
    """
    model, out = predict_target(settings)
    spec = load_spec(settings.data.guidelines)
    if samples is None:
        samples = read_samples(settings.data.dir / f"{settings.predict.split}.jsonl", limit=settings.data.limit)
    mark = _mark(model, samples, spec, settings)
    size = CHUNK * settings.generate.batch_size
    before = kept(out, mark, size=size)
    ask = _answerer(
        model,
        settings.predict.endpoint,
        spec,
        settings,
        settings.generate,
        lambda n: listener(before + n, len(samples)),
    )
    texts = in_chunks(samples, out, mark, ask, size=size)
    write_records(out, [_prediction(sample, drawn, spec) for sample, drawn in zip(samples, texts, strict=True)])
    drop(out)
    return out


def _mark(model: str | Path, samples: Sequence[Sample], spec: TaskSpec, settings: Settings) -> str:
    """Of everything that the completions depend on."""
    tree = settings.model_dump(mode="json")
    sections = [tree[name] for name in ("images", "prompt", "model", "generate")]
    weights = [sha256(path) for path in model_marks(model)]
    where = (str(model), settings.predict.endpoint, str(settings.data.image_root), settings.run.seed)
    return fingerprint(where, sections, weights, spec.model_dump(), [sample.model_dump() for sample in samples])


def predict_target(settings: Settings) -> tuple[str | Path, Path]:
    """The model to predict with and the file to write, with the settings' defaults filled in."""
    stage = "grpo" if (settings.run.dir / "grpo" / "model").is_dir() else "sft"
    model = settings.predict.model or settings.run.dir / stage / "model"
    name = Path(model).parent.name if Path(model).name == "model" else Path(model).name
    default = settings.run.dir / "predictions" / f"{name}.{settings.predict.split}.jsonl"
    return model, settings.predict.out or default


def _answerer(
    model: str | Path,
    endpoint: str | None,
    spec: TaskSpec,
    settings: Settings,
    how: GenerateSettings,
    listener: Callable[[int], object],
) -> Ask:
    """Answers chunks of samples by the model, loaded once, or by the endpoint; tells how many are answered."""
    count = Counter[str]()

    def on_batch(size: int) -> None:
        count["answered"] += size
        listener(count["answered"])

    shown: dict[str, Any] = {
        "prompt": settings.prompt,
        "images": settings.images,
        "image_root": settings.data.image_root,
        "settings": how,
        "on_batch": on_batch,
    }
    if endpoint is not None:
        shown |= {"base_url": endpoint, "model": str(model)}
        return lambda samples, chunk: complete(samples, spec, seed=settings.run.seed + SPREAD * chunk, **shown)
    loaded = cache(lambda: _load(model, settings))
    return lambda samples, chunk: generate(*loaded(), samples, spec, seed=settings.run.seed + SPREAD * chunk, **shown)


def _load(model: str | Path, settings: Settings) -> tuple[Any, Any]:
    import torch

    processing = load_processing(model)
    return load_model(model, settings.model).to("cuda" if torch.cuda.is_available() else "cpu"), processing


def _prediction(sample: Sample, drawn: Sequence[str], spec: TaskSpec) -> Prediction:
    first = parse(drawn[0], spec, sample)
    answer = first.answer.model_dump() if isinstance(first.answer, Extraction) else first.answer
    return Prediction(id=sample.id, completions=tuple(drawn), answer=answer, problems=first.problems)


def score_run(settings: Settings, *, draws: int = 1000) -> tuple[Path, Metrics]:
    """Scores the predictions of the settings' model and split; returns the metrics file and the metrics."""
    model, predictions = predict_target(settings)
    out = predictions.with_suffix(".metrics.json")
    metrics = score_files(
        settings.data.dir / f"{settings.predict.split}.jsonl",
        predictions,
        settings.data.guidelines,
        out,
        limit=settings.data.limit,
        draws=draws,
        model=str(model),
        seed=settings.run.seed,
        template=settings.prompt.template,
    )
    return out, metrics
