"""A GRPO step, TRL's and ours, side by side: seconds, rollouts a second, memory, and what arithmetic allows.

    python -m benchmarks.grpo_step --quick                  # one setting, minutes; the last line is JSON
    python -m benchmarks.grpo_step                          # the grid: assets/results/grpo_step.{json,md,png}
    python -m benchmarks.grpo_step --device cuda --shape 7B --lora

One process, two trainers over equal weights, prompts, rewards and settings, in turn: TRL's GRPOTrainer untouched
(where morerl patches TRL, the patch is off while it runs) and morerl's. Every completion has exactly the length
asked for, in both, which is checked. A pair is a step of each; the first pair is thrown away, the second is
read for memory alone, and a ratio (TRL's seconds by ours) is the median over the pairs after these. Parts:

  rollout   the trainer's `_generate`: chat template, processor and decoding
  scoring   log-probabilities of the whole window without gradient, called apart after the step: no part of it
  training  forward, backward and optimizer
  step      all of one step of `train()`, the scoring not included

The limit is the FLOPs of TRL's way, every row alone, by those with every prefix once (benchmarks/flops.py). A
measured ratio beyond it says that TRL's way is also slower a FLOP there; why was not taken apart.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when TRL is imported, which would phone home
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers
import trl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.flops import CHECKPOINTED, FULL, LORA, LORA_CHECKPOINTED, Cell
from benchmarks.grpo_meter import Meter
from benchmarks.grpo_model import build
from benchmarks.grpo_plot import picture, table
from benchmarks.grpo_result import result
from benchmarks.grpo_trainers import KINDS, make_trainer, run
from morerl.models.load import keep_freed_memory

LENGTHS = ((300, 64), (600, 64), (1000, 128))
GROUPS = (4, 8, 16)
QUICK = Cell(group=8, prompt=600, completion=64, prompts=8)
TOKENS = 50_000  # in a step of TRL's on a CPU: what a machine of 16 GB holds
PASSES = {  # by adapters or not, GPU or not: morerl recomputes activations on a GPU
    (False, False): FULL,
    (False, True): CHECKPOINTED,
    (True, False): LORA,
    (True, True): LORA_CHECKPOINTED,
}


def main() -> None:
    """Measures, and writes the JSON, the picture and the page, or prints one line of JSON."""
    asked = _arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)  # of transformers, to TRL
    for name in ("transformers", "trl", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)
    keep_freed_memory()  # as morerl does on a CPU; it holds for the process, so TRL's steps have the good of it too
    with tempfile.TemporaryDirectory() as folder:
        results = list(_measured(asked, Path(folder)))
    if asked.quick:
        print(json.dumps({**results[0], **_about(asked)}))
        return
    record = {**_about(asked), "cells": results}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    picture(record, asked.out.with_suffix(".png"))
    asked.out.with_suffix(".md").write_text(table(record), encoding="utf-8")
    print(table(record))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only G = 8, prompt 600, completion 64; writes no file")
    parser.add_argument("--pairs", type=int, help="timed pairs a setting (default: 3 with --quick, else 5)")
    parser.add_argument("--prompts", type=int, default=8, help="a step (default 8; a CPU takes fewer long ones)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=("tiny", "3B", "7B"), default="tiny", help="Qwen2.5-VL, random weights")
    parser.add_argument("--lora", action="store_true", help="rank 64 on the text model, the rest frozen")
    parser.add_argument("--out", type=Path, help="name of the three files, without ending")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU")
    if asked.shape != "tiny" and asked.device == "cpu":
        parser.error(f"--shape {asked.shape} is for a GPU: add --device cuda")
    asked.pairs = asked.pairs or (3 if asked.quick else 5)
    kind = "" if asked.device == "cpu" else f"_cuda_{asked.shape}"
    asked.out = asked.out or Path(f"assets/results/grpo_step{kind}{'_lora' * asked.lora}")
    return asked


def _cells(asked: argparse.Namespace) -> list[Cell]:
    if asked.quick:
        return [QUICK._replace(prompts=asked.prompts)]
    cells = []
    for prompt, completion in LENGTHS:
        for group in GROUPS:
            fits = TOKENS // (group * (prompt + completion)) if asked.device == "cpu" else asked.prompts
            cells.append(Cell(group, prompt, completion, max(1, min(asked.prompts, fits))))
    return cells


def _measured(asked: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    reader, cells = build(asked.shape, folder / "tiny"), _cells(asked)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(cells) * 2 * (asked.pairs + 2))
        for cell in cells:
            yield _measure(cell, asked, reader, folder, lambda text: bar.update(task, description=text, advance=1))


def _measure(
    cell: Cell, asked: argparse.Namespace, reader: Any, folder: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    options = {"shape": asked.shape, "device": asked.device, "lora": asked.lora}
    trainers = {kind: make_trainer(kind, cell, reader, folder, **options) for kind in KINDS}
    runs: dict[str, list[Meter | None]] = {kind: [] for kind in KINDS}
    for kind, memory in _turns(asked.pairs):
        full = None in runs[kind]
        runs[kind].append(None if full else run(kind, trainers[kind], cell, memory=memory))
        tell(f"G {cell.group}, {cell.prompt} + {cell.completion} tokens")
    config, passes = trainers["ours"].model.config, PASSES[asked.lora, asked.device == "cuda"]
    return result(cell, runs, config, passes, _matmul(asked.device))


def _turns(pairs: int) -> Iterator[tuple[str, bool]]:
    """Whose step is next, and is it read for memory? Two pairs more than are timed, whoever was last goes first."""
    for number in range(pairs + 2):
        for kind in list(KINDS)[:: -1 if number % 2 else 1]:
            yield kind, number == 1


def _matmul(device: str) -> float:
    """FLOPs a second of a plain product of large matrices, the best of five: what the machine can do."""
    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        (left @ right)[0, 0].item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _about(asked: argparse.Namespace) -> dict[str, Any]:
    gpu = asked.device == "cuda"
    machine = f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} threads, no GPU"
    flags = [f"--pairs {asked.pairs}", f"--prompts {asked.prompts}"]
    flags += [f"--device cuda --shape {asked.shape}"] * gpu + ["--lora"] * asked.lora + ["--quick"] * asked.quick
    return {
        "command": f"python -m benchmarks.grpo_step {' '.join(flags)}",
        "shape": asked.shape,
        "lora": asked.lora,
        "pairs": asked.pairs,
        "device": torch.cuda.get_device_name() if gpu else machine,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "trl": trl.__version__,
        },
    }


if __name__ == "__main__":
    main()
