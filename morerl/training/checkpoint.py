"""Checkpoints that count only when whole, and a best model that is never half-written."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from morerl.runs import read_json

log = logging.getLogger(__name__)


def last_good(folder: Path) -> Path | None:
    """The newest checkpoint-N below `folder` whose state parses and whose every safetensors file opens.

    transformers writes straight into checkpoint-N, so a kill or a full disk leaves a torn one; it is
    skipped with a warning.
    """
    numbered = [(int(p.name.rpartition("-")[2]), p) for p in folder.glob("checkpoint-*") if p.name[11:].isdigit()]
    for _, path in sorted(numbered, reverse=True):
        problem = broken(path)
        if problem is None:
            return path
        log.warning("checkpoint %s is skipped: %s", path, problem)
    return None


def broken(path: Path) -> str | None:
    """What is wrong with a checkpoint, or None if it can be resumed from."""
    from safetensors import SafetensorError, safe_open

    if read_json(path / "trainer_state.json") is None:
        return "trainer_state.json is missing or torn"
    weights = list(path.glob("*.safetensors"))
    if not weights:
        return "it holds no safetensors file"
    for file in weights:
        try:
            with safe_open(file, framework="numpy") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            return f"{file.name}: {error}"
    return None


def prepare(target: Path) -> Path:
    """An empty folder beside `target` to write its replacement into; see `commit`."""
    recover(target)
    aside = target.with_name(f".{target.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def commit(target: Path) -> None:
    """Puts the prepared folder in the place of `target`, which is whole before and after."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        os.replace(target, old)
    os.replace(target.with_name(f".{target.name}.new"), target)
    shutil.rmtree(old, ignore_errors=True)


def recover(target: Path) -> None:
    """Ends a `commit` that was killed: puts the old folder back where no new one is, else clears it away."""
    old = target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():
        os.replace(old, target)
    shutil.rmtree(old, ignore_errors=True)
