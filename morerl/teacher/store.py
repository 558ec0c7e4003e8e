"""Replies that were paid for, kept: one SQLite file (WAL), one row a request, JSON only.

It is all that a run builds up; reasoning.jsonl and its like are written from it. A process that is killed loses nothing
that was put, and a file whose last write was torn is whole up to it (SQLite's own checksums). One process at a time
may use it: a second one would pay twice.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from morerl.errors import DataError, MorerlError
from morerl.schema import Frozen

TABLES = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS asked (id TEXT PRIMARY KEY, asked TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS failures (failure TEXT NOT NULL);
"""
SUM = """SELECT COUNT(*), TOTAL(json_extract({0}, '$.prompt_tokens')), TOTAL(json_extract({0}, '$.completion_tokens')),
TOTAL(json_extract({0}, '$.attempts')) FROM {1}"""


class Stored(Frozen):
    """One reply, good or not, as it came; or that the server will never give one."""

    text: str
    model: str
    finish_reason: str
    usage: dict[str, int] = {}
    attempts: int
    time: str
    prompt_tokens: int  # counted in the budget: the server's figure, or an estimate; failed attempts included
    completion_tokens: int
    refused: str | None = None  # why there will never be a reply


class Failure(Frozen):
    """A request that came to nothing this time; only its cost is remembered."""

    reason: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int = 0


class Draw(Frozen):
    """One request of a sample, and what the gates said of its reply."""

    key: str
    draw: int
    temperature: float | None
    seed: int | None
    reason: str | None
    right: bool


class Asked(Frozen):
    """What a sample was asked, under which settings, and its draws so far."""

    mark: str  # fingerprint of the settings
    prompt_hash: str
    pictures: tuple[str, ...]
    strategy: str
    draws: tuple[Draw, ...]
    failed: str | None = None  # why the last draw has no reply yet
    unusable: str | None = None  # why it cannot be asked at all


class Totals(Frozen):
    """What the whole file cost."""

    replies: int
    attempts: int
    prompt_tokens: int
    completion_tokens: int


class Store:
    """An open store. Raises MorerlError where another process has it, DataError for a file that is none."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # the driver opens no transactions of its own: each statement is one
        self._base = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        with self._problems():
            # exclusive before WAL: then no other process can read or write, and no shared-memory file is needed
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode = WAL")
            # survives a kill of the process; a loss of power may cost the last few replies, never the file
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(TABLES)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def reply(self, key: str) -> Stored | None:
        """The reply kept under a key."""
        return self._one("SELECT reply FROM replies WHERE key = ?", key, Stored)

    def keep(self, key: str, reply: Stored) -> None:
        """Keeps a reply; on return it outlives the process."""
        self._write("INSERT OR REPLACE INTO replies VALUES (?, ?)", key, reply.model_dump_json())

    def asked(self, id_: str) -> Asked | None:
        """What the sample with this id was asked."""
        return self._one("SELECT asked FROM asked WHERE id = ?", id_, Asked)

    def note_asked(self, id_: str, asked: Asked) -> None:
        """Remembers what a sample was asked, in place of what it was asked before."""
        self._write("INSERT OR REPLACE INTO asked VALUES (?, ?)", id_, asked.model_dump_json())

    def note_failure(self, failure: Failure) -> None:
        """Remembers what a request cost that came to nothing."""
        self._write("INSERT INTO failures VALUES (?)", failure.model_dump_json())

    def totals(self) -> Totals:
        """Over all that was ever paid for in this file, failed attempts included."""
        with self._problems():
            replies, prompt, completion, attempts = self._base.execute(SUM.format("reply", "replies")).fetchone()
            _, lost, more, failed = self._base.execute(SUM.format("failure", "failures")).fetchone()
        return Totals(
            replies=replies,
            attempts=int(attempts + failed),
            prompt_tokens=int(prompt + lost),
            completion_tokens=int(completion + more),
        )

    def take_in(self, part: Path) -> None:
        """Adds what another store holds; what both hold is the same, for the key covers all that makes a reply."""
        with self._problems(part):
            self._base.execute("ATTACH DATABASE ? AS part", (str(part),))
            try:
                for table in ("replies", "asked", "failures"):
                    self._base.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM part.{table}")
            finally:
                self._base.execute("DETACH DATABASE part")

    def _one(self, query: str, value: str, kind: type) -> object:
        with self._problems():
            row = self._base.execute(query, (value,)).fetchone()
        return None if row is None else kind.model_validate(json.loads(row[0]))

    def _write(self, statement: str, *values: str) -> None:
        with self._problems():
            self._base.execute(statement, values)

    @contextmanager
    def _problems(self, path: Path | None = None) -> Iterator[None]:
        """SQLite's errors in words that help."""
        where = path or self.path
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise MorerlError(f"{where} is in use: another run is at work in this folder; let it end") from None
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise OSError(errno.ENOSPC, f"no room to keep replies ({error})", str(where)) from error
            raise DataError(f"cannot use {where}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{where} is damaged or no store of replies ({error}); move it away to start anew"
            ) from error
