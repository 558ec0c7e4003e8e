"""A teacher that is not shown the answer: of several draws the one that is right is kept (rejection sampling).

The student's own prompt at length, then how to write reasoning that can be learnt from. Nothing of the gold is shown,
so a chain cannot betray it; what the teacher never gets right is lost instead.
"""

from __future__ import annotations

from pathlib import Path

from morerl.prompts.render import STEPS, Messages, extend, fill_file, render, template_of
from morerl.schema import Sample
from morerl.settings import PromptSettings, Settings
from morerl.task import TaskSpec

VERSION = "distill/1"
SHOWS_GOLD = False
WORDING = Path(__file__).with_suffix(".jinja")


def check(sample: Sample) -> None:
    """Raises nothing: every question can be asked without its answer."""


def template(sample: Sample) -> str:
    """The student's template this asks in: the one at length that fits the sample."""
    return template_of(sample, PromptSettings())


def messages(sample: Sample, spec: TaskSpec, settings: Settings) -> Messages:
    """The student's prompt as it fits the sample, then how to reason. The same whatever the gold."""
    prompt = settings.prompt.model_copy(update={"template": template(sample)})
    advice = fill_file(WORDING, pictured=sample.image is not None, stepped=template(sample) in STEPS)
    return extend(render(sample, spec, prompt, settings.images), advice)
