"""Long work on samples, chunk by chunk: what is done is kept beside the file to come, and an interrupted run goes on.

<out>.part holds a first line that says what is being done, then one line a sample. It is thrown away where it was
begun with other settings, samples or model, and once `out` is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from morerl.errors import MorerlError
from morerl.schema import Sample

Ask = Callable[[Sequence[Sample], int], list[list[str]]]


def fingerprint(*parts: Any) -> str:
    """SHA-256 of JSON-ready data: what makes the completions what they are."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def in_chunks(samples: Sequence[Sample], out: Path, mark: str, ask: Ask, *, size: int) -> list[list[str]]:
    """`ask(chunk, number of the chunk)` for `size` samples at a time; chunks that <out>.part holds are not asked again.

    `mark` is the fingerprint of the work. The caller removes <out>.part when `out` is written (`drop`).
    Raises MorerlError where another run is writing there.
    """
    part = _part(out)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        hold(file, part)
        texts, end = _read(part, mark, size, len(samples))
        # what is kept stays where it is: to write it again could lose it where the disk is full
        file.truncate(end)
        if not end:
            _append(file, [mark])
        for start in range(len(texts), len(samples), size):
            drawn = ask(samples[start : start + size], start // size)
            _append(file, drawn)
            texts += drawn
    return texts


def hold(file: BinaryIO, part: Path) -> None:
    """Keeps other runs from writing there too, until the file is closed. Raises MorerlError where one is at it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise MorerlError(f"another run is writing {part}: wait until it has ended, or stop it") from error
    except OSError:  # a file system without locks
        return


def drop(out: Path) -> None:
    """Removes what was kept for `out`."""
    _part(out).unlink(missing_ok=True)


def kept(out: Path, mark: str, *, size: int, of: int) -> int:
    """How many `of` the samples of that work are answered, in whole chunks."""
    return len(_read(_part(out), mark, size, of)[0])


def _part(out: Path) -> Path:
    return out.with_name(out.name + ".part")


def _append(file: BinaryIO, lines: Sequence[Any]) -> None:
    file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    file.flush()
    os.fsync(file.fileno())


def _read(part: Path, mark: str, size: int, of: int) -> tuple[list[list[str]], int]:
    """The completions kept for this very work: of its whole chunks, up to the first torn line; and where they end.

    The last chunk, which may be smaller, ends with sample number `of`. Both are empty where the file holds other work,
    or none. The end is in bytes.
    """
    texts: list[list[str]] = []
    end = place = whole = 0
    try:
        with part.open("rb") as lines:
            for number, line in enumerate(lines):
                row = _row(line)
                if not (row == mark if number == 0 else _completions(row)):
                    break
                texts += [row] if number else []
                place += len(line)
                if number % size == 0 or number == of:
                    end, whole = place, number
    except FileNotFoundError:
        return [], 0
    return texts[:whole], end


def _row(line: bytes) -> Any:
    """What a whole line holds; None for a torn one."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None


def _completions(row: Any) -> bool:
    return isinstance(row, list) and all(isinstance(text, str) for text in row)
