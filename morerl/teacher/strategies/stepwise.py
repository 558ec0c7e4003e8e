"""MORE-R1's teacher (https://arxiv.org/abs/2603.09478): six steps towards a gold relation that is shown.

The student's own task and steps, at length whatever the student is shown, then the anchor: the gold relation and the
types it implies. Left out on purpose: types where the gold is no relation, for no label implies them and a guess would
be learnt. Added: nobody is to be named from the face.
"""

from __future__ import annotations

from pathlib import Path

from morerl.errors import ConfigError
from morerl.prompts.render import Messages, extend, fill_file, render
from morerl.schema import Sample, label
from morerl.settings import Settings
from morerl.task import DIRECTIONS, TaskSpec

VERSION = "stepwise/1"
SHOWS_GOLD = True
WORDING = Path(__file__).with_suffix(".jinja")

Types = tuple[str | None, str | None]


def check(sample: Sample) -> None:
    """Raises ConfigError for what is no pair: the six steps end in one relation."""
    if sample.task != "pair":
        raise ConfigError(
            f"teach.strategy = stepwise asks how a head is related to a tail, and {sample.id} asks for an extraction "
            f"({sample.task}); take guided, distill or mimic"
        )


def template(sample: Sample) -> str:
    """The student's template this asks in: the six steps at length, whatever the student is shown."""
    return "stepwise"


def messages(sample: Sample, spec: TaskSpec, settings: Settings) -> Messages:
    """The student's six steps, then the gold anchor. The sample is a pair with gold (see `check`)."""
    prompt = settings.prompt.model_copy(update={"template": template(sample)})
    head, tail = gold_types(sample, spec)
    pictured = sample.image is not None
    anchor = fill_file(WORDING, gold=label(sample), head=head, tail=tail, typed=bool(spec.types), pictured=pictured)
    return extend(render(sample, spec, prompt, settings.images), anchor)


def gold_types(sample: Sample, spec: TaskSpec) -> Types:
    """Types of head and tail as far as they are known: the sample's own, else what its gold relation implies.

    None where the label may join several types, and for both where the gold is no relation.
    """
    answer = label(sample)
    if answer == spec.none:
        return None, None
    head, tail = _implied(answer, spec)
    return sample.argument(sample.head).type or head, sample.argument(sample.tail).type or tail


def _implied(answer: str, spec: TaskSpec) -> Types:
    for one in spec.labels:
        if answer in (one.name, one.name + DIRECTIONS[0]):
            return _only(one.head), _only(one.tail)
        if answer == one.name + DIRECTIONS[1]:
            return _only(one.tail), _only(one.head)
    return None, None


def _only(types: tuple[str, ...]) -> str | None:
    return types[0] if len(types) == 1 else None
