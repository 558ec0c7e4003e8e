"""One table: our figures beside the published ones, a section a corpus, as markdown and as JSON.

Ours come first, with the 95% interval of the primary figure; published rows follow by that figure, those that lack it
last. No published row is comparable where ours are not of the whole test set. A figure that a row lacks stays blank.
Figures of parts of the test set (`part/figure`) have a table of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from morerl.benchmark.published import PublishedRow, published
from morerl.corpora.prepare import published as on_record
from morerl.errors import DataError
from morerl.schema import Frozen, Metrics

HEADER = ("system", "other figures", "source", "comparable", "why")


class OurRow(Frozen):
    """What one model of ours reached on one corpus."""

    corpus: str
    model: str = Field(description="as the table shall name it")
    metrics: Metrics
    split: str = Field(default="test", description="that its samples are of")
    limit: int | None = Field(default=None, description="how many samples were scored where there are more")
    note: str = Field(default="", description="what a reader must know, e.g. how it was asked")


class TableRow(Frozen):
    """A line of the table; of ours, `source` and `comparable` are null."""

    system: str
    ours: bool
    kind: str | None
    figures: dict[str, float] = Field(description="per cent by name; of ours those that published rows have, if any")
    interval: tuple[float, float] | None = Field(description="95%, of the primary figure")
    source: str | None
    evidence: str | None
    comparable: bool | None
    why: str


class Section(Frozen):
    """A split of a corpus: the name of its primary figure, the rows in their order, ours first."""

    corpus: str
    split: str
    primary: str
    rows: tuple[TableRow, ...]

    @property
    def title(self) -> str:
        """Corpus and split, as a reader is told them."""
        return f"{self.corpus}, {self.split}"


def sections(ours: Sequence[OurRow]) -> tuple[Section, ...]:
    """A section for each corpus and split of `ours`, in the order they come in.

    Raises DataError where two rows of a corpus have different primary figures, or as `published`.
    """
    keys = dict.fromkeys((row.corpus, row.split) for row in ours)
    return tuple(_section([row for row in ours if (row.corpus, row.split) == key]) for key in keys)


def _section(ours: Sequence[OurRow]) -> Section:
    corpus, names = ours[0].corpus, sorted({str(row.metrics.primary["name"]) for row in ours})
    if len(names) > 1:
        raise DataError(f"{corpus} is scored by {' and by '.join(names)}: one table holds one primary figure a corpus")
    unlike = next(filter(None, map(_unlike, ours)), "")
    theirs = [_their_row(row, unlike) for row in published(corpus)]
    shared = {name for row in theirs for name in row.figures}
    rows = [*(_our_row(row, names[0], shared) for row in ours), *theirs]
    rows.sort(key=lambda row: (not row.ours, names[0] not in row.figures, -shown(row, names[0])[1]))
    return Section(corpus=corpus, split=ours[0].split, primary=names[0], rows=tuple(rows))


def _unlike(row: OurRow) -> str:
    """Why figures of the whole test set are not comparable with ours; empty where they are."""
    n, known = row.metrics.n, on_record(row.corpus).splits.get("test", {}).get("samples")
    if row.limit is not None:
        return f"ours are the first {row.limit:,} samples of {row.split}"
    if row.split != "test":
        return f"ours are the {n:,} samples of {row.split}"
    return f"ours are {n:,} samples, the test set on record has {known:,}" if known not in (None, n) else ""


def _our_row(row: OurRow, primary: str, shared: set[str]) -> TableRow:
    metrics = row.metrics
    own = {name for name in metrics.figures if "/" not in name}
    others = {name: value for name, value in metrics.figures.items() if name in (shared or own)}
    only = "" if row.limit is None else f"the first {row.limit:,} samples only"
    return TableRow(
        system=row.model,
        ours=True,
        kind=None,
        figures={primary: float(metrics.primary["value"])} | others,
        interval=metrics.ci95.get(primary),
        source=None,
        evidence=None,
        comparable=None,
        why="; ".join(part for part in (f"n = {metrics.n:,}", only, row.note) if part),
    )


def _their_row(row: PublishedRow, unlike: str) -> TableRow:
    fields = row.model_dump()
    if unlike:
        fields |= {"comparable": False, "why": f"{unlike}; {row.why}"}
    return TableRow(ours=False, interval=None, **fields)


def shown(row: TableRow, primary: str) -> tuple[str, float]:
    """The figure that stands for the row: the primary one, else the first it has."""
    name = primary if primary in row.figures else next(iter(row.figures))
    return name, row.figures[name]


def to_json(table: Sequence[Section]) -> dict[str, Any]:
    """The table as JSON-ready data: {"corpora": [{corpus, split, primary, rows: [...]}]}, every figure kept."""
    return {"corpora": [section.model_dump(mode="json") for section in table]}


def to_markdown(table: Sequence[Section]) -> str:
    """The table as GitHub markdown; text that came from outside is escaped."""
    parts = ["# Benchmark\n\nPer cent. Bold: ours, with the 95% interval. Blank: not known.\n"]
    for section in table:
        parts += [f"\n## {_cell(section.title)}\n\n", _main(section), _parts(section)]
    return "".join(parts)


def _main(section: Section) -> str:
    header = (HEADER[0], section.primary, *HEADER[1:])
    return _grid([header, *(_line(row, section.primary) for row in section.rows)])


def _line(row: TableRow, primary: str) -> tuple[str, ...]:
    system, value = _cell(row.system), _number(row, primary)
    if row.ours:
        span = f" ({row.interval[0]:.2f} to {row.interval[1]:.2f})" if row.interval else ""
        system, value = f"**{system}**", f"**{value}**{span}"
    names = [name for name in row.figures if "/" not in name or _only_parts(row)]
    others = ", ".join(f"{name} {_number(row, name)}" for name in names if name != primary)
    verdict = {True: "yes", False: "no", None: ""}[row.comparable]
    return system, value, others, _source(row), verdict, _cell(row.why)


def _source(row: TableRow) -> str:
    if row.source is None:
        return ""
    name = _cell(row.source.removeprefix("https://").rstrip("/"))
    return f"{f'[{name}]({row.source})' if row.source.startswith('https://') else name} ({row.evidence})"


def _only_parts(row: TableRow) -> bool:
    return all("/" in name for name in row.figures)


def _parts(section: Section) -> str:
    """Figures of parts of the test set: a line a figure, a column a system; nothing where no row has any."""
    rows = [row for row in section.rows if not _only_parts(row) and any("/" in name for name in row.figures)]
    names = dict.fromkeys(name for row in rows for name in row.figures if "/" in name)
    if not names:
        return ""
    header = ("part / figure", *(f"**{_cell(row.system)}**" if row.ours else _cell(row.system) for row in rows))
    return "\n" + _grid([header, *((name, *(_number(row, name) for row in rows)) for name in names)])


def _number(row: TableRow, name: str) -> str:
    """Ours with two digits, theirs as their source has them."""
    value = row.figures.get(name)
    return "" if value is None else f"{value:.2f}" if row.ours else f"{value:g}"


def _cell(text: str) -> str:
    """Text that can neither end its cell nor become markup."""
    return re.sub(r"([\\|<>*_`$\[\]])", r"\\\1", " ".join(text.split()))


def _grid(lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(lines[0])
    return "".join("| " + " | ".join(line) + " |\n" for line in (lines[0], rule, *lines[1:]))
