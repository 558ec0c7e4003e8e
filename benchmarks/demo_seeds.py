"""The demo over seeds, and GRPO with no cold start beside it: the table in assets/results/demo.md.

    python -m benchmarks.demo_seeds --seeds 5 --out assets/results/demo.md

For each seed: `morerl demo`, then the same GRPO straight from the untrained model. Runs that are done
are read, not run again. With --parallel 2 two seeds run side by side, each on half the cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.seeds import f1_on_test, half_width, is_scored, made_by, morerl, of_world
from benchmarks.seeds import table as markdown


def main() -> None:
    """Runs what is missing and writes the table and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("assets/results/demo.md"))
    options = parser.parse_args()
    seeds = range(options.seeds)
    with ThreadPoolExecutor(options.parallel) as pool:
        warm = list(pool.map(lambda seed: run(seed, options.runs, options.parallel), seeds))
        cold = list(pool.map(lambda seed: run_cold(seed, options.runs, options.parallel), seeds))
    rows = [{**one, **other} for one, other in zip(warm, cold, strict=True)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(table(rows, options), encoding="utf-8")
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


def run(seed: int, runs: Path, parallel: int) -> dict[str, Any]:
    """One seed's figures on test, in per cent micro-F1."""
    warm = runs / f"{seed}"
    if not (warm / "metrics.json").is_file():
        morerl(parallel, "demo", f"run.dir={warm}", f"run.seed={seed}")
    metrics = json.loads((warm / "metrics.json").read_text(encoding="utf-8"))
    return {
        "seed": seed,
        "sft": metrics["sft"]["primary"]["value"],
        "grpo": metrics["grpo"]["primary"]["value"],
        **metrics["controls"],
        "peak_memory_mb": metrics["peak_memory_mb"],
    }


def run_cold(seed: int, runs: Path, parallel: int) -> dict[str, float]:
    """GRPO from the untrained model of a seed, on the samples and with the settings of its other arm."""
    warm, cold = runs / f"{seed}", runs / f"{seed}-cold"
    if not is_scored(cold, "grpo"):
        data = of_world(warm, cold, seed)
        # the samples in the order that the warm arm trained on: only the start differs
        morerl(parallel, "grpo", *data, f"grpo.model={warm / 'tiny'}", f"grpo.rated={warm / 'rated.jsonl'}")
        morerl(parallel, "predict", *data)
        morerl(parallel, "score", *data)
    log = (cold / "grpo" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    rewards = [row["reward"] for row in map(json.loads, log) if "reward" in row]
    return {"cold_grpo": f1_on_test(cold, "grpo"), "cold_reward_first": rewards[0], "cold_reward_last": rewards[-1]}


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The markdown page."""
    heads = ["seed", "SFT", "GRPO", "gain", "GRPO with no SFT", "pictures shuffled", "text blanked", "peak MB"]
    lines = []
    for row in rows:
        figures = [row["sft"], row["grpo"], row["grpo"] - row["sft"]]
        figures += [row[name] for name in ("cold_grpo", "shuffled_pictures", "blank_text")]
        cells = [str(row["seed"]), *(f"{value:.1f}" for value in figures), f"{row['peak_memory_mb']:.0f}"]
        lines.append(cells)
    return "\n".join(
        [
            "# The demo over seeds",
            "",
            "Micro-F1 on the test split of the drawn world (about 1,080 pairs, `none` excluded), in per cent. Each",
            "seed draws its own world and starts from its own random weights. The checkpoint is chosen on dev.",
            "",
            *markdown(heads, lines),
            "",
            summary(rows),
            "",
            made_by("demo_seeds", options),
            "",
        ]
    )


def summary(rows: list[dict[str, Any]]) -> str:
    """The gain over seeds with its interval, and what became of the arm without SFT."""
    gains = [row["grpo"] - row["sft"] for row in rows]
    mean, half = statistics.mean(gains), half_width(gains)
    first, last = (statistics.mean(row[f"cold_reward_{end}"] for row in rows) for end in ("first", "last"))
    return (
        f"Gain of GRPO over its own SFT start: mean {mean:.1f} points (95% t interval over seeds {mean - half:.1f} to "
        f"{mean + half:.1f}), positive in {sum(gain > 0 for gain in gains)} of {len(gains)} seeds.\n"
        f"With no SFT the reward is {first:.3f} in the first step and {last:.3f} in the last: nothing an untrained "
        "model writes earns any, so no group has spread and there is no gradient. The cold start is what SFT is for."
    )


if __name__ == "__main__":
    main()
