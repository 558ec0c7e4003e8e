"""Stages that only read a model: difficulty of the remaining train samples, predictions, their score."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from morerl.errors import DataError
from morerl.evaluation import score_files
from morerl.jsonl import read_records, write_records
from morerl.models.endpoint import complete
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.partial import Ask, drop, fingerprint, in_chunks, kept
from morerl.prompts.parse import parse
from morerl.runs import begin, finish, latest_model, metrics_file, model_marks, reasoning_files, sha256
from morerl.schema import Extraction, Metrics, Prediction, Rated, Reasoning, Sample
from morerl.scoring import is_right
from morerl.settings import GenerateSettings, Settings
from morerl.task import TaskSpec
from morerl.tasks import ALONE, Corpus, Tasks, load_tasks

Listener = Callable[[int, int], object]
CHUNK = 16  # batches that are answered before they are put on disk
SPREAD = 7919  # keeps the seeds of one chunk's batches apart from another's


def run_rate(settings: Settings, *, listener: Listener = lambda done, total: None) -> dict[str, Any]:
    """Rates the train samples that SFT did not use, or with rate.taught all; writes <run.dir>/rated.jsonl.

    Greedy and once, as MORE-R1 does; with rate.n > 1 and rate.temperature > 0 the pass rate over n
    draws. What cannot be parsed is not right, so every sample given is rated. What an interrupted call has
    answered is not asked again. Returns {"rated", "easy", "hard", "seconds"} (easy: always right).
    """
    model = settings.rate.model or settings.run.dir / "sft" / "model"
    reasoning, tasks = [] if settings.rate.taught else reasoning_files(settings), load_tasks(settings)
    out = settings.run.dir / "rated.jsonl"
    done = begin(settings, "rate", [*reasoning, *tasks.files("train"), *tasks.guidelines(), *model_marks(model)])
    if done is not None and out.is_file():
        return done
    started = time.perf_counter()
    samples = _to_rate(settings, tasks, reasoning)
    how = settings.generate.model_copy(update={"n": settings.rate.n, "temperature": settings.rate.temperature})
    size = CHUNK * how.batch_size
    mark = _mark(model, None, samples, tasks.corpora.values(), settings, how)
    before = kept(out, mark, size=size, of=len(samples))
    ask = _answerer(model, None, tasks, settings, how, lambda n: listener(before + n, len(samples)))
    texts = in_chunks(samples, out, mark, ask, size=size)
    rows = [_rated(sample, drawn, tasks.spec(sample)) for sample, drawn in zip(samples, texts, strict=True)]
    write_records(out, rows)
    easy = sum(row.pass_rate == 1.0 for row in rows)
    figures = {"rated": len(rows), "easy": easy, "hard": len(rows) - easy}
    result = finish(settings, "rate", {**figures, "seconds": round(time.perf_counter() - started, 1)})
    drop(out)
    return result


def _to_rate(settings: Settings, tasks: Tasks, taught: Sequence[Path]) -> list[Sample]:
    used = {row.id for path in taught for row in read_records(path, Reasoning)}
    rest = [sample for sample in tasks.read("train") if sample.id not in used and sample.gold is not None]
    drawn: list[Sample] = []
    for name, samples in tasks.by_corpus(rest).items():
        if not samples:
            raise DataError(f"{_no_rest(tasks.corpora[name], taught)}: none is left to rate")
        drawn += _draw(samples, settings.rate.limit, settings.run.seed)
    return drawn


def _draw(samples: list[Sample], limit: int | None, seed: int) -> list[Sample]:
    """A seeded draw of so many, in the order given."""
    if limit is None or limit >= len(samples):
        return samples
    drawn = set(random.Random(seed).sample(range(len(samples)), limit))
    return [sample for index, sample in enumerate(samples) if index in drawn]


def _no_rest(corpus: Corpus, taught: Sequence[Path]) -> str:
    path = corpus.file("train")
    if not taught:
        return f"{path} holds no gold answer"
    files = ", ".join(map(str, taught))
    return f"{files}: every sample of {path} with a gold answer is taught (rate.taught=true rates those too)"


def _rated(sample: Sample, drawn: Sequence[str], spec: TaskSpec) -> Rated:
    right = sum(is_right(sample, parse(text, spec, sample).answer, spec) for text in drawn)
    return Rated(id=sample.id, n=len(drawn), n_correct=right)


def run_predict(
    settings: Settings,
    *,
    listener: Listener = lambda done, total: None,
    samples: Sequence[Sample] | None = None,
) -> list[Path]:
    """Writes the completions of a split (or of `samples`) as predictions; returns the files, one a corpus.

    What an interrupted call has answered with the same settings is not asked again.
    """
    model, tasks = predict_model(settings), load_tasks(settings)
    asked = tasks.by_corpus(tasks.read(settings.predict.split) if samples is None else samples)
    out = predict_files(settings, tasks)
    endpoint, how = settings.predict.endpoint, settings.generate
    marks = {name: _mark(model, endpoint, rows, [tasks.corpora[name]], settings, how) for name, rows in asked.items()}
    size, total = CHUNK * settings.generate.batch_size, sum(map(len, asked.values()))
    before = sum(kept(out[name], mark, size=size, of=len(asked[name])) for name, mark in marks.items())
    ask = _answerer(model, endpoint, tasks, settings, how, lambda n: listener(before + n, total))
    for name, rows in asked.items():
        texts = in_chunks(rows, out[name], marks[name], ask, size=size)
        spec = tasks.corpora[name].spec
        write_records(out[name], [_prediction(one, drawn, spec) for one, drawn in zip(rows, texts, strict=True)])
    for path in out.values():  # not before: an interrupted call must not answer a corpus that is done anew
        drop(path)
    return list(out.values())


def _mark(
    model: str | Path,
    endpoint: str | None,
    samples: Sequence[Sample],
    corpora: Iterable[Corpus],
    settings: Settings,
    how: GenerateSettings,
) -> str:
    """Of everything that the completions depend on."""
    sections = [one.model_dump(mode="json") for one in (settings.images, settings.prompt, settings.model, how)]
    weights = [sha256(path) for path in model_marks(model)]
    tasks = [(str(corpus.image_root), corpus.spec.model_dump()) for corpus in corpora]
    where = (str(model), endpoint, settings.run.seed)
    return fingerprint(where, sections, weights, tasks, [sample.model_dump() for sample in samples])


def predict_model(settings: Settings) -> str | Path:
    """The model to predict with: the one named, else the latest stage's."""
    return settings.predict.model or latest_model(settings.run.dir)


