"""One self-contained HTML file from a run folder: opens offline, fetches nothing, runs only its own script.

Everything a run folder holds is somebody's data (titles, model output, log keys), so the template
escapes by default, the script never parses HTML, and the file's own policy names the one script and
the one stylesheet by hash: what slipped through would still not run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from morerl.jsonl import write_text
from morerl.report import charts, figures, tables
from morerl.report.browser import browser
from morerl.report.curves import stage_charts
from morerl.report.read import Run, read_run
from morerl.scoring import UNPARSEABLE

HERE = Path(__file__).parent
MAX_SAMPLES = 300


def write_report(run_dir: Path, out: Path, *, max_samples: int = MAX_SAMPLES) -> None:
    """Writes the report of a run folder to `out`, atomically, with at most `max_samples` in its browser.

    A section whose file is missing says so in its place. Raises DataError if there is no such folder.
    """
    write_page(out, render(read_run(run_dir), max_samples))


def write_page(out: Path, page: str) -> None:
    """Writes a page atomically, whatever characters the data brought into it."""
    # a lone surrogate can enter through a JSON escape and has no UTF-8 form; a NUL ends up as nothing in a browser
    write_text(out, [page.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")])


def render(run: Run, max_samples: int = MAX_SAMPLES) -> str:
    """The page."""
    script, style = "".join(map(asset, ("theme.js", "sample.js", "report.js"))), asset("report.css")
    template = environment().get_template("report.html.jinja")
    return template.render(
        policy=policy(script, style),
        script=Markup(script),
        style=Markup(style),
        run=run,
        chart=charts,
        results=figures.results(run.metrics),
        groups=figures.group_rows(run.metrics),
        stages=list(run.metrics),
        labels=tables.label_rows(run.metrics),
        meanings=tables.meanings(run.settings),
        confusion=tables.confusion(list(run.metrics.values())[-1]) if run.metrics else None,
        problems=tables.problem_rows(run.metrics),
        controls=figures.control_rows(run),
        times=figures.bars(run.seconds, of_sum=True),
        difficulty=figures.difficulty(run.rated),
        epochs=figures.epochs(run.schedule),
        unparseable=UNPARSEABLE,
        curves={stage: stage_charts(log) for stage, log in run.logs.items()},
        browser=(data := browser(run, max_samples)),
        data=script_json(data),
    )


def policy(script: str, style: str) -> str:
    """A content-security policy: this script, this stylesheet, embedded pictures, and nothing else."""
    return (
        f"default-src 'none'; img-src data:; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def script_json(value: object) -> Markup:
    """JSON that is inert inside <script>: no character in it can end the element or start another."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def duration(seconds: float) -> str:
    """1 h 02 min, 3 min 05 s, 4.2 s."""
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{seconds:.1f} s"


def points(value: float | None, sign: bool = False) -> str:
    """A rate in per cent with one decimal; a dash for what is not known."""
    if value is None or value != value:
        return "–"
    return f"{value:+.1f}".replace("-", "\u2212") if sign else f"{value:.1f}"


def count(value: float) -> str:
    """A whole number with thousands apart."""
    return f"{round(value):,}"


def environment() -> SandboxedEnvironment:
    """Templates of this folder: what they are given is escaped, and what they are not given is an error."""
    made = SandboxedEnvironment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {"duration": duration, "points": points, "count": count}
    made.filters.update(filters)
    return made


def asset(name: str) -> str:
    """The text of a script or stylesheet of this folder."""
    # read in text mode: a checkout with CRLF line ends must still give the hash the browser computes
    return (HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
