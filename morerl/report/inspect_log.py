"""A run's test predictions as an inspect-ai log: `inspect view` shows each with its pictures, reasoning and scores.

Written through inspect_ai.log (https://inspect.aisi.org.uk/eval-logs.html; the extra `inspect`). A sample's several
completions are its epochs. Pictures are those the model is shown, at most LONGEST_SIDE pixels a side. Left out on
purpose: controls, and all stages but the latest.
"""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from morerl.config import load_settings
from morerl.errors import ConfigError, DataError, install
from morerl.evaluation import side_by_side
from morerl.jsonl import read_record, read_records
from morerl.models.endpoint import pictures
from morerl.partial import fingerprint
from morerl.prompts.parse import parse
from morerl.prompts.render import render, steps_of
from morerl.report.said import split_thought, stated
from morerl.rewards import Case, compose, judge, terms_of
from morerl.runs import metrics_file, read_json
from morerl.schema import Extraction, Gold, Metrics, Rated, Sample
from morerl.scoring import is_right
from morerl.settings import Settings
from morerl.tasks import ALONE, Corpus, load_tasks

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from PIL.Image import Image

LONGEST_SIDE = 512  # pixels
STAGES = ("grpo", "sft")  # the latest first


class Answered(NamedTuple):
    """One corpus's test split as the stage answered it."""

    name: str
    corpus: Corpus
    gold: Path
    predictions: Path
    metrics: Metrics | None


def write_inspect(run_dir: Path, out: Path) -> int:
    """Writes the latest stage's test predictions to `out`, a .eval file, atomically; returns how many samples it holds.

    Raises ConfigError where inspect-ai is not installed or `out` is no .eval, DataError where the run has no
    predictions or files do not belong together. A picture that cannot be shown is a sentence in its place.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise ConfigError(f"--inspect needs inspect-ai: {install('inspect')}") from error
    if out.suffix != ".eval":
        raise ConfigError(f"--inspect {out}: want a file that ends in .eval, which is what `inspect view` reads")
    log = make_log(run_dir)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        write_eval_log(log, aside, format="eval")
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    return len(log.samples or ())


def make_log(run_dir: Path) -> EvalLog:
    """The log itself. Raises DataError as `write_inspect`."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats

    stage, settings = _stage(run_dir)
    answered = _answered(run_dir, stage, settings)
    rated = {row.id: row for row in _rated(run_dir)}
    samples = [one for part in answered for one in _samples(part, settings, rated)]
    if not samples:
        raise DataError(f"{run_dir / 'predictions'}: {stage} has answered no sample of the test split of its corpora")
    about = read_json(run_dir / stage / "run.json") or {}
    mark = fingerprint(str(run_dir.resolve()), stage, about.get("started"))[:22]
    created = about.get("started") or time.strftime("%Y-%m-%dT%H:%M:%S%z")
    ids = list(dict.fromkeys(sample.id for sample in samples))
    spec = EvalSpec(
        eval_id=mark,
        run_id=mark,
        task_id=mark,
        created=created,
        task=f"{run_dir.resolve().name} {stage}",
        model=f"morerl/{stage}",
        dataset=EvalDataset(name=" ".join(part.name or "test" for part in answered), samples=len(ids), sample_ids=ids),
        config=EvalConfig(epochs=max(sample.epoch for sample in samples)),
        packages=about.get("versions") or {},
        metadata={"settings": settings.model_dump(mode="json"), "seed": about.get("seed"), "git": about.get("git")},
    )
    scores = [_headline(part) for part in answered if part.metrics is not None]
    results = EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=scores)
    when = EvalStats(started_at=created, completed_at=created)
    return EvalLog(status="success", eval=spec, results=results, stats=when, samples=samples)


def _stage(run_dir: Path) -> tuple[str, Settings]:
    for stage in STAGES:
        config = run_dir / stage / "config.yaml"
        if config.is_file() and any((run_dir / "predictions").glob(f"{stage}.test*.jsonl")):
            return stage, load_settings(config)
    raise DataError(f"{run_dir} holds no predictions/<stage>.test.jsonl of a stage; run `morerl predict` first")


def _answered(run_dir: Path, stage: str, settings: Settings) -> list[Answered]:
    found = []
    for name, corpus in load_tasks(settings).corpora.items():
        path = run_dir / "predictions" / (f"{stage}.test.jsonl" if name == ALONE else f"{stage}.test.{name}.jsonl")
        if path.is_file():
            beside = metrics_file(path)
            metrics = read_record(beside, Metrics) if beside.is_file() else None
            # the run may have been moved with its samples, which the figures find from where they lie
            scored = path.parent / str(metrics.settings.get("gold")) if metrics is not None else corpus.file("test")
            gold = scored if scored.is_file() else corpus.file("test")
            found.append(Answered(name, corpus, gold, path, metrics))
    return found


def _rated(run_dir: Path) -> Iterator[Rated]:
    path = run_dir / "rated.jsonl"
    return read_records(path, Rated) if path.is_file() else iter(())


