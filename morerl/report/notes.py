"""Files read for a page: what cannot be read becomes a plain sentence, shown where its content would have been."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from morerl.errors import MorerlError

T = TypeVar("T")
LogLine = dict[str, Any]
Notes = dict[str, str]  # file, as the page names it -> sentence
HUGE = 1e12  # what a diverged run logs beyond this would flatten every curve


def read(notes: Notes, folder: Path, name: str, reader: Callable[[Path], T], fallback: T) -> T:
    """What `reader` makes of folder/name; `fallback` and a note where it is missing or cannot be used."""
    path = folder / name
    if not path.exists():
        notes[name] = f"{name} is not in the run folder."
        return fallback
    try:
        return reader(path)
    except (MorerlError, ValueError, OSError) as error:  # bad JSON, UTF-8 and fields are ValueErrors
        notes[name] = f"{name} cannot be used: {error}".replace(f"{folder}/", "")
        return fallback


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object a file holds. Raises ValueError for anything else."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"want a JSON object, found {type(value).__name__}")
    return value


def is_number(value: object) -> TypeGuard[int | float]:
    """A finite int or float, fit for drawing, and not a bool, which Python counts among the ints."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < HUGE


def numbers(value: object) -> dict[str, float]:
    """The numbers of a JSON object by name; nothing of what is none."""
    if not isinstance(value, dict):
        return {}
    return {str(key): float(v) for key, v in value.items() if is_number(v)}
