"""Lines of JSON in, lines of JSON out: in order, each written when it is there; an interrupted run goes on.

<out>.run.json beside the results says what they were made with; a run with something else does not go on there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from morerl.errors import ConfigError, DataError
from morerl.extract.extractor import Extractor
from morerl.extract.findings import NOTHING
from morerl.extract.record import BadLine, Unfit, id_of, image_of, read_record, text_of
from morerl.extract.result import Result
from morerl.jsonl import first_fault, write_text
from morerl.partial import hold
from morerl.runs import read_json

TEXTLESS = ("bad_line", "bad_record", "bad_text", "empty_text")  # errors of records whose text is not known
Note = Callable[[str], None]  # told of each record what became of it


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
    """Writes the result of each record to `out`; returns how many by what became of them.

    That is `good`, an error's reason, or `no_completion` where the model or server said nothing to a question.
    `resume`: of the records that `out` holds the results of only those with an error or without a completion are asked
    again, and a torn last line is written anew. Raises ConfigError where `out` is there and `resume` is not asked for,
    or was made with another model or schema, DataError where it holds the results of other records, and MorerlError
    where another run writes it.
    """
    counts: Counter[str] = Counter()

    def note(became: str) -> None:
        counts[became] += 1
        on_result()

    answer = partial(extractor.extract_many, batch_size=batch_size)
    about = out.with_name(out.name + ".run.json")
    rest = iter(records)
    end = 0
    _goes_on(out, about, extractor.mark, resume)  # before anything is written
    out.parent.mkdir(parents=True, exist_ok=True)
    with about.open("a+b") as held:
        hold(held, out)
        if _goes_on(out, about, extractor.mark, resume):
            end, again = _kept(out, rest, note)
            end = _answer_again(out, end, again, answer, note)
        else:
            held.truncate(0)
            held.write(json.dumps({"mark": extractor.mark, "asked_for": extractor.wanted.labels}, indent=2).encode())
            held.flush()
        with out.open("ab") as file:
            file.truncate(end)
            for result in answer(rest):
                file.write(_line(result))
                file.flush()
                note(_became(result))
    return counts


def _line(result: Result) -> bytes:
    return result.to_json().encode() + b"\n"


def _became(result: Result) -> str:
    if result.error is not None:
        return result.error.reason
    return NOTHING if NOTHING in result.problems else "good"


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


def _kept(out: Path, records: Iterator[object], note: Note) -> tuple[int, dict[int, object]]:
    """Passes over the records that have results: where the whole lines end, in bytes, and what is to be asked again.

    That is by line, from 0. Raises DataError.
    """
    end, again = 0, {}
    with out.open("rb") as lines:
        for number, line in enumerate(lines):
            result = _result(line, f"{out}:{number + 1}")
            if result is None:
                break
            record = list(islice(records, 1))
            if not record or not _is_of(result, record[0]):
                raise DataError(f"{out}:{number + 1} is the result of another record than the one in this place")
            end += len(line)
            if _became(result) == "good":
                note("good")
            else:
                again[number] = record[0]
    return end, again


def _answer_again(
    out: Path, end: int, again: dict[int, object], answer: Callable[[Iterable[object]], Iterator[Result]], note: Note
) -> int:
    """Puts new results in the places of those lines, be it some before an interrupt; returns where the lines end."""
    if not again:
        return end
    new: dict[int, bytes] = {}
    try:
        for number, result in zip(again, answer(again.values()), strict=True):
            new[number] = _line(result)
            note(_became(result))
    finally:
        with out.open("rb") as old:
            write_text(out, (new.get(number, line).decode() for number, line in enumerate(_whole_lines(old, end))))
    return out.stat().st_size


def _whole_lines(file: BinaryIO, end: int) -> Iterator[bytes]:
    while file.tell() < end:
        yield file.readline()


def _result(line: bytes, where: str) -> Result | None:
    """What a whole line holds; None for a torn one. Raises DataError for one that holds something else."""
    try:
        return Result.model_validate_json(line) if line.endswith(b"\n") else None
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return None
        raise DataError(f"{where} holds no result: {first_fault(error)}; mend it, or give another --out") from error


def _is_of(result: Result, raw: object) -> bool:
    """Whether it is a result of this record; of one with an error, which may have been mended, its id or text tells."""
    if result.error is not None:
        known = result.id is not None and result.id == id_of(raw)
        return known or result.error.reason in TEXTLESS or result.text == text_of(raw)
    if (result.id, result.text, result.image) != (id_of(raw), text_of(raw), image_of(raw)):
        return False
    try:
        record = read_record(raw)
    except Unfit:
        return False
    if not record.mentions and not record.regions:
        return all(answer.head is None for answer in result.answers)
    mentions = [(one.id, one.type, one.start, one.end) for one in record.mentions]
    entities = [(one.id, one.type, one.start, one.end) for one in result.entities]
    return mentions == entities and record.regions == result.regions
