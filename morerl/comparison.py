"""Two models on the same samples, each given by its predictions, its figures, or a run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from morerl.errors import DataError
from morerl.evaluation import side_by_side, task_of
from morerl.jsonl import read_record
from morerl.prompts.parse import parse
from morerl.runs import metrics_file
from morerl.schema import Metrics
from morerl.scoring import Tally
from morerl.scoring.compare import Comparison, Pairs, compare


def compare_files(
    gold: Path,
    a: Path,
    b: Path,
    guidelines: str | None = None,
    *,
    protocol: str | None = None,
    figure: str | None = None,
    limit: int | None = None,
    draws: int = 2000,
) -> Comparison:
    """Compares two files of predictions for the same samples by one figure (default: the protocol's primary one).

    The first completion of each sample counts; `limit` leaves out all but the first samples. Raises as `score_files`.
    """
    spec = task_of(gold, guidelines)
    tally, pairs = Tally(spec, protocol), Pairs()
    for (sample, of_a), (_, of_b) in zip(side_by_side(gold, a, limit), side_by_side(gold, b, limit), strict=True):
        answers = [parse(texts[0], spec, sample).answer if texts else None for texts in (of_a, of_b)]
        if (rows := tally.rows(sample, answers)) is not None:
            pairs[rows[0], rows[1]] += 1
    return compare(pairs, spec, tally.name, figure or tally.protocol.primary, draws=draws)


def compare_runs(
    a: Path,
    b: Path,
    *,
    gold: Path | None = None,
    guidelines: str | None = None,
    protocol: str | None = None,
    figure: str | None = None,
    draws: int = 2000,
) -> Comparison:
    """Compares two models, each given by its predictions, their .metrics.json, or a run's folder.

    Gold, guidelines and protocol that are not given are those that the first one was scored with. Raises DataError
    where a file is missing or two were scored against different gold, else as `compare_files` does.
    """
    of_a, of_b = _scored(a), _scored(b)
    if gold is None:
        gold = _agreed(of_a, of_b)
    known = of_a.metrics.settings if of_a.metrics else {}
    guidelines = guidelines or known.get("guidelines")
    protocol = protocol or (of_a.metrics.protocol if of_a.metrics else None)
    files, limit = (of_a.predictions, of_b.predictions), _first(of_a, of_b)
    return compare_files(gold, *files, guidelines, protocol=protocol, figure=figure, limit=limit, draws=draws)


class _Scored(NamedTuple):
    predictions: Path
    metrics: Metrics | None
    gold: Path | None


def _scored(path: Path) -> _Scored:
    """The predictions that a path stands for, and their metrics where they were scored."""
    if path.is_dir():
        path = _of_run(path)
    beside = path if path.suffix == ".json" else metrics_file(path)
    metrics = read_record(beside, Metrics) if beside.is_file() else None
    if path == beside and metrics is not None:
        path = beside.parent / str(metrics.settings.get("predictions", beside.name))
    gold = metrics.settings.get("gold") if metrics is not None else None
    return _Scored(path, metrics, None if gold is None else beside.parent / str(gold))


def _of_run(run: Path) -> Path:
    """The predictions of a run's last stage, or the only ones."""
    files = {file.name: file for file in (*run.glob("*.test.jsonl"), *run.glob("predictions/*.test.jsonl"))}
    names = [name for name in ("grpo.test.jsonl", "sft.test.jsonl") if name in files][:1] or sorted(files)
    if not names:
        raise DataError(
            f"{run} holds no predictions/<stage>.test.jsonl; run `morerl predict` first, "
            "or give the very file where the run has several corpora"
        )
    if len(names) > 1:
        raise DataError(f"{run} holds predictions of several models: give one of {', '.join(names)}")
    return files[names[0]]


def _agreed(a: _Scored, b: _Scored) -> Path:
    """The samples that both were scored against, or the one that was scored."""
    files = {one.gold.resolve() for one in (a, b) if one.gold is not None}
    if len(files) != 1:
        found = " and ".join(map(str, sorted(files))) or "none on record"
        raise DataError(
            f"against which samples are {a.predictions} and {b.predictions} to be compared? Give --gold ({found})"
        )
    return files.pop()


def _first(a: _Scored, b: _Scored) -> int | None:
    """How many of the samples both were scored on, the first ones; None for all."""
    limits = {one.metrics.settings.get("limit") for one in (a, b) if one.metrics is not None}
    if len(limits) > 1:
        raise DataError(
            f"{a.predictions} and {b.predictions} were scored with different data.limit: score both with one"
        )
    return limits.pop() if limits else None
