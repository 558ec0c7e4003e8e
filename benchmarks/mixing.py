"""Mixing strategies from one SFT start at an equal number of rollouts: the table in assets/results/mixing.md.

    python -m benchmarks.mixing --seeds 5 --parallel 2

For each seed: the demo up to its ratings (the runs of benchmarks/demo_seeds.py are taken where they are there), then
GRPO from that one SFT model under each strategy, with the dev score every few steps. A seed's budget is what
progressive's four epochs take, so it hangs on how many samples that SFT model finds hard. Runs that are done are read,
not run again. `rollouts to target` is where a strategy's dev F1 first reaches progressive's last one, of the same
seed. Test is scored once for each run, at the checkpoint that dev chose.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.seeds import (
    CONFIG,
    f1_on_test,
    interval,
    is_scored,
    made_by,
    morerl,
    of_world,
    outcomes,
    parser_of,
    table,
    write,
)
from morerl.config import load_settings
from morerl.jsonl import read_records
from morerl.mixing.schedule import schedule
from morerl.schema import Rated

STRATEGIES = ("progressive", "fixed", "raw", "hard_only", "adaptive")
WINDOW = 256  # rollouts a step of the demo, refills apart
Curve = list[tuple[int, float]]  # (rollouts so far, dev F1)


def main() -> None:
    """Runs what is missing and writes the page, its figures and the picture."""
    options = parser_of(__doc__, "runs/mixing", "assets/results/mixing.md").parse_args()
    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(lambda seed: start(seed, options), range(options.seeds)))
        asked = [(seed, strategy) for seed in range(options.seeds) for strategy in STRATEGIES]
        rows = list(pool.map(lambda one: run(*one, options), asked))
    write(rows, page(rows, options), options, picture)


def start(seed: int, options: argparse.Namespace) -> None:
    """The demo's stages up to the ratings, if they are not there."""
    home = options.starts / f"{seed}"
    if not (home / "rated.jsonl").is_file():
        morerl(options.parallel, "demo", f"run.dir={home}", f"run.seed={seed}")


def run(seed: int, strategy: str, options: argparse.Namespace) -> dict[str, Any]:
    """One strategy's dev curve and test figure, from the seed's SFT model and ratings."""
    home, here = options.starts / f"{seed}", options.runs / f"{seed}-{strategy}"
    steps, hard = budget(home / "rated.jsonl")
    if not is_scored(here, "grpo"):
        data = of_world(home, here, seed)
        begin = [f"grpo.model={home / 'sft' / 'model'}", f"grpo.rated={home / 'rated.jsonl'}"]
        how = [f"grpo.mixing.strategy={strategy}", "grpo.dev.every_steps=4"]
        # a step of adaptive has up to half as many rollouts again (grpo.mixing.refill), for groups without spread
        how.append(f"grpo.trainer.max_steps={int(steps / 1.5) if strategy == 'adaptive' else steps}")
        # the hard ones alone are used up soonest: six times what progressive has in 5.875 times
        how += ["grpo.mixing.epochs=6"] if strategy in {"fixed", "raw", "hard_only"} else []
        morerl(options.parallel, "grpo", *data, *begin, *how)
        morerl(options.parallel, "predict", *data)
        morerl(options.parallel, "score", *data)
    counted = outcomes(here, "grpo")
    return {
        "seed": seed,
        "strategy": strategy,
        "budget": steps * WINDOW,
        "hard": hard,
        "curve": curve(here / "grpo" / "log.jsonl"),
        "test": f1_on_test(here, "grpo"),
        "spread": spread(here / "grpo" / "log.jsonl"),
        "too_many": counted.get("spurious", 0) - counted.get("missed", 0),
    }


def budget(rated: Path) -> tuple[int, float]:
    """Steps of progressive's epochs as the config has them, and the share of the rated samples that is hard."""
    settings = load_settings(Path(CONFIG))
    rows = list(read_records(rated, Rated))
    epochs = schedule(rows, settings.grpo.mixing, seed=settings.run.seed)
    prompts = WINDOW // settings.grpo.trainer["num_generations"]
    return math.ceil(sum(len(epoch.ids) for epoch in epochs) / prompts), epochs[0].hard / len(rows)


def curve(log: Path) -> Curve:
    """Dev F1 over rollouts; where the log counts none, a window a step. A score stands before its step's figures."""
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    rollouts = {entry["step"]: int(entry["rollouts"]) for entry in entries if "rollouts" in entry}
    scored = [entry for entry in entries if "dev_f1" in entry]
    return sorted((rollouts.get(entry["step"], WINDOW * entry["step"]), entry["dev_f1"]) for entry in scored)


