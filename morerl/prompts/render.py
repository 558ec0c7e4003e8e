"""A sample -> the chat a model is shown, and an answer -> the text it should write.

One renderer serves the teacher, SFT, GRPO, prediction and the demo. Pictures are placeholders
here ({"type": "image"}); morerl.images gives the pictures themselves, in the same order.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateNotFound
from jinja2.loaders import FileSystemLoader
from jinja2.sandbox import ImmutableSandboxedEnvironment

from morerl.errors import ConfigError
from morerl.prompts.extraction import write_extraction
from morerl.schema import Mention, Sample, label
from morerl.settings import ImageSettings, PromptSettings
from morerl.task import ArgumentType, Label, TaskSpec

TEMPLATES = Path(__file__).parent / "templates"
EXTRACT = "extract"
STEPS = {"stepwise": 6, "stepwise_brief": 6}
"""Templates that ask for numbered steps, and how many; the format reward demands them in order."""

Messages = list[dict[str, Any]]


def render(sample: Sample, spec: TaskSpec, prompt: PromptSettings, images: ImageSettings) -> Messages:
    """The user's message: picture placeholders first, then the text of the template.

    Raises ConfigError for an unknown template, and for one that asks something else than the sample.
    """
    pictures = [{"type": "image"} for _ in range(picture_count(sample, images))]
    text = fill(template_of(sample, prompt), sample, spec, images, examples=prompt.examples)
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": text}]}]


def extend(messages: Messages, text: str) -> Messages:
    """The messages of `render` with a paragraph more at their end.

    In the same part: chat templates set parts side by side with nothing between them.
    """
    *pictures, asked = messages[0]["content"]
    return [{**messages[0], "content": [*pictures, {**asked, "text": f"{asked['text']}\n\n{text}"}]}]


def template_of(sample: Sample, prompt: PromptSettings) -> str:
    """The template of the settings, or else the one that fits the sample.

    extract for entities and relations; of a pair stepwise where there is a picture, guided where there is none.
    """
    if prompt.template is not None:
        return prompt.template
    if sample.task != "pair":
        return EXTRACT
    return "stepwise" if sample.image is not None else "guided"


def steps_of(sample: Sample, prompt: PromptSettings) -> int:
    """How many numbered steps the sample's prompt asks for; 0: none."""
    return STEPS.get(template_of(sample, prompt), 0)


def fill(template: str, sample: Sample, spec: TaskSpec, images: ImageSettings, *, examples: bool = False) -> str:
    """The text of a template for one sample. Data are values, never template source."""
    if (template == EXTRACT) != (sample.task != "pair"):
        right = "leave it out or take extract" if sample.task != "pair" else "extract is for entities and relations"
        raise ConfigError(f"prompt.template: {template!r} does not ask what {sample.id} asks ({sample.task}); {right}")
    asked = _pair(sample, spec, images) if sample.task == "pair" else _extraction(sample, spec)
    pictures, shown = _views(sample, images), _examples if examples else _nothing
    common = {"text": sample.text, "question": spec.question, "spec": spec, "pictures": pictures, "shown": shown}
    return _template(TEMPLATES, template).render(**common, **asked)


def fill_file(path: Path, **values: object) -> str:
    """The text of a template that lies beside the code which fills it. Values are data, never template source."""
    return _template(path.parent, path.stem).render(**values)


def _nothing(label: Label | ArgumentType) -> str:
    return ""


def _examples(label: Label | ArgumentType) -> str:
    """Where a label or type holds, and where it only seems to, as lines below its definition."""
    named = (("Example", label.positive), ("Not", label.near_miss))
    return "".join(f"\n  {name}: {text}" for name, text in named if text)


def _pair(sample: Sample, spec: TaskSpec, images: ImageSettings) -> dict[str, object]:
    views = _views(sample, images)
    # two objects have a crop each, in this order
    crops = [role for role in (sample.head, sample.tail) if "crop" in views and _is_region(sample, role)]
    which = ("the one in the crop",) if len(crops) == 1 else ("the one in the first crop", "the one in the second crop")
    cropped = dict(zip(crops, which, strict=False))
    head, tail = (
        ", ".join([describe(sample, role), *([cropped[role]] if role in cropped else [])])
        for role in (sample.head, sample.tail)
    )
    return {
        "marked": mark(sample),
        "head": head,
        "tail": tail,
        "directed": any(label.directed for label in spec.labels),
        "shown_pictures": _in_words(views, len(crops)),
        "bracketed": mark(sample, "[ ", " ]"),
        "excerpt": excerpt(sample),
    }


