"""What the verbs show in a terminal: progress bars, tables, one clear line for an error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from morerl.errors import MorerlError

LOG_SECONDS = 30.0


@contextlib.contextmanager
def one_message() -> Iterator[None]:
    """Turns what a user can mend into one line and an exit code: 2, or 130 for Ctrl-C."""
    try:
        yield
    except MorerlError as error:
        fail(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        advice = (
            ". What was whole before is whole still; run the same command again once there is room and permission"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
            else ""
        )
        fail(f"{where}{error.strerror or error}{advice}", 2)
    except KeyboardInterrupt:
        fail("interrupted; what was finished is kept, and the same command goes on from there", 130)


def say(line: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(line, markup=False)


def fail(message: str, code: int) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]error[/]", end=" ")
    console.print(message, markup=False)
    sys.exit(code)


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

    return Bars(
        bars.TextColumn("[bold]{task.description:<8}"),
        bars.BarColumn(bar_width=24),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True),
        transient=transient,
        disable=os.environ.get("RANK", "0") != "0" or (transient and not sys.stderr.isatty()),
    )


def _figures(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in figures.items())


@contextlib.contextmanager
def training_bar(stage: str) -> Iterator[Callable[[int, int, dict[str, float]], object]]:
    with _progress() as progress:
        task = progress.add_task(stage, total=None, figures="")
        yield lambda done, total, figures: progress.update(task, completed=done, total=total, figures=_figures(figures))


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


def counts_table(title: str, rows: Any) -> None:
    """Figures by split, each = or != what is on record (`morerl.corpora.prepare.Row`)."""
    from rich.console import Console
    from rich.table import Table

    splits = list(dict.fromkeys(row.split for row in rows))
    cells = {(row.figure, row.split): _counted(row) for row in rows}
    say(title)
    table = Table(show_edge=False)
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    for figure in dict.fromkeys(row.figure for row in rows):
        table.add_row(figure, *(cells.get((figure, split), "") for split in splits))
    Console(highlight=False).print(table)


def _counted(row: Any) -> str:
    if row.published is None:
        return f"{row.found:,}  "
    return f"{row.found:,} [red]!= {row.published:,}[/]" if row.differs else f"{row.found:,} ="


@contextlib.contextmanager
def demo_bars() -> Iterator[Callable[[str, int, int, dict[str, float]], object]]:
    """One bar a stage, added when the stage first reports."""
    with _progress() as progress:
        tasks: dict[str, Any] = {}

        def listen(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, figures="")
            progress.update(tasks[stage], completed=done, total=total, figures=_figures(figures))

        yield listen


def trained(stage: str, result: dict[str, Any]) -> str:
    best = result["dev"]
    return (
        f"{stage}: {result['steps']} steps in {result['seconds']:.0f} s; "
        f"kept step {best['step']} with dev {best['value']:.2f}"
    )


def show_metrics(metrics: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{metrics.protocol}, {metrics.n} samples, per cent", show_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    name = str(metrics.primary["name"])
    rows = {name: metrics.primary["value"], **{k: v for k, v in metrics.figures.items() if k != name}}
    for figure, value in rows.items():
        interval = metrics.ci95.get(figure)
        table.add_row(figure, f"{value:.2f}", f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "")
    Console().print(table)
    for title, counts in (("errors", metrics.errors), ("problems", metrics.problems)):
        most_first = sorted(counts.items(), key=lambda item: -item[1])
        if counts:
            say(f"{title}: " + ", ".join(f"{name} {count}" for name, count in most_first))


def show_findings(findings: Any, most: int = 20) -> None:
    """Facts, advice and problems, a line each; ends with exit code 2 if there are problems."""
    for line in findings.facts:
        say(line)
    for title, lines in (("advice", findings.advice), ("problem", findings.problems)):
        for line in lines[:most]:
            say(f"{title}: {line}")
        if len(lines) > most:
            say(f"{title}: ... and {len(lines) - most} more")
    if findings.problems:
        fail(f"{len(findings.problems)} problems", 2)
    say("no problems: every gold answer there is comes back right")


def show_table(sections: Any) -> None:
    """The benchmark in short: of each row the system and its primary figure."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_edge=False)
    for column in ("corpus", "system", "figure", "per cent", "comparable"):
        table.add_column(column, justify="right" if column == "per cent" else "left")
    for section in sections:
        for row in section.rows:
            if section.primary in row.figures:
                value = f"{row.figures[section.primary]:.2f}"
                verdict = {True: "yes", False: "no", None: ""}[row.comparable]
                style = "bold" if row.ours else None
                table.add_row(section.title, row.system, section.primary, value, verdict, style=style)
        table.add_section()
    Console().print(table)


def show_comparison(result: Any) -> None:
    """Two values of a figure, their difference with its interval, and p."""
    low, high = result.ci95
    say(f"{result.protocol} {result.figure}, per cent, on the same {result.n} samples")
    say(f"  a {result.a:8.2f}")
    say(f"  b {result.b:8.2f}")
    say(f"  b - a {result.difference:+.2f}   (95% interval {low:+.2f} to {high:+.2f}; p = {result.p:.4f})")
    say(f"  {result.changed} samples answered differently")


def show_before_after(result: dict[str, Any]) -> None:
    for stage in ("sft", "grpo"):
        primary, interval = result[stage]["primary"], result[stage]["ci95"]
        low, high = interval[primary["name"]]
        say(f"{stage:<5} test {primary['name']} {primary['value']:6.2f}   (95% interval {low:.2f} to {high:.2f})")
    seconds = sum(result["seconds"].values())
    say(f"{seconds:.0f} s in all, {result['peak_memory_mb']:.0f} MB at the peak")
    say(f"look at {result['report']}")
