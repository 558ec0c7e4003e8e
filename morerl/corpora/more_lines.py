"""The facts of a file of the MORE family as text, and what each says: a line each, or one JSON array of them.

A line is a Python dict literal or a JSON object. A file *.json that begins with [ is one JSON array, written
compactly or over many lines; its facts are numbered from 1, like lines.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from morerl.errors import DataError

MAX_LINE = 100_000  # characters of a fact; literal_eval of a hostile line could exhaust the stack or memory
_FILLING = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(parse_int=str)  # where a fact ends; a number of too many digits is its own fault


class Refused(Exception):
    """A fact that cannot become a sample: args are the reason and the detail of its Reject."""


def facts(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered facts that are not blank; of one longer than MAX_LINE only the beginning.

    Raises DataError for a file that cannot be read, or begins like a JSON array and is none.
    """
    try:
        yield from _elements(path) if _is_array(path) else _lines(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} begins like one JSON array, but is none ({str(error)[:200]}); want one array of facts, or one "
            "fact a line; take it from the release again"
        ) from error


def parse(text: str) -> dict[str, Any]:
    """The dict a fact says; raises Refused with line_too_long, not_utf8, not_a_literal or no_object."""
    if len(text) > MAX_LINE:
        raise Refused("line_too_long", f"more than {MAX_LINE:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused("not_utf8", error) from error
    try:
        value = _value(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Refused("not_a_literal", error) from error
    if not isinstance(value, dict):
        raise Refused("no_object", f"a {type(value).__name__}; want one object with token, h, t, img_id and relation")
    return value


def _value(text: str) -> Any:
    try:
        return json.loads(text)  # faster, and reads true, false and null at all
    except ValueError:
        return ast.literal_eval(text)


def _is_array(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        return file.read(MAX_LINE).lstrip().startswith("[")


def _elements(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    number, position = 0, _after(text, text.index("[") + 1)
    another = text[position : position + 1] != "]"
    while another:
        _, end = _DECODER.raw_decode(text, position)
        number += 1
        yield number, text[position : min(end, position + MAX_LINE + 1)]
        position = _after(text, end)
        another = text[position : position + 1] == ","
        position = _after(text, position + another)
    if text[position : position + 1] != "]" or _after(text, position + 1) != len(text):
        raise ValueError(f"it does not end after fact {number}")


def _after(text: str, position: int) -> int:
    filling = _FILLING.match(text, position)
    return filling.end() if filling else position


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if line.strip() or len(line) > MAX_LINE:
                yield number, line
            while line and not line.endswith("\n"):
                line = file.readline(MAX_LINE)
