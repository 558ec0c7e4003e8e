"""A run's YAML file -> Settings, with `section.key=value` overrides, and back.

One file describes one run from data to scores, because its stages must agree on data, prompt and
pictures; each stage reads the shared sections and its own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from morerl.errors import ConfigError
from morerl.settings import Settings


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's floats: 1e-6 is a number (nothing here checks trainer options)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _parse_yaml(text: str) -> Any:
    """Raises yaml.YAMLError; ValueError for impossible dates; RecursionError for brackets without end."""
    return _Loader(text).get_single_data()


def load_settings(path: Path, overrides: list[str] | None = None) -> Settings:
    """Settings of a YAML file with `section.key=value` overrides applied.

    A guideline's file that lies beside the YAML is found there, so that both may be moved together. Raises ConfigError
    naming the file, the key and the nearest known one.
    """
    tree = _read_yaml(path)
    _find_guidelines(tree.get("data"), path.parent)
    return make_settings(tree, overrides or [], path)


def make_settings(tree: dict[str, Any], overrides: list[str], source: Path) -> Settings:
    """Settings of sections as YAML holds them, which the overrides change; `source` is what an error names.

    Raises ConfigError as `load_settings`.
    """
    for override in overrides:
        _apply(tree, override)
    run = tree.get("run")
    if isinstance(run, dict):
        tree = _fill_in(tree, str(run.get("dir", "")))
    _refuse_passwords(tree, source)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_explain(source, error)) from error


def dump_settings(settings: Settings) -> str:
    """The resolved settings as YAML, fit for reading back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = _parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: want sections (run:, data:, ...), found {type(tree).__name__}")
    return tree


def _find_guidelines(data: Any, folder: Path) -> None:
    """Makes the path of a guideline that lies below `folder` one from here, in the section data or in its corpora."""
    if not isinstance(data, dict):
        return
    name = data.get("guidelines")
    if isinstance(name, str) and name.lower().endswith((".yaml", ".yml")) and (folder / name).is_file():
        data["guidelines"] = str(folder / name)
    corpora = data.get("corpora")
    for corpus in corpora.values() if isinstance(corpora, dict) else ():
        _find_guidelines(corpus, folder)


def _apply(tree: dict[str, Any], override: str) -> None:
    dotted, sign, value = override.partition("=")
    keys = dotted.split(".")
    if not sign or not all(keys):
        raise ConfigError(f"override {override!r}: want section.key=value, e.g. run.seed=1")
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if branch is None:
            branch = tree[key] = {}
        if not isinstance(branch, dict):
            raise ConfigError(f"override {override!r}: {key!r} is a value, not a section")
        tree = branch
    try:
        tree[keys[-1]] = _parse_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML: {error}") from error


def _fill_in(value: Any, run_dir: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill_in(inner, run_dir) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill_in(inner, run_dir) for inner in value]
    return value.replace("${run.dir}", run_dir) if isinstance(value, str) else value


def _refuse_passwords(value: Any, source: Path, where: str = "") -> None:
    """Before anything repeats or writes the value."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in inner:
            _refuse_passwords(one, source, f"{where}.{key}" if where else str(key))
    elif isinstance(value, str) and re.search(r"://[^/\s]*@", value):
        raise ConfigError(
            f"{source}: {where} is an address with a user or password in it, which would end in the run's folder and "
            "on model cards: give the address alone, and the key in the environment (OPENAI_API_KEY)"
        )


def _explain(path: Path, error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), _known_keys(problem["loc"][:-1]), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(_known_keys(problem['loc'][:-1]))}"
            lines.append(f"  {where}: unknown key{hint}")
        else:
            lines.append(f"  {where}: {problem['msg']}" + _shown(problem))
    return f"{path}: {len(lines)} problem{'s' * (len(lines) > 1)} in the settings\n" + "\n".join(lines)


def _shown(problem: Any) -> str:
    return "" if problem["type"] == "missing" else f" (found {problem['input']!r})"


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location:
        field = model.model_fields.get(str(part))  # none: the key of a mapping, whose values are one kind of section
        model = next(_sections(field.annotation)) if field is not None else model
    return list(model.model_fields)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
