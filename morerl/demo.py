"""The embedded end-to-end run: every stage of the method, through the same functions as the CLI verbs."""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from morerl.corpora import more
from morerl.evaluation import score_files
from morerl.inference import run_predict, run_rate
from morerl.jsonl import read_samples, write_json, write_records
from morerl.report.write import write_report
from morerl.runs import begin, finish, metrics_file, model_marks, read_json
from morerl.scenes.release import write_release
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.tasks import load_tasks
from morerl.teacher.build import run_teach

Listener = Callable[[str, int, int, dict[str, float]], object]


def run_demo(settings: Settings, *, listener: Listener = lambda stage, done, total, figures: None) -> dict[str, Any]:
    """Draws, teaches, trains, rates, trains on, scores test before and after, and reports.

    Leaves <run.dir>/metrics.json and report.html and returns the former with the report's path. A
    stage that is done is not done again; its seconds are those of its own run.
    """
    from morerl.training.grpo import run_grpo
    from morerl.training.sft import run_sft

    def bar(stage: str) -> Callable[..., object]:
        return lambda done, total, figures=None: listener(stage, done, total, figures or {})

    stages: dict[str, Callable[[], object]] = {
        "draw": lambda: draw(settings),
        "teach": lambda: run_teach(settings, listener=lambda at: bar("teach")(at.done, at.total)),
        "sft": lambda: run_sft(settings, listener=bar("sft")),
        "rate": lambda: run_rate(settings, listener=bar("rate")),
        "grpo": lambda: run_grpo(settings, listener=bar("grpo")),
        "test": lambda: test(settings, listener),
    }
    seconds = {name: _timed(settings, name, work) for name, work in stages.items()}
    metrics = {**(read_json(settings.run.dir / "test" / "done.json") or {}), "seconds": seconds}
    metrics["peak_memory_mb"] = peak_memory_mb()
    write_json(settings.run.dir / "metrics.json", metrics)
    report = settings.run.dir / "report.html"
    write_report(settings.run.dir, report)
    return {**metrics, "report": str(report)}


def _timed(settings: Settings, stage: str, work: Callable[[], object]) -> float:
    """Seconds of a stage, remembered across runs."""
    times = settings.run.dir / "seconds.json"
    known = read_json(times) or {}
    started = time.perf_counter()
    work()
    if stage not in known:
        known[stage] = round(time.perf_counter() - started, 1)
        write_json(times, known)
    return float(known[stage])


def draw(settings: Settings) -> dict[str, int]:
    """Draws the world in MORE's release format and reads it back with the MORE reader."""
    corpus = load_tasks(settings).only("the demo")
    assert corpus.image_root is not None, "the demo's config sets data.image_root"
    done = begin(settings, "draw", [])
    if done is not None:
        return done
    raw = corpus.image_root
    scenes = {"train": settings.demo.train, "dev": settings.demo.dev, "test": settings.demo.test}
    write_release(raw, scenes=scenes, seed=settings.run.seed)
    counts = {}
    for split in scenes:
        samples = [row for row in more.read(raw, split) if isinstance(row, Sample)]
        write_records(corpus.file(split), samples)
        counts[split] = len(samples)
    return finish(settings, "draw", counts)


def test(settings: Settings, listener: Listener) -> dict[str, Any]:
    """Scores both checkpoints on test, and the last one with its pictures shuffled and its text blanked."""
    gold = load_tasks(settings).only("the demo").file("test")
    models = [settings.run.dir / stage / "model" for stage in ("sft", "grpo")]
    done = begin(settings, "test", [gold, *(mark for model in models for mark in model_marks(model))])
    if done is not None:
        return done
    samples = read_samples(gold)
    result: dict[str, Any] = {}
    for stage in ("sft", "grpo"):
        result[stage] = _score(settings, stage, stage, samples, gold, listener).model_dump(mode="json")
    controls = {
        "shuffled_pictures": shuffle_pictures(samples, seed=settings.run.seed),
        "blank_text": blank_text(samples),
    }
    result["controls"] = {
        name: _score(settings, "grpo", name, changed, gold, listener).primary["value"]
        for name, changed in controls.items()
    }
    return finish(settings, "test", result)


def _score(settings: Settings, stage: str, name: str, samples: list[Sample], gold: Path, listener: Listener) -> Any:
    out = settings.run.dir / "predictions" / f"{name}.test.jsonl"
    model = str(settings.run.dir / stage / "model")
    asked = settings.model_copy(update={"predict": settings.predict.model_copy(update={"model": model, "out": out})})
    run_predict(asked, samples=samples, listener=lambda done, total: listener(f"test {name[:8]}", done, total, {}))
    return score_files(gold, out, settings.data.guidelines, metrics_file(out), model=stage)


def shuffle_pictures(samples: list[Sample], *, seed: int) -> list[Sample]:
    """Each sample with the picture and box of another; its text, question and gold stay."""
    order = random.Random(seed).sample(range(len(samples)), len(samples))
    return [
        sample.model_copy(update={"image": samples[other].image, "regions": samples[other].regions})
        for sample, other in zip(samples, order, strict=True)
    ]


def blank_text(samples: list[Sample]) -> list[Sample]:
    """Each sample with its title reduced to the entity asked about."""
    blanked = []
    for sample in samples:
        mention = sample.mentions[0]
        alone = mention.model_copy(update={"start": 0, "end": len(mention.text)})
        blanked.append(sample.model_copy(update={"text": mention.text, "mentions": (alone,)}))
    return blanked


def peak_memory_mb() -> float:
    """The most resident memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
