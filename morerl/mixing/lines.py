"""A generation window as schedule.jsonl tells of it: which samples, how hard, why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field

from morerl.jsonl import write_text
from morerl.schema import Frozen

Why = Literal["hard", "easy", "fill", "spread", "floor", "replay"]


class Prompt(Frozen):
    """One place of a window. Fixed orders say hard, easy or fill (an open window filled up); adaptive the others."""

    id: str
    pass_rate: float = Field(ge=0.0, le=1.0, description="rated, or as estimated before the draw")
    why: Why
    epoch: int | None = Field(default=None, ge=1, description="of a fixed order")
    passed: float | None = Field(default=None, description="adaptive: share of its rollouts that were right")
    refills: str | None = Field(default=None, description="id of the sample without spread in whose place it trains")


class Window(Frozen):
    """One line of schedule.jsonl: the prompts of one generation, first to last."""

    window: int = Field(ge=1)
    step: int = Field(ge=1, description="the first optimizer step that trains on it")
    rollouts: int = Field(ge=1, description="completions drawn since the start, its own included")
    prompts: tuple[Prompt, ...]

    @property
    def line(self) -> str:
        """JSON without the fields that do not apply."""
        return self.model_dump_json(exclude_none=True) + "\n"


def first_step(window: int, micro_steps: int, accumulation: int) -> int:
    """The first optimizer step of a window (1 for the first) that serves so many micro-steps."""
    return (window - 1) * micro_steps // accumulation + 1


def write_windows(path: Path, windows: Iterable[Window]) -> None:
    """Writes the whole of schedule.jsonl, atomically."""
    write_text(path, (window.line for window in windows))


def cut_back(path: Path, kept: int) -> None:
    """Leaves the first `kept` lines of a file that a killed run may have torn; a missing one becomes empty."""
    write_text(path, list(_first_lines(path, kept)))


def _first_lines(path: Path, kept: int) -> Iterator[str]:
    if kept and path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from islice(file, kept)
