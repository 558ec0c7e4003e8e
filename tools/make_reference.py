"""Writes docs/configuration.md from the settings' own docstrings and descriptions, and the rewards' docstrings.

    python tools/make_reference.py            # after a change to a setting; a test holds the page current

Left out on purpose: the options of TRL, PEFT and transformers, which pass through untouched.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from morerl.rewards import PRESETS, REWARDS
from morerl.settings import Settings

OUT = Path(__file__).parents[1] / "docs" / "configuration.md"
HEAD = """\
# Every setting

Made by `python tools/make_reference.py` from the settings themselves; change their descriptions, not this page.

A run is one YAML file of sections; `run` and `data` are needed, all else has a default. An unknown key is an error that
names the nearest known one. On the command line `section.key=value` overrides the file, the value being YAML:
`run.seed=1`, `sft.trainer.learning_rate=5e-5`, `images.views=[full]`. In paths `${run.dir}` stands for `run.dir`.
What is below `sft.trainer`, `grpo.trainer` and `model.lora` goes to `trl.SFTConfig`, `trl.GRPOConfig` and
`peft.LoraConfig` as it is; their documentation says what there is. `morerl check CONFIG` says what is wrong.
Examples with a reason beside each value are in [configs/](../configs). A `*` in a heading is a name of your choosing.
"""
WORDS = {Path: "path", str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def main() -> None:
    """Writes the page."""
    OUT.write_text(page(), encoding="utf-8")
    print(f"wrote {OUT}")


def page() -> str:
    """The whole page as markdown."""
    return "\n".join([HEAD, *_sections(Settings, ""), *_rewards()]) + "\n"


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    """A section's table, then those of the sections in it."""
    inner = {name: _inner(field.annotation) for name, field in model.model_fields.items()}
    if path:
        yield f"## {path}\n\n{_said(model)}\n"
        yield "| key | value | default | meaning |\n|---|---|---|---|"
        yield from (_row(name, field, inner[name], path) for name, field in model.model_fields.items())
        yield ""
    for name, one in inner.items():
        if one is not None:
            stars = _stars(model.model_fields[name].annotation)
            yield from _sections(one, ".".join(filter(None, (path, name, *stars))))


def _stars(annotation: Any) -> tuple[str, ...]:
    """A star for each mapping around the section, whose keys are the user's."""
    for one in _parts(annotation):
        if get_origin(one) is dict:
            return ("*", *_stars(get_args(one)[1]))
    return ()


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, be it one, or one a name."""
    for one in _parts(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
        if get_origin(one) is dict:
            return _inner(get_args(one)[1])
    return None


def _parts(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return tuple(part for one in get_args(annotation) for part in _parts(one))
    return _parts(get_args(annotation)[0]) if hasattr(annotation, "__metadata__") else (annotation,)


def _row(name: str, field: FieldInfo, inner: type[BaseModel] | None, path: str) -> str:
    meaning = field.description or (_said(inner) if inner is not None else "")
    return f"| `{name}` | {_cell(_value(field))} | {_cell(_default(field))} | {_cell(meaning)} |"


def _value(field: FieldInfo) -> str:
    kinds = dict.fromkeys(_kind(one) for one in _parts(field.annotation) if one is not NoneType)
    bounds = [(one, key) for one in field.metadata for key in BOUNDS if hasattr(one, key)]
    limits = [f"{BOUNDS[key]} {getattr(one, key):g}" for one, key in bounds]
    return " or ".join(kinds) + (f", {', '.join(limits)}" if limits else "")


def _kind(one: Any) -> str:
    if get_origin(one) is Literal:
        return ", ".join(f"`{name}`" for name in get_args(one))
    if get_origin(one) is tuple:
        inside = dict.fromkeys(_kind(part) for part in get_args(one) if part is not Ellipsis)
        return f"list of {' and '.join(inside)}"
    if get_origin(one) is dict:
        return "mapping"
    return "section" if isinstance(one, type) and issubclass(one, BaseModel) else WORDS.get(one, str(one))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**needed**"
    if isinstance(field.default, BaseModel):
        return "below"
    return f"`{_yaml(field.default)}`"


def _yaml(value: Any) -> str:
    """A default as one would write it in the file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, BaseModel):
        return _yaml(value.model_dump(exclude_none=True))
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _said(documented: Any) -> str:
    """The docstring's first paragraph, in one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")


def _rewards() -> Iterator[str]:
    yield "## Rewards: parts\n\nNames for `grpo.rewards`; values lie within these bounds and are logged as they are.\n"
    yield "| part | from | to | for | meaning |\n|---|---|---|---|---|"
    for name, part in REWARDS.items():
        yield f"| `{name}` | {part.low:g} | {part.high:g} | {', '.join(part.tasks)} | {_cell(_said(part.value))} |"
    yield "\n## Rewards: presets\n\n`part × weight`; a gate in brackets: another part that must be above 0.\n"
    yield "| preset | parts |\n|---|---|"
    for name, parts in PRESETS.items():
        yield f"| `{name}` | {', '.join(_weight(part, one) for part, one in parts.items())} |"


def _weight(name: str, one: Any) -> str:
    weight = f"{one.weight:g}" if one.weight is not None else f"{one.stages[0]:g} then {one.stages[1]:g}"
    return f"`{name}` × {weight}" + (f" (`{one.gate}`)" if one.gate else "")


if __name__ == "__main__":
    main()
