"""The project's own samples.jsonl as a corpus: one sample a line, as morerl.schema.Sample states it.

For samples written by hand or by another program. morerl.jsonl reads the same files where they are
known to be good, and stops at the first bad line; here a bad line becomes a Reject. Nothing is left out.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from morerl.errors import DataError
from morerl.jsonl import first_fault
from morerl.schema import Reject, Sample

MAX_LINE = 16 * 2**20  # bytes; a line without end would fill the memory
_FIRST = ("train", "dev", "test")
_NOT_SAMPLES = "rejected"


class Refused(Exception):
    """A record that cannot become a sample. `args` are the reason and the detail of its Reject."""


def splits(raw_dir: Path) -> tuple[str, ...]:
    """Names of the *.jsonl files of the folder, rejected.jsonl apart; train, dev, test come first.

    Raises DataError if there is none.
    """
    names = {path.stem for path in raw_dir.glob("*.jsonl") if path.is_file() and not path.name.startswith(".")}
    if not names - {_NOT_SAMPLES}:
        raise DataError(f"no samples in {raw_dir}; want files such as train.jsonl with one sample a line")
    return in_order(names - {_NOT_SAMPLES})


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of splits, each once: train, dev, test, then the others sorted."""
    names = set(names)
    return (*(name for name in _FIRST if name in names), *sorted(names.difference(_FIRST)))


def read(raw_dir: Path, split: str, *, corpus: str | None = None) -> Iterator[Sample | Reject]:
    """The samples of <split>.jsonl in file order, ids and corpus as written; a bad line is a Reject.

    `corpus` is part of every reader's shape; here each line names its own. Reasons: bad_json,
    bad_field, wrong_split, duplicate_id, line_too_long. Raises DataError if there is no such file.
    """
    return read_file(raw_dir / f"{split}.jsonl", split)


def read_file(path: Path, split: str | None = None) -> Iterator[Sample | Reject]:
    """The same of any file; `split` is the one that its samples must belong to, if given."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; want one sample a line in it") from error
    seen: set[str] = set()
    with lines:
        for number, line in _lines(lines):
            if line is None or line.strip():
                yield sample_or_reject(line, split, seen, file=path.name, line=number)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Every line with its number; None in place of one that is longer than MAX_LINE."""
    number, whole = 1, True
    while piece := file.readline(MAX_LINE):
        piece = piece.removeprefix(BOM_UTF8) if number == 1 and whole else piece
        ended = piece.endswith(b"\n")
        if whole:
            yield number, piece if ended or len(piece) < MAX_LINE else None
        number, whole = number + ended, ended


def sample_or_reject(
    record: str | bytes | None, split: str | None, seen: set[str], *, file: str, line: int
) -> Sample | Reject:
    """One JSON record of a split as a sample, its id added to `seen`, or the Reject that says why not.

    None stands for a record too long to be read. Reasons as in `read`.
    """
    try:
        if record is None:
            raise Refused("line_too_long", f"longer than {MAX_LINE:,} bytes")
        sample = parse_sample(record)
        if split is not None and sample.split != split:
            raise Refused("wrong_split", f"{sample.id} says it belongs to {sample.split!r}, not {split!r}")
        return unseen(sample, seen)
    except Refused as refused:
        return rejected(refused, file, line)


def parse_sample(record: str | bytes) -> Sample:
    """A JSON record as a sample; raises Refused (bad_json, bad_field)."""
    try:
        return Sample.model_validate_json(record)
    except ValidationError as error:
        kind = error.errors(include_url=False, include_input=False)[0]["type"]
        raise Refused("bad_json" if kind == "json_invalid" else "bad_field", first_fault(error)) from error


def unseen(sample: Sample, seen: set[str]) -> Sample:
    """The sample, its id added to `seen`; raises Refused (duplicate_id) where it is there already."""
    if sample.id in seen:
        raise Refused("duplicate_id", f"the id {sample.id!r} occurred before")
    seen.add(sample.id)
    return sample


def rejected(refused: Refused, file: str, line: int) -> Reject:
    """The Reject of a refused record; a long detail is cut, and what cannot be written is escaped."""
    reason, detail = refused.args
    safe = str(detail)[:300].encode("utf-8", "backslashreplace").decode()
    return Reject(file=file.encode("utf-8", "backslashreplace").decode(), line=line, reason=reason, detail=safe)
