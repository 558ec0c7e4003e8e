"""Lines of JSON in and out: the files the stages meet in.

Reading is strict and names file:line; writing is atomic (aside, flushed, renamed), so that a full
disk or a kill never leaves half a file in place of a good one.
"""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from morerl.errors import DataError
from morerl.schema import Sample

Record = TypeVar("Record", bound=BaseModel)


def read_records(path: Path, kind: type[Record]) -> Iterator[Record]:
    """The records of a JSONL file, one at a time.

    Raises DataError naming file:line for a missing file, bad UTF-8, bad JSON or a bad field.
    """
    return (record for _, record in _numbered(path, kind))


def read_record(path: Path, kind: type[Record]) -> Record:
    """The one record of a JSON document. Raises DataError as `read_records` does."""
    try:
        return _record(path, 1, path.read_bytes().removeprefix(BOM_UTF8), kind)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _numbered(path: Path, kind: type[Record]) -> Iterator[tuple[int, Record]]:
    """The records with their line numbers; empty lines count but hold none."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                record = line.removeprefix(BOM_UTF8) if number == 1 else line  # Windows' editors write one
                if record.strip():
                    yield number, _record(path, number, record, kind)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _record(path: Path, number: int, line: bytes, kind: type[Record]) -> Record:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise DataError(f"{path}:{number}: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """Where the first fault of a record is, and what; of a box also what a box is."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    hint = "; boxes are x1, y1, x2, y2 as fractions of width and height" if "box" in first["loc"] else ""
    return f"{where + ': ' if where else ''}{first['msg']}{hint}"


def stream_samples(path: Path) -> Iterator[Sample]:
    """The samples of a split, one at a time; raises DataError as `read_records`, and for two samples of one id."""
    seen: set[str] = set()
    for number, sample in _numbered(path, Sample):
        if sample.id in seen:
            raise DataError(f"{path}:{number}: the id {sample.id!r} occurs twice")
        seen.add(sample.id)
        yield sample


def read_samples(path: Path, *, limit: int | None = None) -> list[Sample]:
    """The samples of a split, or the first `limit`; raises DataError as `stream_samples`, and where there is none."""
    samples = list(islice(stream_samples(path), limit))
    if not samples:
        raise DataError(f"{path} holds no sample")
    return samples


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """Writes one record a line, atomically."""
    write_text(path, (record.model_dump_json() + "\n" for record in records))


def write_json(path: Path, value: object) -> None:
    """Writes one indented JSON document, atomically."""
    write_text(path, [json.dumps(value, indent=2, ensure_ascii=False) + "\n"])


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Writes text atomically: a reader sees the old file or the whole new one. Raises DataError for a folder."""
    with replacing(path) as file:
        file.writelines(pieces)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A file to write that takes `path`'s place when the block ends well. Raises DataError for a folder."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and (not path.is_file() or path.is_relative_to("/dev")):  # a pipe, a device: nothing to replace
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
