"""One record as a user or a line of JSON gives it: a text, with a picture, mentions and regions where there are any.

    "a text"
    {"text": "...", "image": "a.jpg", "mentions": ["Hale", [10, 14], {"start": 0, "end": 4, "type": "per"}],
     "regions": [[0.1, 0.2, 0.5, 0.9], {"id": "r7", "box": [...]}], "id": "mine/1"}

Keys of the user's own are passed over. A record that cannot be used is `Unfit`, with a reason; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from operator import index
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

from pydantic import ValidationError

from morerl.errors import DataError
from morerl.prompts.place import place
from morerl.schema import Mention, Region

MOST_WORDS = 500  # characters of a message: what a record holds may be any length


class Unfit(DataError):
    """A record that cannot be asked about. `reason` is a short stable name, fit for counting."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message[:MOST_WORDS])
        self.reason = reason


class BadLine(NamedTuple):
    """In the place of a record that could not be read."""

    message: str


class Record(NamedTuple):
    """A record, checked; its picture has not been opened."""

    id: str | None
    text: str
    image: str | None
    mentions: tuple[Mention, ...]
    regions: tuple[Region, ...]


def read_record(raw: object) -> Record:
    """Raises Unfit: bad_line, _record, _id, _text, _image, _mention or _region; empty_text, repeated_id."""
    if isinstance(raw, BadLine):
        raise Unfit("bad_line", raw.message)
    fields = {"text": raw} if isinstance(raw, str) else raw
    if not isinstance(fields, Mapping):
        raise Unfit("bad_record", f'want a text or {{"text": ..., "image": ...}}, found {type(raw).__name__}')
    id_ = fields.get("id")
    if id_ is not None and id_of(fields) is None:
        raise Unfit("bad_id", f"id: want a string or a whole number, found {id_!r}")
    text = _text(fields.get("text"))
    image = fields.get("image")
    if not isinstance(image, str | Path | None) or image == "" or readable(str(image)) != str(image):
        raise Unfit("bad_image", f"image: want a path, found {type(image).__name__} {str(image)[:80]!r}")
    mentions = tuple(_mentions(_several(fields, "mentions"), text))
    regions = tuple(_regions(_several(fields, "regions")))
    ids = [item.id for item in (*mentions, *regions)]
    if len(set(ids)) < len(ids):
        raise Unfit("repeated_id", f"ids of mentions and regions are not unique: {ids[:20]}")
    if regions and image is None:
        raise Unfit("bad_region", "there are regions but no image")
    return Record(id_of(raw), text, None if image is None else str(image), mentions, regions)


def id_of(raw: object) -> str | None:
    """The id that a record has, good or bad."""
    given = raw.get("id") if isinstance(raw, Mapping) else None
    number = _whole(given)
    return readable(given) if isinstance(given, str) else None if number is None else str(number)


def text_of(raw: object) -> str:
    """What a record has for a text, in a form that can be written."""
    given = raw.get("text") if isinstance(raw, Mapping) else raw
    return readable(given) if isinstance(given, str) else ""


def image_of(raw: object) -> str | None:
    """What a record has for a picture."""
    given = raw.get("image") if isinstance(raw, Mapping) else None
    return readable(str(given)) if isinstance(given, str | Path) else None


