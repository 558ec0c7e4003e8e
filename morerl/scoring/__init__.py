"""The official figures of a model's answers; one protocol per family of corpora.

Every sample counts. What could not be parsed is `None`, and each protocol says what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from morerl.errors import DataError
from morerl.schema import Extraction, Metrics, Sample
from morerl.scoring.pairs import UNPARSEABLE
from morerl.scoring.protocols import PROTOCOLS
from morerl.scoring.tally import Tally, is_right
from morerl.task import TaskSpec

__all__ = ["PROTOCOLS", "UNPARSEABLE", "Tally", "is_right", "score"]


def score(
    samples: Sequence[Sample],
    answers: Sequence[str | Extraction | None],
    spec: TaskSpec,
    *,
    protocol: str | None = None,
    problems: dict[str, int] | None = None,
    settings: dict[str, Any] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Metrics:
    """The figures of one answer per sample (canonical; None = unparseable), by the task's protocol or another.

    Rates are in per cent. `draws` resamplings give the 95% intervals; 0 leaves them out. `problems` and
    `settings` are passed on. Raises DataError where the lengths differ, there is no sample, a sample has no gold
    or asks what the protocol does not score, or a label is none of `spec.answers`.
    """
    if len(samples) != len(answers):
        raise DataError(f"{len(samples)} samples but {len(answers)} answers; an unparseable one is None")
    tally = Tally(spec, protocol)
    for sample, answer in zip(samples, answers, strict=True):
        tally.add(sample, [answer])
    return tally.metrics(draws=draws, seed=seed, problems=problems, settings=settings)
