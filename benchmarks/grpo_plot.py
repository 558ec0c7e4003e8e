"""The picture and the page of benchmarks/grpo_step.py, from its JSON alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.flops import PARTS

TITLES = {
    "rollout": "Rollout",
    "scoring": "Scoring (no gradient)",
    "training": "Training (forward, backward, optimizer)",
    "step": "Whole step (rollout + training)",
}
BAR, EDGE, RANGE = "#4477aa", "#cc3311", "#222222"


def picture(record: dict[str, Any], path: Path) -> None:
    """One panel a part: how many times faster than TRL, the least and the most of the pairs, and the limit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    for axes, part in zip(figure.subplots(2, 2).flat, PARTS, strict=True):
        _panel(axes, record["cells"], part)
    figure.axes[0].legend(loc="upper left", frameon=False, fontsize=9)
    figure.suptitle(f"TRL's seconds / morerl's, Qwen2.5-VL {record['shape']}{', LoRA' * record['lora']}", fontsize=13)
    figure.supxlabel("completions a prompt; below, tokens of prompt + completion", fontsize=10)
    figure.savefig(path, dpi=120)


def _panel(axes: Any, cells: list[dict[str, Any]], part: str) -> None:
    lengths = sorted({cell["prompt"] for cell in cells})
    places = [at + 0.7 * lengths.index(cell["prompt"]) for at, cell in enumerate(cells)]  # a gap between lengths
    top = max(max(cell["limit"][part], *(cell["ratio_range"] or {part: [0]})[part]) for cell in cells)
    for number, (place, cell) in enumerate(zip(places, cells, strict=True)):
        first = number == 0
        limit = cell["limit"][part]
        axes.hlines(limit, place - 0.45, place + 0.45, color=EDGE, lw=2, zorder=3, label="limit" if first else None)
        if cell["ratio"] is None:
            axes.text(place, 0.02 * top, "out of memory", rotation=90, ha="center", va="bottom", fontsize=8)
            continue
        ratio, (low, high) = cell["ratio"][part], cell["ratio_range"][part]
        axes.bar(place, ratio, width=0.8, color=BAR, label="measured" if first else None)
        axes.vlines(place, low, high, color=RANGE, lw=1.2, zorder=4, label="least to most" if first else None)
        axes.text(place, 0.02 * top, f"{ratio:.1f}", ha="center", va="bottom", color="white", fontsize=9, zorder=5)
    axes.set_title(TITLES[part], fontsize=11)
    axes.set_ylim(0, 1.18 * top)
    axes.axhline(1, color="grey", lw=0.8, ls=":", zorder=0)
    labels = [str(cell["group"]) for cell in cells]
    for length in lengths:
        mine = [number for number, cell in enumerate(cells) if cell["prompt"] == length]
        labels[mine[len(mine) // 2]] += f"\n{length} + {cells[mine[0]]['completion']}"
    axes.set_xticks(places, labels, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def table(record: dict[str, Any]) -> str:
    """The markdown page."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    about = (
        f"Qwen2.5-VL {record['shape']} from random weights{', LoRA' * record['lora']}; two pictures a prompt. Medians "
        f"of {record['pairs']} pairs of steps in turn, with the least and the most. The limit is by how much the FLOPs "
        "shrink when every prefix is computed once instead of once a row (benchmarks/flops.py); a ratio beyond it says "
        "that TRL's way is also slower a FLOP here. Prompts a step are as many as keep TRL's rows within 50,000 tokens "
        "on a CPU, at most eight. Scoring is called apart and is no part of the step."
    )
    cells = record["cells"]
    return "\n".join(
        [
            "# A GRPO step, TRL's and morerl's",
            "",
            f"By `{record['command']}` on {record['device']}; {versions}.",
            "",
            about,
            "",
            "How many times faster than TRL (limit):",
            "",
            *_lines(("G", "prompt", "completion", "prompts a step", *PARTS), [_ratio_row(cell) for cell in cells]),
            "",
            "Rollouts a second, TRL -> morerl, and GFLOP/s of morerl's training beside a plain product of matrices:",
            "",
            *_lines(("G", "prompt", "completion", *PARTS, "training", "matmul"), [_speed_row(cell) for cell in cells]),
            "",
            f"Peak memory in MB, TRL -> morerl ({_memory_of(record)}):",
            "",
            *_lines(("G", "prompt", "completion", *PARTS), [_memory_row(cell) for cell in cells]),
            "",
        ]
    )


def _memory_of(record: dict[str, Any]) -> str:
    if record["device"].endswith("no GPU"):
        return "the rise of the resident peak over the part's start"
    return "allocated on the GPU, weights included"


def _lines(header: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def _place(cell: dict[str, Any]) -> list[str]:
    return [str(cell[name]) for name in ("group", "prompt", "completion")]


def _ratio_row(cell: dict[str, Any]) -> list[str]:
    return [*_place(cell), str(cell["prompts"]), *(_ratio(cell, part) for part in PARTS)]


def _ratio(cell: dict[str, Any], part: str) -> str:
    if cell["ratio"] is None:
        return f"out of memory ({cell['limit'][part]:.1f})"
    low, high = cell["ratio_range"][part]
    return f"{cell['ratio'][part]:.2f} [{low:.2f}, {high:.2f}] ({cell['limit'][part]:.1f})"


def _speed_row(cell: dict[str, Any]) -> list[str]:
    speeds = cell["rollouts_per_second"]
    flops = [f"{value:.0f}" if value else "-" for value in cell["gflops"].values()]
    return [*_place(cell), *(f"{_of(speeds['stock'], part)} -> {_of(speeds['ours'], part)}" for part in PARTS), *flops]


def _memory_row(cell: dict[str, Any]) -> list[str]:
    sizes = cell["memory_mb"]
    return [*_place(cell), *(f"{_of(sizes['stock'], part)} -> {_of(sizes['ours'], part)}" for part in PARTS)]


def _of(figures: dict[str, float | None] | None, part: str) -> str:
    value = figures and figures[part]
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
