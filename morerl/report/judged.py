"""Every stage's answers to a set, read and judged anew: by the parser, the scorer and the rewards of the run itself.

Of a sample's completions the first is shown and judged in full; of the others it is counted how many are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from morerl.errors import ConfigError, DataError
from morerl.prompts.parse import Parsed, parse
from morerl.prompts.render import steps_of
from morerl.report.sets import Answered, Answers
from morerl.rewards import Case, compose, judge, terms_of
from morerl.schema import Extraction, Gold, Sample
from morerl.scoring import is_right, spans
from morerl.scoring.protocols import BY_TASK, protocol
from morerl.settings import Settings
from morerl.task import TaskSpec

Outcome = str  # right, wrong, fixed, broken, unknown
Reward = tuple[str, float, float]  # part, what it is worth, its weight
Scorer = Callable[[str, Sample], list[Reward]]
PLAIN = ("right", "right_none")  # kinds of "error" that are none
KINDS = {
    "unparseable": "no readable answer",
    "missed": "missed",
    "spurious": "made up",
    "wrong_label": "wrong label",
    "wrong_direction": "wrong direction",
    "wrong_type": "wrong type of an argument",
    "wrong_boundary": "wrong boundary",
}


class Verdict(NamedTuple):
    """What one stage made of one sample; right is None where gold is not known."""

    parsed: Parsed
    right: bool | None
    errors: tuple[str, ...]
    passed: int
    completions: tuple[str, ...]


Verdicts = dict[str, dict[str, Verdict]]  # stage -> sample id


def judge_set(answered: Answered) -> Verdicts:
    """Every answer of a set; nothing where its task could not be read."""
    spec = answered.spec
    if spec is None:
        return {stage: {} for stage in answered.predictions}
    return {stage: _stage(answered.samples, texts, spec) for stage, texts in answered.predictions.items()}


def _stage(samples: list[Sample], texts: Answers, spec: TaskSpec) -> dict[str, Verdict]:
    return {sample.id: verdict(sample, texts[sample.id], spec) for sample in samples if sample.id in texts}


def verdict(sample: Sample, completions: tuple[str, ...], spec: TaskSpec) -> Verdict:
    """The first completion judged, all of them counted; none at all is an answer that cannot be read."""
    parsed = [parse(text, spec, sample) for text in completions]
    first = parsed[0] if parsed else Parsed(problems=("no_completion",))
    try:
        right = [is_right(sample, one.answer, spec) for one in (first, *parsed[1:])]
        errors = () if sample.gold is None else errors_of(sample, first.answer, spec)
    except DataError:  # gold that the guideline does not know cannot be compared with
        return Verdict(first, None, (), 0, completions)
    known = sample.gold is not None
    return Verdict(first, right[0] if known else None, errors, sum(right[: len(parsed)]), completions)


def errors_of(sample: Sample, answer: str | Extraction | None, spec: TaskSpec) -> tuple[str, ...]:
    """The kinds of error an answer makes, each once, in words; of extractions for entities and relations apart."""
    if answer is None:
        return (KINDS["unparseable"],)
    found = [rest[0] for kind, *rest in protocol(BY_TASK[sample.task]).events(sample, answer, spec) if kind == "errors"]
    named = dict.fromkeys(KINDS.get(name, name) for name in found if name not in PLAIN)
    if isinstance(answer, Extraction) and isinstance(sample.gold, Extraction):
        relations = [f"relation: {name}" for name in named]
        return (*dict.fromkeys(_entity_errors(answer, sample.gold)), *relations)
    return tuple(named)


def _entity_errors(answer: Extraction, gold: Extraction) -> list[str]:
    def kind(wanted: str, given: str) -> str:
        return "missed" if given == spans.MISSED else "made up" if wanted == spans.SPURIOUS else "wrong type"

    pairs = spans.confusions(spans.entity_spans(answer), spans.entity_spans(gold))
    return sorted(f"entity: {kind(wanted, given)}" for _, wanted, given in pairs if wanted != given)


def outcome(before: Verdict | None, after: Verdict | None) -> Outcome:
    """What the last stage made of a sample, against the one before it where there is one.

    fixed: wrong before, right now; broken: right before, wrong now; unknown: no gold or no prediction.
    """
    if after is None or after.right is None:
        return "unknown"
    if before is None or before.right in (None, after.right):
        return "right" if after.right else "wrong"
    return "fixed" if after.right else "broken"


def outcomes(answered: Answered, verdicts: Verdicts) -> dict[str, Outcome]:
    """Sample id -> outcome, for every sample that some stage answered (all of them, if none did)."""
    ids = {id_ for texts in answered.predictions.values() for id_ in texts}
    *_, before, after = [{}, {}, *verdicts.values()]
    return {
        sample.id: outcome(before.get(sample.id), after.get(sample.id))
        for sample in answered.samples
        if not ids or sample.id in ids
    }


def labels_of(answer: Gold | Extraction | str | None) -> list[str]:
    """A label, or every type and relation an extraction names, each once; [] for no answer."""
    if answer is None:
        return []
    if isinstance(answer, Gold | str):
        return [answer.label if isinstance(answer, Gold) else answer]
    names = [*(entity.type for entity in answer.entities), *(relation.label for relation in answer.relations)]
    return sorted(set(names))


def scorer(settings: Settings | None, answered: Answered) -> Scorer:
    """What a completion would earn by the run's `grpo.rewards`, part by part; nothing where they cannot be read."""
    spec = answered.spec
    if settings is None or spec is None:
        return lambda completion, sample: []
    try:
        parts = compose(settings.grpo, answered.corpus)
    except (ConfigError, KeyError):  # or the corpus is none of those that rewards are named for
        return lambda completion, sample: []

    def score(completion: str, sample: Sample) -> list[Reward]:
        terms = terms_of(settings.grpo, steps_of(sample, settings.prompt))
        values = judge(Case(completion=completion, sample=sample, spec=spec, terms=terms), parts)
        # the weights of the end of a run are those its model was left with
        return [(name, value, parts[name].second) for name, value in values.items() if value is not None]

    return score
