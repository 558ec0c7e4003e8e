"""The demo over seeds, and GRPO with no cold start beside it: the table in assets/results/demo.md.

    python -m benchmarks.demo_seeds --seeds 5 --out assets/results/demo.md

For each seed: `morerl demo`, then the same GRPO straight from the untrained model. Runs that are done
are read, not run again. With --parallel 2 two seeds run side by side, each on one thread.
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

CONFIG = "configs/scenes/demo.yaml"


def main() -> None:
    """Runs what is missing and writes the table and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("assets/results/demo.md"))
    options = parser.parse_args()
    with ThreadPoolExecutor(options.parallel) as pool:
        rows = list(pool.map(lambda seed: run(seed, options.runs, options.parallel), range(options.seeds)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(table(rows, options), encoding="utf-8")
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


def run(seed: int, runs: Path, parallel: int) -> dict[str, Any]:
    """One seed's figures on test, in per cent micro-F1."""
    warm, cold = runs / f"{seed}", runs / f"{seed}-cold"
    here = [f"run.dir={warm}", f"run.seed={seed}"]
    if not (warm / "metrics.json").is_file():
        morerl(parallel, "demo", *here)
    metrics = json.loads((warm / "metrics.json").read_text(encoding="utf-8"))
    data = [f"run.dir={cold}", f"run.seed={seed}", f"data.dir={warm / 'data'}", f"data.image_root={warm / 'raw'}"]
    scored = cold / "predictions" / "grpo.test.metrics.json"
    if not scored.is_file():
        start = [f"rate.model={warm / 'tiny'}", f"sft.reasoning={warm / 'reasoning.jsonl'}"]
        morerl(parallel, "rate", *data, *start)
        morerl(parallel, "grpo", *data, f"grpo.model={warm / 'tiny'}")
        morerl(parallel, "predict", *data)
        morerl(parallel, "score", *data)
    cold_metrics = json.loads(scored.read_text(encoding="utf-8"))
    return {
        "seed": seed,
        "sft": metrics["sft"]["primary"]["value"],
        "grpo": metrics["grpo"]["primary"]["value"],
        "cold_grpo": cold_metrics["primary"]["value"],
        **metrics["controls"],
        "seconds": sum(metrics["seconds"].values()),
        "peak_memory_mb": metrics["peak_memory_mb"],
    }


def morerl(parallel: int, verb: str, *overrides: str) -> None:
    """Runs one verb, as a user would."""
    threads = {"OMP_NUM_THREADS": "1"} if parallel > 1 else {}
    subprocess.run(
        [sys.executable, "-m", "morerl", verb, CONFIG, *overrides], check=True, env={**os.environ, **threads}
    )


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The markdown page."""
    names = ["sft", "grpo", "cold_grpo", "shuffled_pictures", "blank_text"]
    heads = ["seed", "SFT", "GRPO", "gain", "GRPO, no SFT", "pictures shuffled", "text blanked", "seconds", "MB"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        sft, grpo, *rest = (row[name] for name in names)
        cells = [f"{value:.1f}" for value in (sft, grpo, grpo - sft, *rest)]
        lines.append(
            f"| {row['seed']} | " + " | ".join(cells) + f" | {row['seconds']:.0f} | {row['peak_memory_mb']:.0f} |"
        )
    gains = [row["grpo"] - row["sft"] for row in rows]
    spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
    summary = (
        f"Gain of GRPO over its own SFT start: mean {statistics.mean(gains):.1f} points, "
        f"standard deviation {spread:.1f}, positive in {sum(gain > 0 for gain in gains)} of {len(gains)} seeds."
    )
    command = f"python -m benchmarks.demo_seeds --seeds {len(rows)} --parallel {options.parallel}"
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    return "\n".join(
        [
            "# The demo over seeds",
            "",
            "Micro-F1 on the test split of the drawn world, `none` excluded, in per cent.",
            "",
            *lines,
            "",
            summary,
            "",
            f"Made by `{command}` on {machine}" + (", one thread a seed." if options.parallel > 1 else "."),
            "",
        ]
    )


if __name__ == "__main__":
    main()
