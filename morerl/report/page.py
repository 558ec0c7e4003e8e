"""What the pages share: templates that escape, scripts and styles by hash, data that cannot become markup."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from morerl.jsonl import write_text

HERE = Path(__file__).parent


def write_page(out: Path, page: str) -> None:
    """Writes a page atomically, whatever characters the data brought into it."""
    # a lone surrogate can enter through a JSON escape and has no UTF-8 form; a NUL ends up as nothing in a browser
    write_text(out, [page.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")])


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


def packed(value: object) -> Markup:
    """JSON as gzip in base64: a quarter of the size, and no character of it means anything to HTML."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = gzip.compress(text.encode("utf-8", "replace"), compresslevel=6, mtime=0)
    return Markup(base64.b64encode(content).decode("ascii"))


def lines(values: Iterable[object]) -> Markup:
    """One JSON value a line, each read on its own when it is needed."""
    return Markup("\n".join(map(script_json, values)))


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
