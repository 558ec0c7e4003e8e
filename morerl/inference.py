"""Stages that only read a model: difficulty of the remaining train samples, predictions, their score."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from morerl.errors import DataError
from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples, write_json, write_records
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.prompts.parse import parse
from morerl.rewards import is_right
from morerl.runs import begin, finish, model_marks
from morerl.schema import Metrics, Prediction, Rated, Reasoning, Sample, TaskSpec
from morerl.scoring import score
from morerl.settings import GenerateSettings, Settings

Listener = Callable[[int, int], object]


def run_rate(settings: Settings, *, listener: Listener = lambda done, total: None) -> dict[str, Any]:
    """Rates the train samples that SFT did not use; writes <run.dir>/rated.jsonl.

    Greedy and once, as MORE-R1 does; with rate.n > 1 and rate.temperature > 0 the pass rate over n
    draws. What cannot be parsed is not right, so every sample given is rated. Returns
    {"rated", "easy", "hard", "seconds"} (easy: always right).
    """
    model = settings.rate.model or settings.run.dir / "sft" / "model"
    reasoning = settings.sft.reasoning or settings.run.dir / "reasoning.jsonl"
    done = begin(settings, "rate", [reasoning, settings.data.dir / "train.jsonl", *model_marks(model)])
    if done is not None:
        return done
    started = time.perf_counter()
    spec = load_spec(settings.data.guidelines)
    samples = _unused(settings, reasoning)
    how = settings.generate.model_copy(update={"n": settings.rate.n, "temperature": settings.rate.temperature})
    texts = _complete(model, samples, spec, settings, how, listener)
    rows = [_rated(sample, drawn, spec) for sample, drawn in zip(samples, texts, strict=True)]
    write_records(settings.run.dir / "rated.jsonl", rows)
    easy = sum(row.pass_rate == 1.0 for row in rows)
    seconds = round(time.perf_counter() - started, 1)
    return finish(settings, "rate", {"rated": len(rows), "easy": easy, "hard": len(rows) - easy, "seconds": seconds})


def _unused(settings: Settings, reasoning: Path) -> list[Sample]:
    used = {row.id for row in read_records(reasoning, Reasoning)}
    train = read_samples(settings.data.dir / "train.jsonl", limit=settings.data.limit)
    rest = [sample for sample in train if sample.id not in used and sample.gold is not None]
    if not rest:
        raise DataError(f"{reasoning} uses every train sample: none is left to rate")
    if settings.rate.limit is not None and settings.rate.limit < len(rest):
        drawn = set(random.Random(settings.run.seed).sample(range(len(rest)), settings.rate.limit))
        rest = [sample for index, sample in enumerate(rest) if index in drawn]
    return rest


def _rated(sample: Sample, drawn: Sequence[str], spec: TaskSpec) -> Rated:
    return Rated(id=sample.id, n=len(drawn), n_correct=sum(is_right(parse(text, spec), sample) for text in drawn))


def run_predict(
    settings: Settings,
    *,
    listener: Listener = lambda done, total: None,
    samples: Sequence[Sample] | None = None,
) -> Path:
    """Writes the completions of a split (or of `samples`) as predictions; returns the file."""
    model, out = predict_target(settings)
    spec = load_spec(settings.data.guidelines)
    if samples is None:
        samples = read_samples(settings.data.dir / f"{settings.predict.split}.jsonl", limit=settings.data.limit)
    texts = _complete(model, samples, spec, settings, settings.generate, listener)
    write_records(out, [_prediction(sample, drawn, spec) for sample, drawn in zip(samples, texts, strict=True)])
    return out


def predict_target(settings: Settings) -> tuple[str | Path, Path]:
    """The model to predict with and the file to write, with the settings' defaults filled in."""
    stage = "grpo" if (settings.run.dir / "grpo" / "model").is_dir() else "sft"
    model = settings.predict.model or settings.run.dir / stage / "model"
    name = Path(model).parent.name if Path(model).name == "model" else Path(model).name
    default = settings.run.dir / "predictions" / f"{name}.{settings.predict.split}.jsonl"
    return model, settings.predict.out or default


def _complete(
    model: str | Path,
    samples: Sequence[Sample],
    spec: TaskSpec,
    settings: Settings,
    how: GenerateSettings,
    listener: Listener,
) -> list[list[str]]:
    import torch

    processing = load_processing(model)
    weights = load_model(model, settings.model).to("cuda" if torch.cuda.is_available() else "cpu")
    done = Counter[str]()

    def on_batch(count: int) -> None:
        done["samples"] += count
        listener(done["samples"], len(samples))

    return generate(
        weights,
        processing,
        samples,
        spec,
        prompt=settings.prompt,
        images=settings.images,
        image_root=settings.data.image_root,
        settings=how,
        seed=settings.run.seed,
        on_batch=on_batch,
    )


def _prediction(sample: Sample, drawn: Sequence[str], spec: TaskSpec) -> Prediction:
    first = parse(drawn[0], spec)
    return Prediction(id=sample.id, completions=tuple(drawn), answer=first.answer, problems=first.problems)


def score_run(settings: Settings) -> tuple[Path, Metrics]:
    """Scores the predictions of the settings' model and split; returns the metrics file and the metrics."""
    model, predictions = predict_target(settings)
    out = predictions.with_suffix(".metrics.json")
    metrics = score_files(
        settings.data.dir / f"{settings.predict.split}.jsonl",
        predictions,
        settings.data.guidelines,
        out,
        model=str(model),
        seed=settings.run.seed,
        template=settings.prompt.template,
    )
    return out, metrics


def score_files(gold: Path, predictions: Path, guidelines: str, out: Path | None = None, **settings: Any) -> Metrics:
    """Scores a predictions file against the samples' gold by the task's protocol; writes `out` if given.

    The first completion of each sample counts. Raises DataError where a sample has no prediction, a
    prediction no sample, or an id occurs twice.
    """
    spec = load_spec(guidelines)
    samples = read_samples(gold)
    rows: dict[str, Prediction] = {}
    for row in read_records(predictions, Prediction):
        if row.id in rows:
            raise DataError(f"{predictions}: two predictions for {row.id!r}")
        rows[row.id] = row
    _check_cover(samples, rows, gold, predictions)
    parsed = [
        parse(rows[sample.id].completions[0], spec) if rows[sample.id].completions else None for sample in samples
    ]
    problems = Counter(name for one in parsed for name in (one.problems if one else ("no_completion",)))
    answers = [one.answer if one else None for one in parsed]
    metrics = score(samples, answers, spec, problems=dict(problems), settings=settings)
    if out is not None:
        write_json(out, metrics.model_dump(mode="json"))
    return metrics


def _check_cover(samples: Sequence[Sample], rows: dict[str, Prediction], gold: Path, predictions: Path) -> None:
    missing = [sample.id for sample in samples if sample.id not in rows]
    extra = sorted(set(rows) - {sample.id for sample in samples})
    for ids, what in (
        (missing, f"samples of {gold} have no prediction in {predictions}"),
        (extra, f"predictions of {predictions} have no sample in {gold}"),
    ):
        if ids:
            raise DataError(f"{len(ids)} {what}, e.g. {ids[0]!r}. Every sample must be answered, even badly")
