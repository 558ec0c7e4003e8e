"""SemEval-2010 Task 8 from random weights, stage by stage: the table in assets/results/sem2010_tiny.md.

    python -m benchmarks.sem2010_tiny SEMEVAL_FOLDER

Runs configs/sem2010/tiny.yaml through the verbs, as a user would: SFT, difficulty, GRPO, and both
checkpoints on the official test. Stages that are done are not run again. Beside them stands the logistic
regression of benchmarks/sem2010_baseline.py, from its own file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONFIG = "configs/sem2010/tiny.yaml"
BASELINE = Path("assets/results/sem2010_baseline.json")


def main() -> None:
    """Runs what is missing and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw_dir", type=Path, help="folder of the full release, unpacked")
    parser.add_argument("--runs", type=Path, default=Path("runs/sem2010-tiny"))
    parser.add_argument("--out", type=Path, default=Path("assets/results/sem2010_tiny.md"))
    options = parser.parse_args()
    seconds = run(options.raw_dir, options.runs)
    figures = {stage: read(options.runs / f"predictions/{stage}.test.metrics.json") for stage in ("sft", "grpo")}
    figures["logistic regression"] = read(BASELINE)
    options.out.write_text(page(figures, seconds), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


def run(raw: Path, runs: Path) -> dict[str, float]:
    """Seconds of each stage, those of earlier calls included."""
    here = [CONFIG, f"run.dir={runs}", f"data.dir={runs / 'data'}"]
    stages = {
        "prepare": ["tools/prepare_corpus.py", "sem2010", str(raw), "--out", str(runs / "data")],
        "build reasoning": ["tools/build_reasoning.py", *here],
        **{verb: ["-m", "morerl", verb, *here] for verb in ("sft", "rate", "grpo")},
    }
    for stage in ("sft", "grpo"):
        model = f"predict.model={runs / stage / 'model'}"
        stages |= {f"{verb} {stage}": ["-m", "morerl", verb, *here, model] for verb in ("predict", "score")}
    times = runs / "times.json"
    seconds: dict[str, float] = read(times) if times.is_file() else {}
    for name, command in stages.items():
        if name in seconds:
            continue
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True)
        seconds[name] = round(time.perf_counter() - started, 1)
        times.write_text(json.dumps(seconds), encoding="utf-8")
    return seconds


def read(path: Path) -> Any:
    """The JSON of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def page(figures: dict[str, Any], seconds: dict[str, float]) -> str:
    """The markdown page."""
    lines = []
    for name, one in figures.items():
        low, high = one["ci95"][one["primary"]["name"]]
        lines.append(f"| {name} | {one['primary']['value']:.2f} ({low:.2f} to {high:.2f}) |")
    times = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
    threads = f", {os.environ['OMP_NUM_THREADS']} thread" if "OMP_NUM_THREADS" in os.environ else ""
    return "\n".join(
        [
            "# SemEval-2010 Task 8 from random weights",
            "",
            "Official (9+1)-way macro-F1 with direction on the 2,717 test sentences, in per cent, with 95 % bootstrap",
            "intervals. No pretrained weight or vector is used by any row; one seed. Settings and checkpoints",
            "were chosen on dev (800 of the 8,000 training sentences).",
            "",
            "| model | macro-F1 |",
            "|---|---|",
            *lines,
            "",
            f"Seconds: {times}; {sum(seconds.values()) / 60:.0f} minutes in all.",
            "",
            f"Made by `python -m benchmarks.sem2010_tiny RAW_DIR` on {os.cpu_count()} CPU cores "
            f"({platform.machine()}){threads}, no GPU, Python {platform.python_version()}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
