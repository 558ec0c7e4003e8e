"""What others have published on a corpus: one YAML file a corpus in rows/, each row with its source and a verdict.

A row is comparable where it was scored by our protocol on our split and its figures hang together; `why` says so in a
sentence either way, with what else is known. Figures bear our names and are in per cent, with as many digits as their
source gives. Claims without a figure are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from morerl.errors import DataError
from morerl.schema import Frozen

ROWS = Path(__file__).parent / "rows"
Percent = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1)]


class PublishedRow(Frozen):
    """The figures of one system, as published."""

    system: Words
    kind: Words = Field(description="how it answers: classifier, generation, reasoning, ...")
    figures: dict[str, Percent] = Field(min_length=1, description="our name of a figure -> per cent; weightiest first")
    source: Words = Field(description="an address, or where it was quoted")
    evidence: Literal["paper", "code", "second-hand", "derived"] = Field(description="how we know the figures")
    comparable: bool = Field(description="same protocol and split, figures that hang together")
    why: Words = Field(description="the reason of that verdict, one sentence")


def published(corpus: str) -> tuple[PublishedRow, ...]:
    """The rows of a corpus in file order; () where nothing is on record.

    What is on record for a family (crossner: means that hold each of its sets) counts for crossner_ai as well.
    Raises DataError as `read_rows`.
    """
    files = {path.stem: path for path in ROWS.glob("*.yaml")}
    names = dict.fromkeys((corpus, corpus.partition("_")[0]))
    return tuple(row for name in names if name in files for row in read_rows(files[name]))


def read_rows(path: Path) -> tuple[PublishedRow, ...]:
    """The rows of one file. Raises DataError (naming file, row and key) where it is not a list of `PublishedRow`."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the published rows {path}: {error.strerror}") from error
    # ValueError: bad UTF-8 and impossible dates or numbers; RecursionError: brackets nested without end
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"the published rows {path} are not valid YAML: {error}") from error
    try:
        checked = TypeAdapter(tuple[PublishedRow, ...]).validate_python(rows)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: {'row ' + where + ': ' if where else ''}{first['msg']}") from error
    systems = [row.system for row in checked]
    if twice := sorted({name for name in systems if systems.count(name) > 1}):
        raise DataError(f"{path}: the system {twice[0]!r} has two rows; put its figures into one")
    return checked