def spread(log: Path) -> float:
    """Share of all groups rolled out whose rewards differ, so that they teach; of 1."""
    entries = [entry for entry in map(json.loads, log.read_text(encoding="utf-8").splitlines()) if "reward" in entry]
    refilled = [entry.get("mixing/refilled", 0.0) for entry in entries]
    taught = [entry.get("mixing/with_spread", 1 - entry["frac_reward_zero_std"]) for entry in entries]
    # without refills a step's groups are those it trains on
    return sum(taught) / (len(entries) + sum(refilled))


def at(points: Curve, rollouts: int) -> float:
    """The last dev F1 at no more than so many rollouts."""
    return [value for seen, value in points if seen <= rollouts][-1]


def reaches(points: Curve, target: float) -> int | None:
    """Rollouts at which the target is first reached, or None."""
    return next((seen for seen, value in points if value >= target), None)


def summary(rows: list[dict[str, Any]]) -> list[list[str]]:
    """A line a strategy: dev at the budget's end and test, each also as paired differences; rollouts to the target."""
    of = {(row["seed"], row["strategy"]): row for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    base = [of[seed, "progressive"] for seed in seeds]
    lines = [["(SFT start)", interval([row["curve"][0][1] for row in base]), "", "", "", "", "", ""]]
    for strategy in STRATEGIES:
        mine = [of[seed, strategy] for seed in seeds]
        lines.append([strategy, *_paired(last(mine), last(base)), *_paired(tests(mine), tests(base))])
        lines[-1].append(f"{100 * statistics.mean(row['spread'] for row in mine):.0f} %")
        lines[-1].append(", ".join(f"{row['too_many']:+d}" for row in mine))
        lines[-1].append(", ".join(map(_share, mine, last(base))))
    return lines


def last(rows: list[dict[str, Any]]) -> list[float]:
    """Dev F1 at the end of each row's budget."""
    return [at(row["curve"], row["budget"]) for row in rows]


def tests(rows: list[dict[str, Any]]) -> list[float]:
    """Test F1 of each row."""
    return [row["test"] for row in rows]


def _paired(values: list[float], base: list[float]) -> list[str]:
    return [interval(values), interval([one - other for one, other in zip(values, base, strict=True)])]


def _share(row: dict[str, Any], target: float) -> str:
    needed = reaches(row["curve"], target)
    return "-" if needed is None or needed > row["budget"] else f"{100 * needed / row['budget']:.0f} %"


HEADS = [
    "strategy",
    "dev F1, last",
    "less progressive's",
    "test F1",
    "less progressive's",
    "groups with spread",
    "relations too many, a seed each",
    "rollouts to progressive's last dev F1, a seed each",
]


def page(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The markdown page."""
    seeds = {row["seed"]: f"{row['budget']:,} ({100 * row['hard']:.0f} %)" for row in rows}
    return "\n".join(
        [
            "# Mixing strategies from one SFT start",
            "",
            "The drawn world. A seed's budget of rollouts is what progressive's four epochs take; adaptive's refills "
            "count, so it makes fewer steps. Micro-F1 in per cent, mean and 95 % t interval over seeds; differences "
            "are paired by seed. Groups with spread: of all rolled out, those whose rewards differ. Relations too "
            "many: on test, those answered where there is none less those missed. "
            "Rollouts to target: as a share of the budget; - where the budget ended first.",
            "",
            f"Budgets (share of hard samples): {', '.join(seeds.values())}.",
            "",
            *table(HEADS, summary(rows)),
            "",
            f"{made_by('mixing', options)} The curves are in the picture of the same name.",
            "",
        ]
    )


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean dev F1 over rollouts, a line a strategy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, strategy in enumerate(STRATEGIES):
        mine = [
            [(seen / row["budget"], value) for seen, value in row["curve"]]
            for row in rows
            if row["strategy"] == strategy
        ]
        grid = sorted({seen for points in mine for seen, _ in points if seen <= 1})
        means = [statistics.mean(at(points, seen) - points[0][1] for points in mine) for seen in grid]
        axes.plot(grid, means, color=f"C{number}", lw=2, label=strategy)
    axes.set_xlabel("rollouts, as a share of the seed's budget")
    axes.set_ylabel("dev micro-F1 above the SFT start's, points; mean over seeds")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
