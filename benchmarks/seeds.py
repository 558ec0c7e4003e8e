"""What benchmarks over seeds share: their options, how they run the package, intervals, and the files they write."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scipy.stats import t

CONFIG = "configs/scenes/demo.yaml"
Row = dict[str, Any]


def parser_of(doc: str | None, runs: str, out: str) -> argparse.ArgumentParser:
    """--seeds, --starts, --runs, --parallel and --out; `doc` is the benchmark's own help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--starts", type=Path, default=Path("runs/seeds"), help="<starts>/<seed>: a demo's run")
    parser.add_argument("--runs", type=Path, default=Path(runs), help="where this benchmark's own runs are kept")
    parser.add_argument("--parallel", type=int, default=1, help="runs side by side, which share the cores out")
    parser.add_argument("--out", type=Path, default=Path(out), help="the page; figures and picture lie beside it")
    return parser


def call(parallel: int, *command: str) -> None:
    """Runs one command of Python, with its share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // parallel))
    subprocess.run([sys.executable, *command], check=True, env={"OMP_NUM_THREADS": threads, **os.environ})


def morerl(parallel: int, verb: str, *overrides: str) -> None:
    """Runs one verb on the demo's config, as a user would."""
    call(parallel, "-m", "morerl", verb, CONFIG, *overrides)


def of_world(home: Path, here: Path, seed: int) -> list[str]:
    """Overrides of a run `here` on the drawn world of the demo's run `home`."""
    return [f"run.dir={here}", f"run.seed={seed}", f"data.dir={home / 'data'}", f"data.image_root={home / 'raw'}"]


def f1_on_test(run: Path, stage: str) -> float:
    """The test figure of a run's stage, in per cent."""
    metrics = run / "predictions" / f"{stage}.test.metrics.json"
    value: float = json.loads(metrics.read_text(encoding="utf-8"))["primary"]["value"]
    return value


def outcomes(run: Path, stage: str) -> dict[str, int]:
    """How many test samples of a run's stage were right, right_none, spurious, missed and so on."""
    metrics = run / "predictions" / f"{stage}.test.metrics.json"
    counts: dict[str, int] = json.loads(metrics.read_text(encoding="utf-8"))["errors"]
    return counts


def is_scored(run: Path, stage: str) -> bool:
    """Has the run been predicted and scored?"""
    return (run / "predictions" / f"{stage}.test.metrics.json").is_file()


def interval(values: list[float]) -> str:
    """Mean and 95 % t interval over seeds."""
    mean, half = statistics.mean(values), half_width(values)
    return f"{mean:.1f} ({mean - half:.1f} to {mean + half:.1f})" if half else f"{mean:.1f}"


def half_width(values: list[float]) -> float:
    """Half of the 95 % t interval of the mean; 0 of one value, and of values that are all the same."""
    if len(values) < 2:
        return 0.0
    return float(t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5)


def table(heads: list[str], lines: list[list[str]]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines)]


def made_by(name: str, options: argparse.Namespace, before: str = "") -> str:
    """The sentence that says by which command and on what a page was made."""
    threads = f", {os.environ['OMP_NUM_THREADS']} thread a run" if "OMP_NUM_THREADS" in os.environ else ""
    return (
        f"Made by `python -m benchmarks.{name} {before}--seeds {options.seeds} --parallel {options.parallel}` on "
        f"{os.cpu_count()} CPU cores ({platform.machine()}){threads}, no GPU, Python {platform.python_version()}."
    )


def write(rows: list[Row], page: str, options: argparse.Namespace, picture: Callable[[list[Row], Path], None]) -> None:
    """The page, its figures as JSON and its picture; the page is printed too."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    options.out.write_text(page, encoding="utf-8")
    picture(rows, options.out.with_suffix(".png"))
    print(page)
