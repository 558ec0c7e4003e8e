"""The benchmark's table: our figures beside the published ones, as markdown, JSON and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from morerl.benchmark.picture import to_png
from morerl.benchmark.table import OurRow, Section, sections, to_json, to_markdown
from morerl.errors import ConfigError
from morerl.jsonl import write_json, write_text


class Written(NamedTuple):
    """A table and its files; `problem` says how to get the picture where it could not be drawn."""

    table: tuple[Section, ...]
    files: tuple[Path, ...]
    problem: str | None


def write_table(ours: Sequence[OurRow], folder: Path) -> Written:
    """Writes table.md, table.json and table.png into `folder`.

    Without matplotlib there is no table.png, and `problem` names the remedy. Raises DataError as `sections`.
    """
    table = sections(ours)
    text, data, picture = (folder / f"table.{suffix}" for suffix in ("md", "json", "png"))
    write_text(text, [to_markdown(table)])
    write_json(data, to_json(table))
    try:
        to_png(table, picture)
    except ConfigError as error:
        return Written(table, (text, data), str(error))
    return Written(table, (text, data, picture), None)