def _extraction(sample: Sample, spec: TaskSpec) -> dict[str, object]:
    """Only the types asked for, and the relations only where they are asked for."""
    types = {name: kind for name, kind in spec.types.items() if not sample.types or name in sample.types}
    return {"types": types, "labels": spec.labels if sample.task == "extract" else ()}


@cache
def _template(folder: Path, name: str) -> Any:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=False,
    )
    try:
        return environment.get_template(f"{name}.jinja")
    except TemplateNotFound as error:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.jinja")))
        raise ConfigError(f"prompt.template: no template {name!r}; known: {known}") from error


def picture_count(sample: Sample, images: ImageSettings) -> int:
    """How many pictures `morerl.images.views` gives for the sample."""
    regions = sum(_is_region(sample, role) for role in (sample.head, sample.tail))
    return sum(1 if view == "full" else regions for view in _views(sample, images))


def _views(sample: Sample, images: ImageSettings) -> tuple[str, ...]:
    """The views of the settings that there is anything to show in."""
    regions = any(_is_region(sample, role) for role in (sample.head, sample.tail))
    return tuple(view for view in images.views if sample.image is not None and (view == "full" or regions))


def _is_region(sample: Sample, role: str | None) -> bool:
    return role in {region.id for region in sample.regions}


def _in_words(views: tuple[str, ...], crops: int) -> str:
    of = "the crop of one object" if crops == 1 else "the crops of two objects"
    if "crop" not in views:
        return "a picture"
    return f"a picture and {of} in it" if "full" in views else f"{of} in a picture"


def describe(sample: Sample, role: str | None) -> str:
    """A head or tail as the prompt names it: the mention in quotes, or the object by two corners of its box."""
    argument = sample.argument(role)
    if isinstance(argument, Mention):
        return f"'{argument.text}'"
    x1, y1, x2, y2 = (f"{round(100 * value)}%" for value in argument.box)
    return f"the object from ({x1}, {y1}) to ({x2}, {y2}) of the picture's width and height"


def mark(sample: Sample, left: str = "<e{}>", right: str = "</e{}>") -> str:
    """The text with head (1) and tail (2) between marks, where they are mentions; nesting allowed."""
    inserts = []
    for number, role in enumerate((sample.head, sample.tail), 1):
        argument = sample.argument(role)
        if isinstance(argument, Mention):
            # at one position: close before opening, the longer span outside, of equal ones the head
            inserts.append((argument.start, 1, -argument.end, number, left.format(number)))
            inserts.append((argument.end, 0, -argument.start, -number, right.format(number)))
    pieces, position = [], 0
    for offset, _, _, _, tag in sorted(inserts):
        pieces += [sample.text[position:offset], tag]
        position = offset
    return "".join(pieces) + sample.text[position:]


def excerpt(sample: Sample) -> str:
    """The marked text of `cut`."""
    return mark(cut(sample))


def cut(sample: Sample) -> Sample:
    """The sample with its text from one argument to the other, and the run of non-blanks next to them on either side.

    As it is unless both arguments are mentions; of the mentions only the two stay.
    """
    arguments = [sample.argument(sample.head), sample.argument(sample.tail)]
    mentions = [one for one in arguments if isinstance(one, Mention)]
    if len(mentions) < 2:
        return sample
    start, end = min(one.start for one in mentions), max(one.end for one in mentions)
    before, after = sample.text[:start], sample.text[end:]
    first = before.rfind(before.split()[-1]) if before.split() else start
    last = after.find(after.split()[0]) + len(after.split()[0]) if after.split() else 0
    moved = [one.model_copy(update={"start": one.start - first, "end": one.end - first}) for one in mentions]
    return sample.model_copy(update={"text": sample.text[first : end + last], "mentions": tuple(moved)})


def render_completion(think: str, answer: str) -> str:
    """The text a model should write for this reasoning and answer; `parse` gives them back."""
    return f"<think>{think}</think>\n<answer>{answer}</answer>"


def render_gold(sample: Sample, template: str | None = None) -> str:
    """A minimal right completion: every step named, the gold answer. For checks, not for training."""
    steps = "\n".join(f"Step {i}: -" for i in range(1, STEPS.get(template or "", 0) + 1))
    return render_completion(steps or "-", label(sample) if sample.task == "pair" else write_extraction(sample))
