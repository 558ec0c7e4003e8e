"""What a cold start is worth, MORE-R1's table 1 in small: the table in assets/results/coldstart.md.

    python -m benchmarks.coldstart --seeds 5 --parallel 2

For each seed five arms from one untrained model, on one drawn world: GRPO with no SFT; SFT on the bare labels of the
samples that have chains; SFT on the bare labels of those and of every rated sample (the paper's SFT on all labels); SFT
on the chains; GRPO after that. Arms with SFT make the same number of its steps. Three arms are the runs of
benchmarks/demo_seeds.py and are taken where they are there. Dev chooses the checkpoint; test is scored once. Runs that
are done are read, not run again.
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.demo_seeds import run as run_demo
from benchmarks.demo_seeds import run_cold
from benchmarks.seeds import (
    Row,
    f1_on_test,
    half_width,
    interval,
    is_scored,
    made_by,
    morerl,
    of_world,
    parser_of,
    table,
    write,
)
from morerl.jsonl import read_records, write_records
from morerl.schema import Rated, Reasoning

ARMS = {
    "cold": "GRPO, no SFT",
    "labels": "SFT on labels, samples of the chains",
    "labels_all": "SFT on labels, those and the rated samples",
    "chains": "SFT on chains",
    "grpo": "SFT on chains, then GRPO",
}
LAST = "grpo"


def main() -> None:
    """Runs what is missing and writes the page, its figures and the picture."""
    options = parser_of(__doc__, "runs/coldstart", "assets/results/coldstart.md").parse_args()
    with ThreadPoolExecutor(options.parallel) as pool:
        rows = list(pool.map(partial(run, options=options), range(options.seeds)))
    write(rows, page(rows, options), options, picture)


def run(seed: int, options: argparse.Namespace) -> Row:
    """Each arm's test figure of one seed, in per cent micro-F1, and how many samples SFT learnt from."""
    home = options.starts / f"{seed}"
    demo = run_demo(seed, options.starts, options.parallel)
    cold = run_cold(seed, options.starts, options.parallel)
    chains = [row.id for row in read_records(home / "reasoning.jsonl", Reasoning)]
    rated = [row.id for row in read_records(home / "rated.jsonl", Rated)]
    learnt = {"labels": chains, "labels_all": [*chains, *rated]}
    return {
        "seed": seed,
        "cold": cold["cold_grpo"],
        **{arm: run_labels(seed, arm, ids, options) for arm, ids in learnt.items()},
        "chains": demo["sft"],
        "grpo": demo["grpo"],
        "samples": {arm: len(ids) for arm, ids in learnt.items()},
    }


def run_labels(seed: int, arm: str, ids: list[str], options: argparse.Namespace) -> float:
    """Test F1 of SFT on the bare labels of these train samples, from the weights that the chains' arm began with."""
    home, here = options.starts / f"{seed}", options.runs / f"{seed}-{arm}"
    if not is_scored(here, "sft"):
        here.mkdir(parents=True, exist_ok=True)
        write_records(here / "labels.jsonl", map(listed, ids))
        data = [*of_world(home, here, seed), f"model.path={home / 'tiny'}"]
        only = [f"sft.reasoning={here / 'labels.jsonl'}", "sft.labels_only=true"]
        for verb, more in (("sft", only), ("predict", []), ("score", [])):
            morerl(options.parallel, verb, *data, *more)
    return f1_on_test(here, "sft")


def listed(id_: str) -> Reasoning:
    """A line of the file that says which samples SFT learns from; with sft.labels_only the rest of it is not read."""
    return Reasoning(id=id_, completion="", model="gold", prompt_hash="")


def summary(rows: list[Row]) -> list[list[str]]:
    """A line an arm: test F1, the paired difference to the last arm, every seed."""
    lines = []
    for arm, name in ARMS.items():
        values = [row[arm] for row in rows]
        less = [] if arm == LAST else [row[arm] - row[LAST] for row in rows]
        lines.append(
            [name, interval(values), interval(less) if less else "", ", ".join(f"{one:.1f}" for one in values)]
        )
    return lines


def page(rows: list[Row], options: argparse.Namespace) -> str:
    """The markdown page."""
    heads = ["arm", "test F1", "less the last arm's", "seed by seed"]
    few, all_ = (statistics.mean(row["samples"][arm] for row in rows) for arm in ("labels", "labels_all"))
    return "\n".join(
        [
            "# What a cold start is worth",
            "",
            "Micro-F1 on the test split of the drawn world in per cent (`none` excluded), mean and 95 % t interval "
            "over seeds; differences are paired by seed. Every arm of a seed starts from the same untrained model; "
            f"those with SFT make the same number of its steps. There are chains for {few:.0f} samples (mean over "
            f"seeds); with the rated samples, whose labels GRPO is checked against, {all_:.0f} are labelled. Dev "
            "chooses the checkpoint.",
            "",
            *table(heads, summary(rows)),
            "",
            made_by("coldstart", options),
            "",
        ]
    )


def picture(rows: list[Row], path: Path) -> None:
    """An arm a line: mean and interval as a dot with whiskers, each seed as a thin line through the arms."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    heights = range(len(ARMS))[::-1]
    for row in rows:
        axes.plot([row[arm] for arm in ARMS], heights, color="0.75", lw=0.8, marker=".", ms=4, zorder=1)
    for arm, height in zip(ARMS, heights, strict=True):
        values = [row[arm] for row in rows]
        axes.errorbar(statistics.mean(values), height, xerr=half_width(values), fmt="o", color="C0", capsize=3, lw=2)
    axes.set_yticks(list(heights), list(ARMS.values()))
    axes.set_xlabel("test micro-F1, per cent; mean and 95 % t interval over seeds")
    axes.set_xlim(left=-2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
