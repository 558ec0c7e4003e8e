"""The lines of a column file as sentences, each told whole or by its first problem; `bio` says what the form is."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from morerl.errors import DataError

SCHEMES = {"IOB": "BI", "IOBES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
MAX_LINE = 10_000  # bytes
MAX_TOKENS = 10_000  # a file without empty lines is one sentence, and must not fill the memory

_BLANKS = " \t\r\n"
_COLUMNS = re.compile(" +")
_PICTURE = re.compile(r"IMGID:(.*)")
_PLAIN_NAME = re.compile(r"(?!\.)[\w.-]{1,100}")
_COMMENT = re.compile(r"# id([ \t]|$)")  # MultiCoNER: `# id 5b0e...  domain=en`


class Row(NamedTuple):
    """A token and its tag."""

    line: int
    token: str
    tag: str


class Problem(NamedTuple):
    """What makes a sentence unfit; the fields are those of its Reject."""

    line: int
    reason: str
    detail: str


class Sentence(NamedTuple):
    """The rows between two ends, and the picture that an IMGID line before them names."""

    rows: list[Row]
    image: str | None


class _Picture(NamedTuple):
    image: str


def sentences(path: Path) -> Iterator[Sentence | Problem]:
    """Sentences, or the first problem of each that has one; raises DataError for a file that cannot be read."""
    prefixes = SCHEMES[_scheme(path)]
    rows: list[Row] = []
    image: str | None = None
    problem: Problem | None = None
    for row in chain(_lines(path), [None]):
        if row is None:
            if problem or rows:
                yield problem or Sentence(rows, image)
            rows, image, problem = [], None, None
        elif isinstance(row, _Picture):
            image = row.image
        elif problem is None:
            problem = row if isinstance(row, Problem) else _problem(row, prefixes, len(rows))
            if isinstance(row, Row):
                rows.append(row)


def _scheme(path: Path) -> str:
    prefixes = Counter(row.tag[0] for row in _lines(path) if isinstance(row, Row) and row.tag[1:2] == "-")
    return max(SCHEMES, key=lambda scheme: sum(prefixes[prefix] for prefix in SCHEMES[scheme]))


def _problem(row: Row, prefixes: str, before: int) -> Problem | None:
    prefix, _, type_ = row.tag.partition("-")
    if before == MAX_TOKENS:
        return Problem(row.line, "sentence_too_long", f"more than {MAX_TOKENS:,} lines without an empty one")
    if row.tag == "O" or (len(prefix) == 1 and prefix in prefixes and type_ and "," not in type_):
        return None
    if "," in row.tag:
        return Problem(row.line, "joined_tags", f"{row.tag[:60]!r} holds more than one tag")
    return Problem(row.line, "bad_tag", f"{row.tag[:60]!r} is neither O nor one of {', '.join(prefixes)}, -, a type")


def _lines(path: Path) -> Iterator[Row | _Picture | Problem | None]:
    """The lines of a file, None where a sentence ends or nothing is told."""
    number, opening = 0, True
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                found = _told(number, raw, opening=opening)
                opening = found is None or isinstance(found, _Picture)
                yield found
                while len(raw) > MAX_LINE and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE + 1)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _told(number: int, raw: bytes, *, opening: bool) -> Row | _Picture | Problem | None:
    """What one line tells; `opening`: no token of its sentence came before it."""
    if len(raw) > MAX_LINE:
        return Problem(number, "line_too_long", f"more than {MAX_LINE:,} bytes")
    try:
        line = raw.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8").rstrip(_BLANKS)
    except UnicodeDecodeError as error:
        return Problem(number, "not_utf8", str(error))
    if "\r" in line:
        return Problem(number, "bad_line_end", r"a \r inside the line; write the file with \n or \r\n at line ends")
    columns = line.split("\t") if "\t" in line else _COLUMNS.split(line.lstrip(_BLANKS))
    if opening and len(columns) == 1 and (named := _PICTURE.fullmatch(columns[0])):
        return _picture(number, named[1])
    token, tag = columns[0].strip(_BLANKS), columns[-1].strip(_BLANKS)
    if token in ("", "-DOCSTART-") or (opening and _COMMENT.match(line)):
        return None
    if len(columns) == 1:
        return Problem(number, "no_tag", f"{line[:60]!r} is one column; want a token and its tag")
    return Row(number, token, tag)


def _picture(number: int, name: str) -> _Picture | Problem:
    if _PLAIN_NAME.fullmatch(name):
        return _Picture(f"{name}.jpg")
    return Problem(number, "bad_image_path", f"IMGID {name[:60]!r}: want letters, digits and . _ - alone, no . first")
