"""Checkpoints that count only when whole, and a best model that is never half-written.

transformers writes straight into checkpoint-N and prunes by file times, so a kill or a full disk may leave
a torn newest checkpoint and no older one. Here everything is written below checkpoints/.new, flushed,
listed with its hash in a marker and renamed; older ones go only after the new one has been read back.

Hashes are sha256: zlib's crc32 is three times as fast and would do against torn files, but hashing runs
in threads, a file each, beside a disk that is slower. Left out on purpose: file systems that not every
rank sees.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from morerl.errors import ConfigError, DataError, MorerlError
from morerl.jsonl import write_json
from morerl.runs import read_json, sha256

log = logging.getLogger(__name__)

MARKER = "complete.json"
RANK_FILE = "rank-{}.json"
UNFINISHED = ".new"
HASHED_AT_ONCE = 8
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room, over quota, over the limit on a file's size


def last_good(folder: Path) -> Path | None:
    """The newest checkpoint-N below `folder` that is as it was written; every other newer one is warned of."""
    for _, path in _numbered(folder):
        problem = broken(path)
        if problem is None:
            return path
        log.warning("checkpoint %s is skipped: %s", path, problem)
    return None


def broken(path: Path, *, read: bool = True) -> str | None:
    """What is wrong with a checkpoint, or None if it can be resumed from; without `read`, by sizes alone."""
    marker = read_json(path / MARKER)
    files = marker.get("files") if marker else None
    if not isinstance(files, dict) or not files:
        return f"{MARKER} is missing or torn, so it was not written to its end"
    for name, (size, _) in files.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if (path / name).stat().st_size != size:
            return f"{name} has {(path / name).stat().st_size} bytes of {size}"
    if not read:
        return None
    try:
        found = _hashes([path / name for name in files])
    except DataError as error:
        return str(error)
    changed = [name for name, (_, digest) in files.items() if found[path / name] != digest]
    return f"{changed[0]} is not as it was written" if changed else None


def check_ranks(path: Path, ranks: int) -> None:
    """Raises ConfigError if a checkpoint was written by another number of ranks: their rows would be dealt anew."""
    wrote = len(list(path.glob(RANK_FILE.format("*"))))
    if wrote != ranks:
        raise ConfigError(
            f"{path} was written by {wrote} ranks, and this run has {ranks}: start it with as many, "
            "or choose another run.dir"
        )


def unfinished(folder: Path, step: int) -> Path:
    """Where the checkpoint of that step is written until `seal` moves it into `folder`."""
    return folder / UNFINISHED / f"checkpoint-{step}"


def clear_unfinished(folder: Path) -> None:
    """Removes what a kill or a full disk left half-written."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def seal(new: Path) -> Path:
    """Flushes, marks, renames and reads back a checkpoint that every rank has written its part of.

    Raises OSError on a full disk, and MorerlError if the disk gives back other bytes than were written.
    """
    files = _files(new)
    hashes = _hashes(files)
    listed = {str(file.relative_to(new)): [file.stat().st_size, hashes[file]] for file in files}
    _flush(new)
    write_json(new / MARKER, {"files": listed})
    _sync(new)
    target = new.parent.parent / new.name
    shutil.rmtree(target, ignore_errors=True)  # a run resumes from its newest good one, so this one is broken
    os.replace(new, target)
    _sync(target.parent)
    if problem := broken(target):
        raise MorerlError(f"{target} cannot be read back: {problem}. Older checkpoints were kept; check the disk")
    return target


def prune(newest: Path, limit: int | None) -> None:
    """Keeps the `limit` newest good checkpoints up to `newest`, which must be proven; None or 0 keeps all.

    Ones of a later step are broken (training would have gone on from them) and are replaced as it gets there.
    """
    if not limit or limit < 0:
        return
    step = int(newest.name[11:])
    until = [path for number, path in _numbered(newest.parent) if number <= step]
    kept = [path for path in until if broken(path, read=False) is None][:limit]
    for path in until:
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Inside a stage's training: what cannot be written is cleared away and said in the user's words.

    folder: <run.dir>/<stage>. Raises MorerlError, waiting for no other rank: one of them may be in a collective
    that this one will not join.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _says_full(error):
            raise
        text = _no_room(folder / "checkpoints", error)
        clear_unfinished(folder / "checkpoints")
        shutil.rmtree(_beside(folder / "model", "new"), ignore_errors=True)
        raise MorerlError(text) from error


def _says_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    # safetensors keeps the number in its text, and torch's file writer keeps none at all
    said = [*(f"(os error {number})" for number in FULL), "inline_container", "iostream error"]
    return any(text in str(error) for text in said)


def _no_room(folder: Path, error: Exception) -> str:
    good = [path for _, path in _numbered(folder) if broken(path, read=False) is None]
    need = f"takes {_megabytes(good[0])}" if good else f"takes more than {_megabytes(folder / UNFINISHED)}"
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free / 1e6
    onward = f"goes on from {good[0].name}" if good else "starts again from the beginning"
    reason = "torch could not write" if isinstance(error, RuntimeError) else error
    return (
        f"{folder} cannot be written to: {reason}. A checkpoint {need}, and {free:.1f} MB are free. Nothing good "
        f"was lost: make room, and the same command {onward}"
    )


def _megabytes(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in _files(folder)) / 1e6:.1f} MB"


def prepare(target: Path) -> Path:
    """An empty folder beside `target` to write its replacement into; see `commit`."""
    recover(target)
    aside = _beside(target, "new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def commit(target: Path) -> None:
    """Puts the prepared folder, flushed, in the place of `target`, which is whole before and after."""
    old = _beside(target, "old")
    _flush(_beside(target, "new"))
    if target.exists():
        os.replace(target, old)
    os.replace(_beside(target, "new"), target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def drop_reference(folder: Path) -> None:
    """Takes out what PEFT saves of TRL's adapter "ref": a run that goes on makes it anew from where it began."""
    shutil.rmtree(folder / "ref", ignore_errors=True)


def recover(target: Path) -> None:
    """Ends a `commit` that was killed: puts the old folder back where no new one is, else clears it away."""
    old = _beside(target, "old")
    if old.exists() and not target.exists():
        os.replace(old, target)
    shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}")


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """(N, checkpoint-N), the newest first."""
    paths = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdigit()]
    return sorted(((int(path.name[11:]), path) for path in paths), reverse=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hashes(files: list[Path]) -> dict[Path, str]:
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        return dict(zip(files, pool.map(sha256, files), strict=True))


def _flush(folder: Path) -> None:
    """Everything below a folder onto the disk, and out of memory, so that reading it back asks the disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        if path.is_file() and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
