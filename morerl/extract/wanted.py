"""What a user wants found -> what the model is asked: lists, dicts, a guideline or a TaskSpec to two TaskSpecs.

One asks a text for its entities (and relations), the other two given things for their relation. Labels need not have
been trained on: their definitions stand in the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from morerl.errors import ConfigError
from morerl.guidelines import load_spec
from morerl.task import ArgumentType, Label, TaskSpec, fold

Names = Sequence[str] | Mapping[str, Any]
Schema = Names | str | Path | TaskSpec

PLAIN = "What the name usually means."
ENTITY = {"entity": "Whatever one of the relations may join."}
NONE = "none"
RULES = (
    "An entity is named by the fewest words that name it, exactly as they stand in the text.",
    "Judge by what is said and shown here, and not by what is known from elsewhere.",
)
MARKED = "The head is e1, the tail e2, and a label is read from head to tail."
DIRECTION = "X is the head of a relation, Y its tail. Relation(e1,e2) says that e1 is X, Relation(e2,e1) that e2 is X."


class Wanted(NamedTuple):
    """What may be asked: `joint` of a text, `pair` of two given things; None: the schema does not hold it."""

    joint: TaskSpec | None
    pair: TaskSpec | None

    @property
    def labels(self) -> dict[str, list[str]]:
        """The names asked for: {"entities": [...], "relations": [...]}."""
        spec = self.joint or self.pair
        assert spec is not None, "a schema asks for something"
        return {
            "entities": list(spec.types),
            "relations": [label.name for label in spec.labels if label.name != spec.none],
        }


def wanted(schema: Schema | None, relations: Names | None = None) -> Wanted:
    """What a schema asks for.

    `schema`: entity types as a list of names or {name: definition}; or a whole task: a packaged guideline's name, the
    path of one, a TaskSpec. `relations`, beside types only: a list of names, {name: definition} or
    {name: {"definition", "head": [types], "tail": [types], "symmetric": ...}}. Raises ConfigError for a schema that
    cannot be used, DataError for a guideline that cannot be read.
    """
    if isinstance(schema, str | Path | TaskSpec):
        if relations is not None:
            raise ConfigError("a guideline says itself which relations there are; relations= goes with entity types")
        return of_spec(schema if isinstance(schema, TaskSpec) else _guideline(str(schema)))
    if not schema and not relations:
        raise ConfigError(
            "schema= is missing (in the shell --schema): a guideline's name or path, or entity types as names or "
            '{"person": "a human being"}, with relations= (--relations) beside them if you like'
        )
    types = {name: _type(name, value) for name, value in _named(schema or {}, "schema")}
    labels = [_label(name, value) for name, value in _named(relations or {}, "relations")]
    return _own(types, labels)


def of_spec(spec: TaskSpec) -> Wanted:
    """What a guideline asks for; one with a label for no relation asks about pairs alone."""
    if spec.none is not None:
        return Wanted(None, spec if len(spec.labels) > 1 else None)
    if not spec.labels:
        return Wanted(spec, None)
    asked = {"question": "Which of the relations below leads from the head to the tail, if any?", "direction": MARKED}
    labels = [_nothing(spec.labels), *map(_dump, spec.labels)]
    return Wanted(spec, _spec(**spec.model_dump() | asked | {"labels": labels, "none": NONE}))


def _guideline(name: str) -> TaskSpec:
    try:
        return load_spec(name)
    except ConfigError as error:
        raise ConfigError(f'schema: {error}. Entity types are given as a list: schema=["person"]') from error


def _named(names: object, what: str) -> list[tuple[str, Any]]:
    """(name, what is said of it or None); the names are checked."""
    if isinstance(names, Mapping):
        items = list(names.items())
    elif isinstance(names, Sequence) and not isinstance(names, str | bytes):
        items = [(name, None) for name in names]
    else:
        raise ConfigError(f"{what}: want a list of names or {{name: definition}}, found {type(names).__name__}")
    for name, _ in items:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or set("<>{}") & set(name):
            raise ConfigError(f"{what}: {name!r} cannot be a label; want a word or a few, on one line, without <>{{}}")
    return items


def _type(name: str, value: object) -> ArgumentType:
    return _read(ArgumentType, "schema", name, {"definition": PLAIN} | _said(value, "schema", name))


def _label(name: str, value: object) -> Label:
    return _read(Label, "relations", name, {"name": name, "definition": PLAIN} | _said(value, "relations", name))


def _said(value: object, what: str, name: str) -> dict[str, Any]:
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    if isinstance(value, str):
        return {"definition": value}
    if isinstance(value, Mapping):
        return dict(value)
    raise ConfigError(f"{what}.{name}: want a definition, found {value!r}")


def _read(kind: Any, what: str, name: str, fields: dict[str, Any]) -> Any:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{what}.{name}: {_first(error)}") from error


def _own(types: dict[str, ArgumentType], labels: list[Label]) -> Wanted:
    """A list gives no order in which a pair is to be asked about: the answer names it."""
    kinds: dict[str, Any] = types or (dict(ENTITY) if labels else {})
    asked = "Which entities of the types below does the text name" + (", and how are they related?" if labels else "?")
    task = {"corpus": "own", "rules": RULES, "direction": "A label is read from head to tail." if labels else None}
    joint = _spec(
        **task, protocol="scier" if labels else "ner", question=asked, types=kinds, labels=[_dump(x) for x in labels]
    )
    if not labels:
        return Wanted(joint, None)
    ordered = [_dump(label) | {"directed": not label.symmetric} for label in labels]
    question = "Which of the relations below holds between the two, if any?"
    pair = task | {"direction": DIRECTION, "question": question, "types": types, "none": NONE}
    return Wanted(joint, _spec(**pair, protocol="scier", labels=[_nothing(labels), *ordered]))


def _dump(label: Label) -> dict[str, Any]:
    return label.model_dump()


def _nothing(labels: Sequence[Label]) -> dict[str, Any]:
    if any(fold(label.name) == NONE for label in labels):
        raise ConfigError(f"relations: {NONE!r} is the answer where no relation holds; give this relation another name")
    return {"name": NONE, "definition": "No relation of this list holds between the two."}


def _spec(**fields: Any) -> TaskSpec:
    try:
        return TaskSpec.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"schema: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where + ': ' if where else ''}{first['msg']}"
