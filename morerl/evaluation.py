"""Scoring files of predictions: samples and completions are read side by side, never held."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from morerl.errors import DataError
from morerl.guidelines import known_specs, load_spec
from morerl.jsonl import read_records, stream_samples, write_json
from morerl.prompts.parse import parse
from morerl.schema import Completions, Extraction, Metrics, Sample
from morerl.scoring import Tally
from morerl.scoring.protocols import BY_TASK
from morerl.task import DIRECTIONS, Label, TaskSpec

NEGATIVE = ("NA", "na", "no_relation", "Other", "Others", "none", "None")  # as MORE's evaluation knows them


def score_files(
    gold: Path,
    predictions: Path,
    guidelines: str | None = None,
    out: Path | None = None,
    *,
    protocol: str | None = None,
    limit: int | None = None,
    draws: int = 1000,
    seed: int = 0,
    **settings: Any,
) -> Metrics:
    """Scores a file of predictions against the gold of its samples; writes `out` if given.

    The task is that of `guidelines`, or else what `task_of` finds; the protocol the task's own, unless another is
    named. `limit` leaves out all but the first samples. Every completion is parsed; an empty one, or none at all, is
    wrong and counted. Raises DataError where a sample has no prediction, a prediction no sample, or an id occurs twice.
    """
    spec = task_of(gold, guidelines)
    tally, problems = Tally(spec, protocol), Counter[str]()
    silent: list[Sample] = []
    for sample, completions in side_by_side(gold, predictions, limit):
        if not completions:
            silent.append(sample)
            continue
        parsed = [parse(text, spec, sample) for text in completions]
        if tally.add(sample, [one.answer for one in parsed]):
            problems.update(name for one in parsed for name in one.problems)
    for sample in silent:  # wrong as often as the others were answered
        problems["no_completion"] += tally.add(sample, [None] * max(1, len(tally.draws)))
    settings |= {
        "guidelines": guidelines,
        "none": spec.none,
        "draws": draws,
        "seed": seed,
        "limit": limit,
        **_paths(out, gold=gold, predictions=predictions),
    }
    metrics = tally.metrics(draws=draws, seed=seed, problems=dict(problems), settings=settings)
    if out is not None:
        write_json(out, metrics.model_dump(mode="json"))
    return metrics


def _paths(out: Path | None, **files: Path) -> dict[str, str]:
    """The files as they lie from the folder of `out`, so that a folder of results may be moved as a whole.

    By their real paths: `..` behind a link leads from where the link points to.
    """
    if out is None:
        return {name: str(path) for name, path in files.items()}
    home = os.path.realpath(out.parent)
    return {name: os.path.relpath(os.path.realpath(path), home) for name, path in files.items()}


def side_by_side(gold: Path, predictions: Path, limit: int | None = None) -> Iterator[tuple[Sample, tuple[str, ...]]]:
    """Each sample, or each of the first `limit`, with its completions, in the order of the samples.

    Files in the same order are read in step; a prediction that comes too early is kept until its sample does.
    Raises DataError as `score_files` says.
    """
    rows = _distinct(predictions)
    early: dict[str, tuple[str, ...]] = {}
    missing: list[str] = []
    for sample in islice(stream_samples(gold), limit):
        while sample.id not in early and (row := next(rows, None)) is not None:
            early[row.id] = row.completions
        if sample.id in early:
            yield sample, early.pop(sample.id)
        else:
            missing.append(sample.id)
    extra = [*early, *(row.id for row in rows)]
    for ids, what in (
        (missing, f"samples of {gold} have no prediction in {predictions}"),
        (extra, f"predictions of {predictions} have no sample in {gold}"),
    ):
        if ids:
            raise DataError(f"{len(ids)} {what}, e.g. {ids[0]!r}. Every sample must be answered, even badly")


def _distinct(predictions: Path) -> Iterator[Completions]:
    seen: set[str] = set()
    for row in read_records(predictions, Completions):
        if row.id in seen:
            raise DataError(f"{predictions}: two predictions for {row.id!r}")
        seen.add(row.id)
        yield row


def task_of(gold: Path, guidelines: str | None = None) -> TaskSpec:
    """The task of a file of samples: the guideline named, the packaged one of its corpus, or its gold's own labels.

    Raises ConfigError for an unknown guideline, DataError for a file without a sample.
    """
    if guidelines is not None:
        return load_spec(guidelines)
    first = next(stream_samples(gold), None)
    if first is None:
        raise DataError(f"{gold} holds no sample")
    if first.corpus in known_specs():
        return load_spec(first.corpus)
    return _bare_task(gold, first)


def _bare_task(gold: Path, first: Sample) -> TaskSpec:
    """A task that knows the labels and types of the gold answers and nothing about them."""
    labels: dict[str, None] = {}
    types: dict[str, None] = {}
    for sample in stream_samples(gold):
        if isinstance(sample.gold, Extraction):
            types.update((entity.type, None) for entity in sample.gold.entities)
            labels.update((relation.label, None) for relation in sample.gold.relations)
        elif sample.gold is not None:
            labels[sample.gold.label] = None
    negative = [name for name in NEGATIVE if name in labels] or [NEGATIVE[-2]]
    if first.task == "pair" and len(negative) > 1:
        raise DataError(f"{gold}: which of {negative} means no relation? Say so in a guideline, --guidelines FILE")
    none = negative[0] if first.task == "pair" else None
    try:
        return TaskSpec(
            corpus=first.corpus,
            protocol=BY_TASK[first.task],
            question="",
            types=dict.fromkeys(types, ""),
            none=none,
            labels=_labels([*labels, *([none] if none is not None and none not in labels else [])]),
        )
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise DataError(f"{gold}: its labels make no task: {message}. Give --guidelines FILE") from error


def _labels(names: list[str]) -> tuple[Label, ...]:
    """Labels of their names; Rel(e1,e2) and Rel(e2,e1) are one directed label."""
    orders = {name: next((order for order in DIRECTIONS if name.endswith(order)), "") for name in names}
    found = dict.fromkeys((name.removesuffix(order), bool(order)) for name, order in orders.items())
    return tuple(Label(name=name, definition="", directed=directed) for name, directed in found)