def readable(text: str) -> str:
    """The text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise Unfit("bad_text", f"text: want a string, found {type(given).__name__}")
    if not given.strip():
        raise Unfit("empty_text", "the text is empty")
    if readable(given) != given:
        raise Unfit("bad_text", "the text holds half a surrogate pair; decode it as UTF-8 or UTF-16 first")
    return given


def _several(fields: Mapping[str, Any], name: str) -> Sequence[Any]:
    given = fields.get(name)
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise Unfit(f"bad_{name[:-1]}", f"{name}: want a list, found {type(given).__name__}")
    return given


def _mentions(given: Iterable[Any], text: str) -> Iterable[Mention]:
    """Each as a string (the first place that is not taken), [start, end], or with the keys of a Mention.

    One with a text but without a start is placed as a string is.
    """
    rows = [one.model_dump() if isinstance(one, Mention) else one for one in given]
    ids = _ids(rows, "m")
    strings = [string for string in map(_string, rows) if string is not None]
    found = iter(place([(" ".join(string.split()), None) for string in strings], text, listed=False))
    for number, (row, id_) in enumerate(zip(rows, ids, strict=True)):
        string = _string(row)
        span = row if string is None else next(found)
        if span is None:
            raise Unfit("bad_mention", f"mentions[{number}]: the text does not hold {string!r} (or not so often)")
        fields = dict(span) if isinstance(span, Mapping) else _span(span, number)
        kind = row.get("type") if isinstance(row, Mapping) else None
        yield _mention({**fields, "id": id_, "type": kind}, number, text)


def _string(row: object) -> str | None:
    """What is to be looked for in the text; None where the row says its place."""
    if isinstance(row, Mapping) and row.get("start") is None and row.get("end") is None:
        row = row.get("text")
    return row if isinstance(row, str) else None


def _span(given: object, number: int) -> dict[str, Any]:
    if isinstance(given, Sequence) and len(given) == 2:
        return {"start": given[0], "end": given[1]}
    raise Unfit("bad_mention", f"mentions[{number}]: want a string, [start, end] or {{start, end}}, found {given!r}")


def _mention(fields: dict[str, Any], number: int, text: str) -> Mention:
    start, end = map(_whole, (fields.get("start"), fields.get("end")))
    if start is None or end is None or not 0 <= start < end <= len(text):
        raise Unfit(
            "bad_mention",
            f"mentions[{number}]: no span start={fields.get('start')!r}, end={fields.get('end')!r} in {len(text)} "
            "characters; want start, end or a text to look for",
        )
    stands = text[start:end]
    if fields.get("text", stands) != stands:
        raise Unfit("bad_mention", f"mentions[{number}]: text[{start}:{end}] is {stands!r}, not {fields['text']!r}")
    named = {"id": fields["id"], "type": fields.get("type")}
    return _valid(Mention, "mention", number, {"start": start, "end": end, "text": stands, **named})


def _whole(number: object) -> int | None:
    """A whole number, be it NumPy's; None for anything else."""
    try:
        return None if isinstance(number, bool) or not isinstance(number, SupportsIndex) else index(number)
    except TypeError:  # an array of several, or of fractions
        return None


def _regions(given: Iterable[Any]) -> Iterable[Region]:
    """Each as a box [x1, y1, x2, y2], or with the keys of a Region."""
    rows = [one.model_dump() if isinstance(one, Region) else one for one in given]
    for number, (row, id_) in enumerate(zip(rows, _ids(rows, "r"), strict=True)):
        fields = dict(row) if isinstance(row, Mapping) else {"box": row}
        yield _region({**fields, "id": id_}, number)


def _ids(rows: Sequence[Any], letter: str) -> list[str]:
    """The ids that the rows have; of those without one its number after the letter, or the next that is free."""
    given = [row.get("id") if isinstance(row, Mapping) else None for row in rows]
    taken = {str(id_) for id_ in given if id_ is not None}
    free = (name for name in (f"{letter}{n}" for n in count(len(rows))) if name not in taken)
    own = [f"{letter}{n}" for n in range(len(rows))]
    return [
        str(id_) if id_ is not None else name if name not in taken else next(free)
        for id_, name in zip(given, own, strict=True)
    ]


def _region(fields: dict[str, Any], number: int) -> Region:
    named = {"id": fields["id"], "type": fields.get("type")}
    region: Region = _valid(Region, "region", number, {"box": fields.get("box"), **named})
    x1, y1, x2, y2 = region.box
    if not (x1 < x2 and y1 < y2):
        raise Unfit("bad_region", f"regions[{number}]: box {list(region.box)} is empty (want x1 < x2 and y1 < y2)")
    return region


def _valid(kind: Any, what: str, number: int, fields: dict[str, Any]) -> Any:
    for name in ("id", "type"):
        if isinstance(fields[name], str) and readable(fields[name]) != fields[name]:
            raise Unfit(f"bad_{what}", f"{what}s[{number}]: its {name} holds half a surrogate pair; decode it as UTF-8")
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        hint = "; boxes are x1, y1, x2, y2 as fractions of width and height" if what == "region" else ""
        first = error.errors(include_url=False)[0]["msg"]
        raise Unfit(f"bad_{what}", f"{what}s[{number}]: {first}{hint}") from error
