"""What the page's form sends -> what the extractor is asked. Anything may come: it is checked as a record is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from morerl.errors import ConfigError, DataError
from morerl.extract.extractor import Extractor
from morerl.extract.record import Unfit
from morerl.extract.wanted import of_spec
from morerl.guidelines import known_specs, load_spec

TRAINED, OWN = "", "own"
WORDS = {  # a person before a page has other means than one who writes a program
    "empty_text": "Type a text first.",
    "no_arguments": "This schema asks how given things are related: mark words in the text, or draw boxes as well.",
    "no_relations": "This schema has no relations to ask about: remove the boxes and marked words, or choose another.",
    "one_argument": "One thing alone is no pair: mark words in the text, or draw a second box.",
    "no_pictures": "This model reads text only: remove the picture.",
}


class Asked(NamedTuple):
    """A question of the page: who is asked, and `extract`'s arguments."""

    extractor: Extractor
    record: dict[str, Any]


def read_question(extractor: Extractor, raw: object) -> Asked:
    """The question in {"schema", "types", "relations", "text", "image", "mentions", "regions"}.

    Raises ConfigError for a schema that cannot be used and DataError for what is no question; the record itself is
    checked where it is asked.
    """
    if not isinstance(raw, Mapping):
        raise DataError("a question is an object")
    fields = {name: raw.get(name) for name in ("text", "image", "mentions", "regions")}
    asked = _asking(extractor, raw.get("schema"), raw.get("types"), raw.get("relations"))
    return Asked(asked, fields | {name: fields[name] or () for name in ("mentions", "regions")})


def _asking(extractor: Extractor, schema: object, types: object, relations: object) -> Extractor:
    if schema == OWN:
        named, related = definitions(types), definitions(relations)
        if not named and not related:
            raise ConfigError("Write what to look for: an entity type or a relation a line, as  name: definition")
        return extractor.asking(named or None, related or None)
    if schema == TRAINED and extractor.trained is not None:
        return extractor.asking()
    if schema in known_specs():  # and no path: the page reads no files
        return extractor.asking(str(schema))
    raise ConfigError(f"no schema is called {str(schema)[:80]!r}")


def definitions(written: object) -> dict[str, str]:
    """{name: definition} of lines as `name: definition`; the definition may be left out."""
    lines = written.splitlines() if isinstance(written, str) else []
    pairs = (line.partition(":") for line in lines if line.strip())
    return {name.strip(): definition.strip() for name, _, definition in pairs}


def schemas(extractor: Extractor) -> list[tuple[str, str]]:
    """(value, words) of what may be chosen, the model's own first."""
    own = [(TRAINED, "What this model was trained for")] if extractor.trained is not None else []
    packaged = [(name, f"{name}: {_asks(name)}") for name in known_specs()]
    return [*own, (OWN, "My own labels"), *packaged]


def _asks(name: str) -> str:
    wanted = of_spec(load_spec(name))
    if wanted.joint is None:
        return "how marked things are related"
    return "entities and relations of a text" if wanted.pair is not None else "entities of a text"


def in_words(error: Exception) -> str:
    """What an error says to a person before the page."""
    return WORDS.get(error.reason, str(error)) if isinstance(error, Unfit) else str(error)
