"""Rewards: pure functions of what was parsed from a completion, its sample and the task.

Each has a name, is logged on its own, and is weighed in the settings (grpo.rewards). They call the
parser and compare as the scorer does, so a reward cannot disagree with the evaluation.
Sources: MORE-R1 section 2.4 (format, length, answer); R1-RE section 2.2 (r1_format, r1_label).
"""

from __future__ import annotations

from collections.abc import Callable

from morerl.errors import ConfigError
from morerl.prompts.parse import Parsed, parse
from morerl.schema import Extraction, Frozen, Sample
from morerl.scoring import is_right
from morerl.settings import GrpoSettings
from morerl.task import TaskSpec


class Terms(Frozen):
    """What a reward may depend on beside completion, sample and task."""

    steps: int = 0  # numbered steps the prompt asks for; 0: none
    length_threshold: int = 1024  # characters of reasoning


def format_(parsed: Parsed, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """1 if think, then answer, each once, nothing outside, and every asked step in order; else 0."""
    return float(parsed.well_formed and (not terms.steps or parsed.steps == tuple(range(1, terms.steps + 1))))


def length(parsed: Parsed, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """1 if the reasoning has at least the threshold's characters and the format holds; else 0.

    Gated by the format: the paper's ungated form pays for padding (more_r1 note, flaw 1).
    """
    return float(len(parsed.think) >= terms.length_threshold and bool(format_(parsed, sample, spec, terms)))


def answer(parsed: Parsed, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """1 if the one answer is the gold one, all of it; else 0."""
    return float(is_right(sample, parsed.answer, spec))


def r1_format(parsed: Parsed, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """R1-RE: +1 for the form, -3 without it."""
    return 1.0 if parsed.well_formed else -3.0


def r1_label(parsed: Parsed, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """R1-RE: +2 for the right directed label, -1.5 for any other, 0 where the form is missing."""
    if not parsed.well_formed:
        return 0.0
    return 2.0 if is_right(sample, parsed.answer, spec) else -1.5


def schema(parsed: Parsed, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """1 less 0.1 for each thing that the guideline does not know or allow, 0 at least; 0 for what cannot be parsed.

    Counted: types and labels unknown, entities not in the text, relations without their entities or between argument
    types that may not be joined. Soft, for gold itself breaks SciER's signatures in 1 to 2 % (r2grpo note, section 6).
    """
    if parsed.answer is None:
        return 0.0
    return max(0.0, 1.0 - 0.1 * _violations(parsed.answer, sample, spec))


def _violations(answer: str | Extraction, sample: Sample, spec: TaskSpec) -> int:
    if isinstance(answer, str):
        head, tail = sample.argument(sample.head).type, sample.argument(sample.tail).type
        return int(answer not in spec.allowed(head, tail))
    types = {entity.id: entity.type for entity in answer.entities}
    entities = sum(one.start is None or one.type not in spec.types for one in answer.entities)
    relations = sum(
        not (one.head in types and one.tail in types and one.label in spec.allowed(types[one.head], types[one.tail]))
        for one in answer.relations
    )
    return entities + relations


REWARDS: dict[str, Callable[[Parsed, Sample, TaskSpec, Terms], float]] = {
    "format": format_,
    "length": length,
    "answer": answer,
    "schema": schema,
    "r1_format": r1_format,
    "r1_label": r1_label,
}


def reward(name: str, completion: str, sample: Sample, spec: TaskSpec, terms: Terms) -> float:
    """One named reward of one completion. Never raises on any text."""
    return REWARDS[name](parse(completion, spec, sample), sample, spec, terms)


def check_rewards(settings: GrpoSettings) -> None:
    """Refuses unknown names and a length no completion can reach. Raises ConfigError."""
    unknown = sorted(set(settings.rewards) - set(REWARDS))
    if unknown:
        raise ConfigError(f"grpo.rewards: no reward named {unknown}; known: {', '.join(REWARDS)}")
    cap = settings.trainer.get("max_completion_length", 512)
    # English runs at about four characters a token
    if cap is not None and settings.rewards.get("length") and settings.length_threshold > 4 * cap:
        raise ConfigError(
            f"grpo.length_threshold of {settings.length_threshold} characters cannot be reached with "
            f"trainer.max_completion_length of {cap} tokens (about {4 * cap} characters); raise one or lower the other"
        )
