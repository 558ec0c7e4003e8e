"""Lines of JSON in, lines of JSON out: in order, each written when it is there; an interrupted run goes on.

<out>.run.json beside the results says what they were made with; a run with something else does not go on there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from morerl.errors import ConfigError, DataError
from morerl.extract.extractor import Extractor
from morerl.extract.record import BadLine, id_of, image_of, text_of
from morerl.jsonl import write_json
from morerl.runs import read_json

Kept = tuple[str | None, str, str | None]  # id, text and image: which record a result is of


def read_lines(path: Path) -> Iterator[object]:
    """What each line of a JSONL file holds, a BadLine for one that holds no JSON; empty lines are passed over.

    Raises DataError for a file that cannot be read.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _value(line, f"{path.name}:{number}")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _value(line: bytes, where: str) -> object:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return BadLine(f"{where}: no JSON of UTF-8: {str(error)[:200]}")


def extract_file(
    extractor: Extractor,
    records: Iterable[object],
    out: Path,
    *,
    resume: bool = False,
    batch_size: int | None = None,
    on_result: Callable[[], object] = lambda: None,
) -> Counter[str]:
    """Writes the result of each record to `out`; returns how many by what became of them: `good` or an error's reason.

    `resume`: records that `out` holds the results of are not asked again, and a torn last line is written anew.
    Raises ConfigError where `out` is there and `resume` is not asked for, or was made with another model or schema,
    and DataError where it holds the results of other records.
    """
    counts: Counter[str] = Counter()
    about = out.with_name(out.name + ".run.json")
    going_on = _goes_on(out, about, extractor.mark, resume)
    rest = iter(records)
    end = _kept(out, rest, counts, on_result) if going_on else 0
    out.parent.mkdir(parents=True, exist_ok=True)
    if not going_on:
        write_json(about, {"mark": extractor.mark, "asked_for": extractor.wanted.labels})
    with out.open("ab") as file:
        file.truncate(end)
        for result in extractor.extract_many(rest, batch_size=batch_size):
            file.write(result.to_json().encode() + b"\n")
            file.flush()
            counts[result.error.reason if result.error else "good"] += 1
            on_result()
    return counts


def _goes_on(out: Path, about: Path, mark: str, resume: bool) -> bool:
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; give the name of a file to write")
    if not out.exists():
        return False
    if not resume:
        raise ConfigError(f"{out} is there already; --resume goes on with it, or give another --out")
    if (read_json(about) or {}).get("mark") != mark:
        raise ConfigError(
            f"{out} was made with another model, schema or option (see {about}); give another --out, or delete both"
        )
    return True


def _kept(out: Path, records: Iterator[object], counts: Counter[str], on_result: Callable[[], object]) -> int:
    """Passes over the records that have results; returns where the whole lines end, in bytes."""
    end = 0
    with out.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            row = _row(line)
            if row is None:
                break
            if [_of_result(row)] != [_of_record(record) for record in islice(records, 1)]:
                raise DataError(f"{out}:{number} is the result of another record than the one in this place")
            end += len(line)
            error = row.get("error")
            counts[str(error.get("reason")) if isinstance(error, dict) else "good"] += 1
            on_result()
    return end


def _row(line: bytes) -> dict[str, Any] | None:
    """A whole line's object; None for a torn one."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _of_result(row: dict[str, Any]) -> Kept:
    return row.get("id"), row.get("text", ""), row.get("image")


def _of_record(raw: object) -> Kept:
    return id_of(raw), text_of(raw), image_of(raw)