def _samples(part: Answered, settings: Settings, rated: dict[str, Rated]) -> Iterator[EvalSample]:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageUser

    limit = part.metrics.settings.get("limit") if part.metrics is not None else settings.data.limit
    for sample, texts in side_by_side(part.gold, part.predictions, limit):
        asked = ChatMessageUser(content=_asked(sample, part.corpus, settings))
        right = sum(is_right(sample, parse(text, part.corpus.spec, sample).answer, part.corpus.spec) for text in texts)
        metadata = _metadata(sample, rated.get(sample.id)) | {"drawn": len(texts), "right": right}
        for epoch, text in enumerate(texts or ("",), 1):
            said, output = _said(text)
            yield EvalSample(
                id=sample.id,
                epoch=epoch,
                input=[asked],
                target=_written(sample.gold),
                messages=[asked, said],
                output=output,
                scores=_scores(sample, text, part, settings),
                metadata=metadata,
            )


def _asked(sample: Sample, corpus: Corpus, settings: Settings) -> list[Any]:
    """The prompt's text with the pictures in their places."""
    from inspect_ai.model import ContentImage, ContentText

    try:
        shown: list[Any] = [
            ContentImage(image=_uri(one)) for one in pictures(sample, settings.images, corpus.image_root)
        ]
        problem = ""
    except DataError as error:
        shown, problem = [], f"[no picture: {error}]"
    blocks = render(sample, corpus.spec, settings.prompt, settings.images)[0]["content"]
    text = [ContentText(text=block["text"]) for block in blocks if block["type"] == "text"]
    return [*shown, *([ContentText(text=problem)] if problem else []), *text]


def _uri(image: Image) -> str:
    """The smaller of PNG, which drawings need, and WebP, which photographs need."""
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    files = {kind: io.BytesIO() for kind in ("png", "webp")}
    for kind, file in files.items():
        image.save(file, kind, quality=80)
    kind, file = min(files.items(), key=lambda item: item[1].tell())
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _said(text: str) -> tuple[Any, Any]:
    """The completion as a message, its reasoning apart, and as the output."""
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ContentReasoning, ContentText, ModelOutput

    thought, rest = split_thought(text)
    content = [ContentReasoning(reasoning=thought), ContentText(text=rest)] if thought else text
    said = ChatMessageAssistant(content=content, source="generate")
    return said, ModelOutput(model="morerl", choices=[ChatCompletionChoice(message=said)], completion=rest or text)


def _scores(sample: Sample, text: str, part: Answered, settings: Settings) -> dict[str, Any]:
    """`right`: C or I; `rewards`: each part of grpo.rewards as it would have paid, weights in its metadata."""
    from inspect_ai.scorer import CORRECT, INCORRECT, Score

    spec = part.corpus.spec
    parts, terms = compose(settings.grpo, part.name), terms_of(settings.grpo, steps_of(sample, settings.prompt))
    case = Case(completion=text, sample=sample, spec=spec, terms=terms)
    paid = {name: value for name, value in judge(case, parts).items() if value is not None}
    scores = {"rewards": Score(value=paid, metadata={"weights": {name: parts[name].second for name in paid}})}
    if sample.gold is None:
        return scores
    answer, problems = case.parsed.answer, case.parsed.problems
    right = CORRECT if is_right(sample, answer, spec) else INCORRECT
    why = ", ".join(problems) or None
    return {"right": Score(value=right, answer=_written(answer) or None, explanation=why)} | scores


def _written(answer: Gold | Extraction | str | None) -> str:
    """A label, or what an extraction states in one line; nothing where there is no answer."""
    return "" if answer is None else "; ".join(stated(answer)) or "(nothing)"


def _metadata(sample: Sample, rated: Rated | None) -> dict[str, Any]:
    """What samples are told apart and found by."""
    found: dict[str, Any] = {"corpus": sample.corpus, "task": sample.task, "text": sample.text}
    if sample.gold is not None:
        found["labels"] = sorted(_labels(sample.gold))
    if sample.task == "pair":
        found |= {"head": sample.argument(sample.head).model_dump(), "tail": sample.argument(sample.tail).model_dump()}
    return found | ({"pass_rate": rated.pass_rate} if rated is not None else {})


def _labels(gold: Gold | Extraction) -> set[str]:
    """Of relations; where there are none, the entities' types."""
    if isinstance(gold, Gold):
        return {gold.label}
    return {one.label for one in gold.relations} or {one.type for one in gold.entities}


def _headline(part: Answered) -> Any:
    """The official figure first, with its interval; figures of groups of samples are left out."""
    from inspect_ai.log import EvalMetric, EvalScore

    metrics = part.metrics
    assert metrics is not None, "of scored predictions alone"
    values = {str(metrics.primary["name"]): float(metrics.primary["value"])} | metrics.figures
    intervals = {name: {"ci95": ends} for name, ends in metrics.ci95.items()}
    return EvalScore(
        name=part.name or "right",
        scorer=metrics.protocol,
        metadata={"about": metrics.about, "problems": metrics.problems},
        metrics={
            name: EvalMetric(name=name, value=value, metadata=intervals.get(name))
            for name, value in values.items()
            if "/" not in name
        },
    )
