"""Replies that were paid for, kept: one SQLite file (WAL), JSON only.

It is all that a run builds up: what is judged and written is worked out from it each time. A process that is killed
loses nothing that was put, and a file whose last write was torn is whole up to it (SQLite's own checksums). One process
at a time may use it: a second one would pay twice.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import Field

from morerl.errors import DataError, MorerlError
from morerl.schema import Frozen

# why an id for what was lost: to join a part twice must not count it twice
TABLES = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS asked (id TEXT PRIMARY KEY, asked TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lost (id TEXT PRIMARY KEY, lost TEXT NOT NULL);
CREATE TEMP TABLE verdicts (id TEXT, key TEXT, reason TEXT, right INT, PRIMARY KEY (id, key));
"""
SUM = """SELECT COUNT(*), TOTAL(json_extract({0}, '$.attempts')), TOTAL(json_extract({0}, '$.prompt_tokens')),
TOTAL(json_extract({0}, '$.completion_tokens')), TOTAL(json_extract({0}, '$.usd')),
COUNT(json_extract({0}, '$.refused')),
TOTAL(CASE WHEN json_extract({0}, '$.usd') IS NULL THEN json_extract({0}, '$.prompt_tokens') END),
TOTAL(CASE WHEN json_extract({0}, '$.usd') IS NULL THEN json_extract({0}, '$.completion_tokens') END) FROM {1}"""


class Cost(Frozen):
    """What was paid, or may have been."""

    attempts: int
    prompt_tokens: int = Field(description="the server's figure; where it gives none an estimate")
    completion_tokens: int
    usd: float | None = Field(default=None, description="at the price of its time; null: not known")


class Stored(Cost):
    """One reply as it came, good or not; or that the server will never give one."""

    text: str
    model: str
    finish_reason: str
    usage: dict[str, int] = {}
    time: str
    refused: str | None = Field(default=None, description="why there will never be a reply")


class Asked(Frozen):
    """What a sample was last asked, under which settings: its requests' keys follow from it."""

    mark: str = Field(description="fingerprint of the settings")
    prompt_hash: str = ""
    pictures: tuple[str, ...] = ()
    unusable: str | None = Field(default=None, description="why it could not be asked")


class Totals(Cost):
    """Sums over the whole file, lost attempts included."""

    replies: int
    refused: int
    unpriced: tuple[int, int] = Field(description="prompt and completion tokens whose price was not known")


class Store:
    """An open store. Raises MorerlError where another process has it, DataError for a file that is none."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with self._problems():
            # the driver opens no transactions of its own: each statement is one
            self._base = sqlite3.connect(path, timeout=1.0, isolation_level=None)
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
        """What the sample with this id was last asked."""
        return self._one("SELECT asked FROM asked WHERE id = ?", id_, Asked)

    def note_asked(self, id_: str, asked: Asked) -> None:
        """Remembers what a sample is asked, in place of what it was asked before."""
        if self.asked(id_) != asked:
            self._write("INSERT OR REPLACE INTO asked VALUES (?, ?)", id_, asked.model_dump_json())

    def verdict(self, id_: str, key: str) -> tuple[str | None, bool] | None:
        """What was found of a sample's reply since this store was opened: (why it is rejected, is its answer right)."""
        with self._problems():
            row = self._base.execute(
                "SELECT reason, right FROM verdicts WHERE id = ? AND key = ?", (id_, key)
            ).fetchone()
        return None if row is None else (row[0], bool(row[1]))

    def note_verdict(self, id_: str, key: str, reason: str | None, right: bool) -> None:
        """Remembers a verdict until the store is closed: code and settings may differ the next time."""
        self._write("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", id_, key, reason, right)

    def note_lost(self, cost: Cost) -> None:
        """Remembers what an attempt may have cost that came to nothing."""
        self._write("INSERT INTO lost VALUES (?, ?)", uuid4().hex, cost.model_dump_json())

    def forget_refused(self, spared: str) -> None:
        """Lets what was refused be asked again, but for the reason `spared`. What it cost stays counted."""
        refused = "json_extract(reply, '$.refused') IS NOT NULL AND json_extract(reply, '$.refused') != ?"
        with self._problems(), self._transaction():
            self._base.execute(f"INSERT OR IGNORE INTO lost SELECT key, reply FROM replies WHERE {refused}", (spared,))
            self._base.execute(f"DELETE FROM replies WHERE {refused}", (spared,))

    def totals(self) -> Totals:
        """Over all that was ever paid for in this file."""
        with self._problems():
            kept = self._base.execute(SUM.format("reply", "replies")).fetchone()
            lost = self._base.execute(SUM.format("lost", "lost")).fetchone()
        _, attempts, prompt, completion, usd, _, *unpriced = (a + b for a, b in zip(kept, lost, strict=True))
        return Totals(
            replies=kept[0] - kept[5],
            refused=kept[5],
            attempts=int(attempts),
            prompt_tokens=int(prompt),
            completion_tokens=int(completion),
            usd=usd,
            unpriced=(int(unpriced[0]), int(unpriced[1])),
        )

    def take_in(self, part: Path) -> None:
        """Adds what another store holds. Of two replies to one request the one already here stays."""
        with self._problems(part):
            self._base.execute("ATTACH DATABASE ? AS part", (str(part),))
            try:
                with self._transaction():
                    self._base.execute("INSERT OR IGNORE INTO main.replies SELECT * FROM part.replies")
                    self._base.execute("INSERT OR REPLACE INTO main.asked SELECT * FROM part.asked")
                    self._base.execute("INSERT OR IGNORE INTO main.lost SELECT * FROM part.lost")
            finally:
                self._base.execute("DETACH DATABASE part")

    def _one(self, query: str, value: str, kind: type) -> object:
        with self._problems():
            row = self._base.execute(query, (value,)).fetchone()
        return None if row is None else kind.model_validate(json.loads(row[0]))

    def _write(self, statement: str, *values: str | bool | None) -> None:
        with self._problems():
            self._base.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

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
                f"{where} is damaged or no store of replies: {error}. Move it away to start anew"
            ) from error
