"""The table as one PNG: bars of a corpus under each other, ours in orange with its 95% interval.

Comparable published rows are solid, the others pale and hatched. A row without the primary figure shows the first it
has and names it. matplotlib (the extra `plots`) is needed here only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from morerl.benchmark.table import Section, TableRow, shown
from morerl.errors import ConfigError, install

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, DPI = 12.0, 100  # inches, dots an inch: 1,200 pixels
ROW, HEAD = 0.27, 0.75  # inches a bar, and a corpus's title and margins
LEFT, RIGHT = 0.29, 0.98
GAP = 0.15  # inches a name keeps from the edge and its bar
SCALE = 118  # per cent: room for the words behind a long bar
STYLES = {
    "ours": {"color": "#d55e00"},
    "comparable": {"color": "#0072b2"},
    "not comparable": {"facecolor": "#e3ecf3", "edgecolor": "#8aa4b8", "hatch": "////", "linewidth": 0.6},
}


def to_png(table: Sequence[Section], path: Path) -> None:
    """Writes the picture, 1,200 pixels wide, as long as its rows need.

    Raises ConfigError where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise ConfigError(f"the picture needs matplotlib: {install('plots')}") from error
    tall = sum(_room(section) for section in table) + HEAD
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI)
    FigureCanvasAgg(figure)
    top = tall - HEAD
    for section in table:
        bars = ROW * len(section.rows)
        _draw(figure.add_axes((LEFT, (top - bars) / tall, RIGHT - LEFT, bars / tall)), section)
        top -= _room(section)
    handles = [Patch(label=name, **style) for name, style in STYLES.items()]
    figure.legend(handles=handles, ncols=len(handles), loc="upper right", bbox_to_anchor=(RIGHT, 1.0), frameon=False)
    aside = path.with_name(f".{path.name}.tmp")
    try:
        figure.savefig(aside, format="png", facecolor="white")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _room(section: Section) -> float:
    return HEAD + ROW * len(section.rows)


def _draw(axes: Axes, section: Section) -> None:
    """One bar a row, first row on top."""
    rows = section.rows
    for place, row in enumerate(rows):
        value = shown(row, section.primary)[1]
        axes.barh(place, value, height=0.72, **STYLES[_style(row)])
        end = value
        if row.interval:
            low, high = row.interval
            axes.plot([low, high], [place, place], color="black", linewidth=1.4, marker="|", markersize=7)
            end = max(value, high)
        axes.text(end + 0.8, place, _label(row, section.primary), va="center", fontsize=8.5, parse_math=False)
        _name(axes, place, row)
    axes.set(xlim=(0, SCALE), ylim=(len(rows) - 0.4, -0.6), xticks=range(0, 101, 20), yticks=[])
    axes.set_title(f"{section.title}: {section.primary}, per cent", loc="left", fontsize=11, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)


def _style(row: TableRow) -> str:
    return "ours" if row.ours else "comparable" if row.comparable else "not comparable"


def _label(row: TableRow, primary: str) -> str:
    name, value = shown(row, primary)
    number = f"{value:.2f}" if row.ours else f"{value:g}"
    return number if name == primary else f"{number}  {name}"


def _name(axes: Axes, place: int, row: TableRow) -> None:
    """The system's name left of its bar, its end cut off where the margin is too small."""
    name = " ".join(row.system.split())[:200]
    weight = "bold" if row.ours else "normal"
    style = {"ha": "right", "va": "center", "fontsize": 9, "fontweight": weight, "parse_math": False}
    label = axes.text(-0.008, place, name, transform=axes.get_yaxis_transform(), **style)
    while len(name) > 1 and label.get_window_extent().width > (LEFT * WIDTH - GAP) * DPI:
        name = name[:-1]
        label.set_text(name + "…")
