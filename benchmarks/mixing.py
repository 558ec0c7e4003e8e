"""Mixing strategies from one SFT start at an equal number of rollouts: the table in assets/results/mixing.md.

    python -m benchmarks.mixing --seeds 5 --parallel 2

For each seed: the demo up to its ratings (the runs of benchmarks/demo_seeds.py are taken where they are there), then
GRPO from that one SFT model under each strategy, with the dev score every few steps. Runs that are done are read, not
run again. `rollouts to target` is where a strategy's dev F1 first reaches progressive's last one, of the same seed.
Test is scored once for each run, at the checkpoint that dev chose.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scipy.stats import t

CONFIG = "configs/scenes/demo.yaml"
STRATEGIES = ("progressive", "fixed", "raw", "hard_only", "adaptive")
WINDOW = 256  # rollouts a step of the demo, refills apart
Curve = list[tuple[int, float]]  # (rollouts so far, dev F1)


def main() -> None:
    """Runs what is missing and writes the page, its figures and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps; a step is 256 rollouts")
    parser.add_argument("--starts", type=Path, default=Path("runs/seeds"), help="<starts>/<seed>: a demo's run")
    parser.add_argument("--runs", type=Path, default=Path("runs/mixing"))
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("assets/results/mixing.md"))
    options = parser.parse_args()
    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(lambda seed: start(seed, options), range(options.seeds)))
        asked = [(seed, strategy) for seed in range(options.seeds) for strategy in STRATEGIES]
        done = list(pool.map(lambda one: run(*one, options), asked))
    rows = [row for row in done if row is not None]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    options.out.write_text(page(rows, options), encoding="utf-8")
    picture(rows, options.out.with_suffix(".png"))
    print(options.out.read_text(encoding="utf-8"))


def start(seed: int, options: argparse.Namespace) -> None:
    """The demo's stages up to the ratings, if they are not there."""
    home = options.starts / f"{seed}"
    if not (home / "rated.jsonl").is_file():
        morerl(options, "demo", f"run.dir={home}", f"run.seed={seed}")


def run(seed: int, strategy: str, options: argparse.Namespace) -> dict[str, Any]:
    """One strategy's dev curve and test figure, from the seed's SFT model and ratings."""
    home, here = options.starts / f"{seed}", options.runs / f"{seed}-{strategy}"
    data = [f"run.dir={here}", f"run.seed={seed}", f"data.dir={home / 'data'}", f"data.image_root={home / 'raw'}"]
    scored = here / "predictions" / "grpo.test.metrics.json"
    if not scored.is_file():
        begin = [f"grpo.model={home / 'sft' / 'model'}", f"grpo.rated={home / 'rated.jsonl'}"]
        # a step of adaptive has up to half as many rollouts again, in place of groups without spread
        steps = int(options.steps / 1.5) if strategy == "adaptive" else options.steps
        how = [f"grpo.mixing.strategy={strategy}", f"grpo.trainer.max_steps={steps}", "grpo.dev.every_steps=4"]
        morerl(options, "grpo", *data, *begin, *how)
        morerl(options, "predict", *data)
        morerl(options, "score", *data)
    test = json.loads(scored.read_text(encoding="utf-8"))["primary"]["value"]
    return {"seed": seed, "strategy": strategy, "curve": curve(here / "grpo" / "log.jsonl"), "test": test}


def curve(log: Path) -> Curve:
    """Dev F1 over rollouts; where the log counts none, a window a step."""
    points, rollouts = [], {0: 0}
    for entry in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
        if "rollouts" in entry:
            rollouts[entry["step"]] = int(entry["rollouts"])
        if "dev_f1" in entry:
            points.append((rollouts.get(entry["step"], WINDOW * entry["step"]), entry["dev_f1"]))
    return sorted(points)


def at(points: Curve, rollouts: int) -> float:
    """The last dev F1 at no more than so many rollouts."""
    return [value for seen, value in points if seen <= rollouts][-1]


def reaches(points: Curve, target: float) -> int | None:
    """Rollouts at which the target is first reached, or None."""
    return next((seen for seen, value in points if value >= target), None)


def summary(rows: list[dict[str, Any]], options: argparse.Namespace) -> list[list[str]]:
    """A line a strategy: dev at the budget, best dev within it, test, rollouts to progressive's last dev."""
    budget = options.steps * WINDOW
    of = {(row["seed"], row["strategy"]): row for row in rows}
    lines = []
    for strategy in STRATEGIES:
        mine = [of[seed, strategy] for seed in range(options.seeds)]
        targets = [at(of[seed, "progressive"]["curve"], budget) for seed in range(options.seeds)]
        needed = [reaches(row["curve"], target) for row, target in zip(mine, targets, strict=True)]
        within = [max(value for seen, value in row["curve"] if seen <= budget) for row in mine]
        shares = [f"{100 * one / budget:.0f} %" if one is not None and one <= budget else "-" for one in needed]
        figures = [[at(row["curve"], budget) for row in mine], within, [row["test"] for row in mine]]
        lines.append([strategy, *(interval(values) for values in figures), ", ".join(shares)])
    return lines


def interval(values: list[float]) -> str:
    """Mean and 95 % t interval over seeds."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.1f} ({mean - half:.1f} to {mean + half:.1f})"


def page(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The markdown page."""
    heads = ["strategy", "dev F1, last", "dev F1, best", "test F1", "rollouts to progressive's last dev F1, by seed"]
    lines = [" | ".join(["", *line, ""]).strip() for line in (heads, ["---"] * len(heads), *summary(rows, options))]
    asked = f"--seeds {options.seeds} --steps {options.steps} --parallel {options.parallel}"
    return "\n".join(
        [
            "# Mixing strategies from one SFT start",
            "",
            f"The drawn world, {options.seeds} seeds, at most {options.steps * WINDOW:,} rollouts each (adaptive's "
            "refills count, so it makes fewer steps). Micro-F1 in per cent, mean and 95 % t interval over seeds. "
            "Rollouts to target: as a share of all, a seed each; - where the budget ended first.",
            "",
            *lines,
            "",
            f"Made by `python -m benchmarks.mixing {asked}` on {os.cpu_count()} CPU cores ({platform.machine()}), "
            f"no GPU, Python {platform.python_version()}. The curves are in the picture of the same name.",
            "",
        ]
    )


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Mean dev F1 over rollouts, a line a strategy, each seed thin behind it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for number, strategy in enumerate(STRATEGIES):
        mine = [row["curve"] for row in rows if row["strategy"] == strategy]
        for points in mine:
            axes.plot(*zip(*points, strict=True), color=f"C{number}", lw=0.6, alpha=0.35)
        grid = sorted({seen for points in mine for seen, _ in points})
        means = [statistics.mean(at(points, seen) for points in mine) for seen in grid]
        axes.plot(grid, means, color=f"C{number}", lw=2, label=strategy)
    axes.set_xlabel("rollouts")
    axes.set_ylabel("dev micro-F1, per cent")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def morerl(options: argparse.Namespace, verb: str, *overrides: str) -> None:
    """Runs one verb, as a user would."""
    threads = str(max(1, (os.cpu_count() or 1) // options.parallel))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    subprocess.run([sys.executable, "-m", "morerl", verb, CONFIG, *overrides], check=True, env=environment)


if __name__ == "__main__":
    main()
