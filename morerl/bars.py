"""How far a stage has come: progress bars in a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

LOG_SECONDS = 30.0
NARROW = 80  # columns, in which neither a bar nor the figures find a place beside the counts and times


def _progress(*, transient: bool = False) -> Any:
    import rich.progress as bars
    from rich.console import Console
    from rich.text import Text

    class Bars(bars.Progress):
        """Bars, below them what a task has to say `below`: in 80 columns it finds no place beside a bar."""

        def get_renderables(self) -> Iterator[Any]:
            yield self.make_tasks_table(self.tasks)
            told = [task.fields.get("below") for task in self.tasks]
            yield from (Text(below, no_wrap=True, overflow="ellipsis") for below in told if below)

    console = Console(stderr=True)
    return Bars(
        bars.TextColumn("[bold]{task.description:<8}"),
        *([bars.BarColumn(bar_width=24)] if console.width > NARROW else []),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("left"),
        bars.TextColumn("{task.fields[figures]}"),
        console=console,
        transient=transient,
        disable=os.environ.get("RANK", "0") != "0" or (transient and not sys.stderr.isatty()),
    )


def _figures(progress: Any, stage: str, figures: dict[str, float]) -> dict[str, str]:
    """Beside the bar, or below all bars where there is no room."""
    told = "  ".join(f"{name} {value:.3g}" for name, value in figures.items())
    if progress.console.width > NARROW or not told:
        return {"figures": told}
    return {"figures": "", "below": f"{stage}: {told}"}


@contextlib.contextmanager
def training_bar(stage: str) -> Iterator[Callable[[int, int, dict[str, float]], object]]:
    with _progress() as progress:
        task = progress.add_task(stage, total=None, figures="")
        yield lambda done, total, figures: progress.update(
            task, completed=done, total=total, **_figures(progress, stage, figures)
        )


@contextlib.contextmanager
def sample_bar(stage: str) -> Iterator[Callable[[int, int], object]]:
    with training_bar(stage) as listener:
        yield lambda done, total: listener(done, total, {})


@contextlib.contextmanager
def teach_bar() -> Iterator[Callable[[Any], object]]:
    """A bar for a teacher's run (`morerl.teacher.ask.Progress`), below it kept, rejected, tokens, money, at once.

    In a log, where a bar would show only its end, a line every LOG_SECONDS.
    """
    if not sys.stderr.isatty():
        told = time.monotonic()

        def write(at: Any) -> None:
            nonlocal told
            if at.done == at.total or time.monotonic() - told > LOG_SECONDS:
                told = time.monotonic()
                print(f"teach {at.done}/{at.total}  {_taught(at)}", file=sys.stderr, flush=True)  # noqa: T201

        yield write
        return
    with _progress() as progress:
        task = progress.add_task("teach", total=None, figures="")
        yield lambda at: progress.update(task, completed=at.done, total=at.total, below=_taught(at))


def _taught(at: Any) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in at.rejected.most_common(3))
    parts = [f"kept {at.kept}", f"rejected {at.rejected.total()}"]
    parts += [f"{at.tokens:,} tokens"] if at.tokens else []
    parts += [f"${at.usd:.2f}"] if at.usd is not None else []
    parts += [f"{at.ceiling} at once"] if at.ceiling else []
    return "  ".join([*parts, f"({reasons})"] if reasons else parts)


@contextlib.contextmanager
def row_bar(stage: str) -> Iterator[Callable[[], object]]:
    """A bar for rows whose number is not known before the last."""
    with _progress(transient=True) as progress:
        task = progress.add_task(stage, total=None, figures="")
        yield lambda: progress.advance(task)


@contextlib.contextmanager
def demo_bars() -> Iterator[Callable[[str, int, int, dict[str, float]], object]]:
    """One bar a stage, added when the stage first reports."""
    with _progress() as progress:
        tasks: dict[str, Any] = {}

        def listen(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, figures="")
            progress.update(tasks[stage], completed=done, total=total, **_figures(progress, stage, figures))

        yield listen
