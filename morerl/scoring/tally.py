"""Scoring one sample after another: what is kept are counts, so memory does not grow with the number of samples.

(As far as the protocol allows: rows of counts of extractions are nearly all alike, and MORE's four groups need
every picture's boxes.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import comb
from typing import Any

import numpy as np

from morerl.errors import ConfigError, DataError
from morerl.schema import Metrics, Sample
from morerl.scoring import more, ner, pairs, spans
from morerl.scoring.counts import Counts, Row, intervals, precision_recall_f1, rate, unlike
from morerl.scoring.protocols import BY_TASK, PAIRED, Given, PerLabel, protocol
from morerl.task import TaskSpec

Rows = Counter[Row]
UNKNOWN = "(unknown)"


def is_right(sample: Sample, answer: Given, spec: TaskSpec) -> bool:
    """Whether all of an answer is right; what scoring, rating and rewards mean by it. False without gold."""
    if sample.gold is None or answer is None:
        return False
    if sample.task == "pair":
        return answer == pairs.gold_label(sample, spec)
    judge = protocol(BY_TASK[sample.task])
    return judge.right(judge.row(sample, answer, spec))


class Tally:
    """Counts of the answers of one model to one split.

    `add` takes a sample with its K answers (canonical legal answers or extractions; None: unparseable), the same K
    for every sample; `metrics` reads the figures off. The first answer is the one the primary figure is of.
    """

    def __init__(self, spec: TaskSpec, name: str | None = None) -> None:
        self.spec, self.name = spec, name or spec.protocol
        self.protocol = protocol(self.name)
        if self.name in PAIRED and spec.none not in spec.answers:
            raise ConfigError(
                f"the protocol {self.name!r} scores pairs, and {spec.corpus} has no label that means no "
                "relation (`none`), which must not be directed"
            )
        labels = (label.name for label in spec.labels)
        self.known = frozenset([*spec.answers, *spec.types, *labels, *pairs.KINDS, *spans.KINDS])
        self.draws: list[Rows] = []  # of the first answers, the second ones, ...
        self.best: Rows = Counter()
        self.separate: list[Rows] = [Counter() for _ in self.protocol.parts]
        self.passes: Counter[int] = Counter()  # number of right answers of K -> samples
        self.scenes: dict[Any, Rows] = {}
        self.groups = more.Groups()
        self.events: Counter[tuple[str, ...]] = Counter()
        self.unparseable = 0

    @property
    def n(self) -> int:
        """Samples scored."""
        return sum(self.passes.values())

    def add(self, sample: Sample, answers: Sequence[Given]) -> bool:
        """Counts one sample; False where the protocol leaves it out. Raises DataError for what it cannot score."""
        rows = self.rows(sample, answers)
        if rows is None:
            return False
        self.draws = self.draws or [Counter() for _ in rows]
        if len(rows) != len(self.draws):
            raise DataError(
                f"{sample.id} has {len(rows)} completions, others have {len(self.draws)}; want as many for all"
            )
        for counter, row in zip(self.draws, rows, strict=True):
            counter[row] += 1
        self.unparseable += answers[0] is None
        for kind, *names in self.protocol.events(sample, answers[0], self.spec):
            self.events[kind, *map(self._known, names)] += 1
        qualities = [self.protocol.quality(row) for row in rows]
        self.passes[sum(map(self.protocol.right, rows))] += 1
        self.best[rows[max(range(len(rows)), key=qualities.__getitem__)]] += 1
        for number, counter in enumerate(self.separate):
            counter[rows[max(range(len(rows)), key=lambda k: qualities[k][number : number + 1])]] += 1
        if self.protocol.grouped and (scene := self.groups.add(sample)) is not None:
            self.scenes.setdefault(scene, Counter())[rows[0]] += 1
        return True

    def rows(self, sample: Sample, answers: Sequence[Given]) -> list[Row] | None:
        """The counts of each answer; None where the protocol leaves the sample out. Raises as `add` does."""
        self._check(sample, answers)
        if self.protocol.skips_none and pairs.gold_label(sample, self.spec) == self.spec.none:
            return None
        return [self.protocol.row(sample, answer, self.spec) for answer in answers]

    def _check(self, sample: Sample, answers: Sequence[Given]) -> None:
        if sample.gold is None:
            raise DataError(f"{sample.id} has no gold answer, so nothing can be scored against it")
        if sample.task not in self.protocol.tasks:
            other = "; `ner` does" if sample.task == "entities" and self.name != "ner" else ""
            raise DataError(f"{sample.id} asks {sample.task!r}, which the protocol {self.name!r} does not score{other}")
        if not answers:
            raise DataError(f"{sample.id} has no answer; one that is missing or unparseable is None")

    def metrics(
        self,
        *,
        draws: int = 1000,
        seed: int = 0,
        problems: dict[str, int] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Metrics:
        """Every figure, in per cent; `draws` resamplings give the 95% intervals, 0 leaves them out.

        Raises DataError if no sample was added.
        """
        if not self.n:
            raise DataError("there is no sample to score")
        figures = self._figures(self.draws[0]) | self._of_several()
        figures["unparseable"] = float(rate(np.array(self.unparseable), np.array(self.n)))
        per_label = self._per_label()
        if self.name.startswith("ner"):
            figures["macro_f1"] = ner.macro(per_label)
        primary = {"name": self.protocol.primary, "value": figures.pop(self.protocol.primary)}
        if self.protocol.skips_none:  # Avg@K is what the paper reports
            primary["value"] = figures[f"avg@{len(self.draws)}"]
        return Metrics(
            protocol=self.name,
            about=self.protocol.about,
            n=self.n,
            primary=primary,
            figures=figures | self._by_group(),
            per_label=per_label,
            confusion=self._confusion(),
            errors={name: count for (kind, *rest), count in self.events.items() if kind == "errors" for name in rest},
            ci95=self._intervals(draws, seed),
            problems=problems or {},
            settings=settings or {},
        )

    def _summed(self, rows: Rows) -> Counts:
        unlike_rows, times = unlike(rows)
        return self.protocol.sums(unlike_rows, times, self.spec)

    def _figures(self, rows: Rows) -> dict[str, float]:
        return {name: float(value) for name, value in self.protocol.figures(self._summed(rows), self.spec).items()}

    def _intervals(self, draws: int, seed: int) -> dict[str, tuple[float, float]]:
        if self.protocol.skips_none:  # of the mean over the K answers, as the primary figure is
            rows, times = unlike({(right,): samples for right, samples in self.passes.items()})
            share = rate(rows[:, 0], np.array(len(self.draws)))
            figures = lambda counts: {self.protocol.primary: counts @ share / self.n}  # noqa: E731
            return intervals(times, lambda counts: counts, figures, names=self.protocol.parts, draws=draws, seed=seed)
        rows, times = unlike(self.draws[0])
        sums = lambda counts: self.protocol.sums(rows, counts, self.spec)  # noqa: E731
        figures = partial(self.protocol.figures, spec=self.spec)
        return intervals(times, sums, figures, names=self.protocol.parts, draws=draws, seed=seed)

    def _of_several(self) -> dict[str, float]:
        """avg@K, best@K and pass@k where there are several answers to a sample."""
        k = len(self.draws)
        if k == 1 and not self.protocol.skips_none:
            return {}
        found = {f"pass@{j}": self._pass_at(j) for j in sorted({2**i for i in range(k.bit_length())} | {k}) if j <= k}
        each, best = [self._figures(rows) for rows in self.draws], self._figures(self.best)
        if self.protocol.skips_none:
            return found | {f"avg@{k}": float(np.mean([one["accuracy"] for one in each]))}
        for number, part in enumerate(self.protocol.parts):
            found[f"avg@{k}/{part}"] = float(np.mean([one[part] for one in each]))
            found[f"best@{k}/{part}"] = best[part]
            if self.name not in PAIRED:
                found[f"oracle_best@{k}/{part}"] = self._figures(self.separate[number])[part]
        return found

    def _pass_at(self, k: int) -> float:
        """Unbiased pass@k in per cent (Chen et al. 2021): the chance that k of the K answers hold a right one."""
        drawn = len(self.draws)
        chances = {right: 1 - comb(drawn - right, k) / comb(drawn, k) for right in self.passes}
        return 100 * sum(chances[right] * samples for right, samples in self.passes.items()) / self.n

    def _per_label(self) -> PerLabel:
        if self.protocol.per_label is not None:
            return self.protocol.per_label(self._summed(self.draws[0]), self.spec)
        counts = {name: Counter[str]() for name in (*self.spec.types, *(label.name for label in self.spec.labels))}
        for (kind, name, *_), count in self.events.items():
            if kind in ("gold", "predicted", "right"):
                counts.setdefault(name, Counter())[kind] += count
        return {name: _rates(one) for name, one in counts.items()}

    def _known(self, name: str) -> str:
        """A type or label that a model made up is not worth a row of its own, nor room in memory."""
        return name if name in self.known else UNKNOWN

    def _confusion(self) -> dict[str, dict[str, int]]:
        """gold -> given -> count, without the zeros."""
        found: dict[str, Counter[str]] = {}
        for (kind, *rest), count in self.events.items():
            if kind == "confusion":
                gold, given = rest
                found.setdefault(gold, Counter())[given] += count
        return {gold: dict(row) for gold, row in found.items()}

    def _by_group(self) -> dict[str, float]:
        """`group/n`, and `group/figure` for accuracy and the micro figures: few groups hold every label."""
        by_name: dict[str, Rows] = {}
        for scene, rows in self.scenes.items():
            by_name.setdefault(self.groups.name(scene), Counter()).update(rows)
        figures = {}
        for group in sorted(by_name):
            figures[f"{group}/n"] = float(sum(by_name[group].values()))
            values = self._figures(by_name[group])
            figures |= {f"{group}/{name}": value for name, value in values.items() if not name.startswith("macro_")}
        return figures


def _rates(counts: Counter[str]) -> dict[str, float]:
    right, given, gold = (np.array(counts[name]) for name in ("right", "predicted", "gold"))
    rates = precision_recall_f1(right, given=given, gold=gold, prefix="")
    return {name: float(value) for name, value in (rates | {"gold": gold, "predicted": given}).items()}