def predict_files(settings: Settings, tasks: Tasks) -> dict[str, Path]:
    """Corpus -> the predictions to write; beside the name of the file the corpus's own, where there are several."""
    name = _called(Path(os.path.abspath(predict_model(settings))), Path(os.path.abspath(settings.run.dir)))
    default = settings.run.dir / "predictions" / f"{name}.{settings.predict.split}.jsonl"
    out = settings.predict.out or default
    suffix = out.suffix or default.suffix
    return {name: out if name == ALONE else out.with_suffix(f".{name}{suffix}") for name in tasks.corpora}


def _called(model: Path, run_dir: Path) -> str:
    """What a model's predictions are called in a run: its stage, with the run's name before it if it is another's."""
    if model.is_relative_to(run_dir):
        return "-".join(part for part in model.relative_to(run_dir).parts if part not in ("model", "checkpoints"))
    run_and_stage = "-".join(folder.name for folder in (model.parent.parent, model.parent) if folder.name)
    return run_and_stage or model.name if model.name == "model" else model.name


def _answerer(
    model: str | Path,
    endpoint: str | None,
    tasks: Tasks,
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
        "settings": how,
        "on_batch": on_batch,
    }
    if endpoint is not None:
        shown |= {"base_url": endpoint, "model": str(model)}
        return lambda samples, chunk: complete(samples, tasks, seed=settings.run.seed + SPREAD * chunk, **shown)
    loaded = cache(lambda: _load(model, settings))
    return lambda samples, chunk: generate(*loaded(), samples, tasks, seed=settings.run.seed + SPREAD * chunk, **shown)


def _load(model: str | Path, settings: Settings) -> tuple[Any, Any]:
    import torch

    processing = load_processing(model)
    return load_model(model, settings.model).to("cuda" if torch.cuda.is_available() else "cpu"), processing


def _prediction(sample: Sample, drawn: Sequence[str], spec: TaskSpec) -> Prediction:
    first = parse(drawn[0], spec, sample)
    answer = first.answer.model_dump() if isinstance(first.answer, Extraction) else first.answer
    return Prediction(id=sample.id, completions=tuple(drawn), answer=answer, problems=first.problems)


def score_run(settings: Settings, *, draws: int = 1000) -> list[tuple[Path, Metrics]]:
    """Scores the predictions of the settings' model and split; of each corpus the metrics file and the metrics."""
    tasks, scored = load_tasks(settings), []
    for name, predictions in predict_files(settings, tasks).items():
        if not predictions.is_file():
            raise DataError(f"no {predictions}: run `morerl predict` first, with the same settings")
        corpus, out = tasks.corpora[name], metrics_file(predictions)
        metrics = score_files(
            corpus.file(settings.predict.split),
            predictions,
            corpus.guidelines,
            out,
            limit=tasks.limit,
            draws=draws,
            model=str(predict_model(settings)),
            seed=settings.run.seed,
            template=settings.prompt.template,
        )
        scored.append((out, metrics))
    return scored
