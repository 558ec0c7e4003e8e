"""What the verbs show in a terminal: tables, one clear line for an error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

from morerl.errors import MorerlError


@contextlib.contextmanager
def one_message(again: str | None = "the same command") -> Iterator[None]:
    """Turns what a user can mend into one line and an exit code: 2, or 130 for Ctrl-C.

    `again`: what goes on where the verb was interrupted; None: nothing does.
    """
    try:
        yield
    except MorerlError as error:
        fail(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        advice = (
            f". What was whole before is whole still; run {again or 'it'} again once there is room and permission"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
            else ""
        )
        fail(f"{where}{error.strerror or error}{advice}", 2)
    except KeyboardInterrupt:
        kept = f"; what was finished is kept, and {again} goes on from there" if again else ""
        fail(f"interrupted{kept}", 130)


def say(line: str) -> None:
    """Prints a line; of several ranks under a launcher, which sets RANK, the first alone speaks."""
    if os.environ.get("RANK", "0") != "0":
        return
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(line, markup=False)


def fail(message: str, code: int) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]error[/]", end=" ")
    console.print(message, markup=False)
    sys.exit(code)


def counts_table(title: str, rows: Any) -> None:
    """Figures by split, each = or != what is on record (`morerl.corpora.prepare.Row`)."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    splits = list(dict.fromkeys(row.split for row in rows))
    cells = {(row.figure, row.split): _counted(row) for row in rows}
    say(title)
    table = Table(show_edge=False)
    table.add_column("")
    for split in splits:
        table.add_column(split, justify="right")
    for figure in dict.fromkeys(row.figure for row in rows):
        table.add_row(escape(figure), *(cells.get((figure, split), "") for split in splits))
    Console(highlight=False).print(table)


def _counted(row: Any) -> str:
    if row.published is None:
        return f"{row.found:,}  "
    return f"{row.found:,} [red]!= {row.published:,}[/]" if row.differs else f"{row.found:,} ="


def trained(stage: str, result: dict[str, Any]) -> str:
    """A line on the stage's result, and one more where training came to nothing."""
    best = result["dev"]
    told = (
        f"{stage}: {result['steps']} steps in {result['seconds']:.0f} s; "
        f"kept step {best['step']} with dev {best['value']:.2f}"
    )
    if best["step"] == 0:
        told += (
            f"\nwarning: no step had a better dev score than the start, so the model kept is that of before {stage}: "
            f"look at {stage}'s curves in the report, and train longer or at another learning rate"
        )
    return told


def show_metrics(metrics: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{metrics.protocol}, {metrics.n} samples, per cent", show_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    name = str(metrics.primary["name"])
    sizes = {k.removesuffix("/n"): int(v) for k, v in metrics.figures.items() if k.endswith("/n")}
    others = {k: v for k, v in metrics.figures.items() if k != name and k.removesuffix("/n") not in sizes}
    rows = {name: metrics.primary["value"], **others}
    for figure, value in rows.items():
        interval = metrics.ci95.get(figure)
        table.add_row(figure, f"{value:.2f}", f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "")
    Console().print(table)
    for title, counts in (("samples in", sizes), ("outcomes", metrics.errors), ("problems", metrics.problems)):
        most_first = sorted(counts.items(), key=lambda item: -item[1])
        if counts:
            say(f"{title}: " + ", ".join(f"{name} {count}" for name, count in most_first))


def show_findings(findings: Any) -> None:
    """Facts, advice and problems, a line each; ends with exit code 2 if there are problems."""
    most = 20  # lines of a kind
    for line in findings.facts:
        say(line)
    for title, lines in (("advice", findings.advice), ("problem", findings.problems)):
        for line in lines[:most]:
            say(f"{title}: {line}")
        if len(lines) > most:
            say(f"{title}: ... and {len(lines) - most} more")
    if findings.problems:
        fail(f"{len(findings.problems)} problem{'s' * (len(findings.problems) > 1)}", 2)
    say("no problems: every gold answer there is comes back right")


def show_table(sections: Any) -> None:
    """The benchmark in short: of each row the system and its primary figure."""
    from rich.console import Console
    from rich.markup import escape
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
                table.add_row(escape(section.title), escape(row.system), section.primary, value, verdict, style=style)
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
