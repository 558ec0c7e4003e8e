"""R1-RE's annotator (https://arxiv.org/abs/2507.04642): reasoning along the guideline towards a gold answer shown.

For relations of text pairs, for entities and for both. The paper lets reinforcement find such reasoning; here a
teacher writes it, and must weigh the answer against its nearest rival. Left out on purpose: pairs with a picture (see
stepwise).
"""

from __future__ import annotations

from pathlib import Path

from morerl.errors import ConfigError
from morerl.prompts.extraction import write_extraction
from morerl.prompts.render import Messages, extend, fill_file, render, template_of
from morerl.schema import Sample, label
from morerl.settings import PromptSettings, Settings
from morerl.task import TaskSpec

VERSION = "guided/1"
SHOWS_GOLD = True
WORDING = Path(__file__).with_suffix(".jinja")


def check(sample: Sample) -> None:
    """Raises ConfigError for a pair with a picture, which nothing in the guided prompt looks at."""
    if sample.task == "pair" and sample.image is not None:
        raise ConfigError(
            f"teach.strategy = guided reasons along the words of a text, and the pair of {sample.id} has a picture; "
            "take stepwise, whose steps look at it, or distill"
        )


def template(sample: Sample) -> str:
    """The student's template this asks in: the one at length that fits the sample."""
    return template_of(sample, PromptSettings())


def messages(sample: Sample, spec: TaskSpec, settings: Settings) -> Messages:
    """The student's guideline prompt, then what to reason about and the gold answer. The sample has gold."""
    prompt = settings.prompt.model_copy(update={"template": template(sample)})
    gold = label(sample) if sample.task == "pair" else write_extraction(sample)
    anchor = fill_file(WORDING, gold=gold, task=sample.task, direction=spec.direction, negative=spec.none)
    return extend(render(sample, spec, prompt, settings.images), anchor)
