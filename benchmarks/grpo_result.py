"""The figures of one setting of benchmarks/grpo_step.py, from its runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.flops import PARTS, Cell, Work, limits, parts
from benchmarks.grpo_meter import Meter
from benchmarks.grpo_model import GRIDS


def result(cell: Cell, runs: dict[str, list[Meter | None]], config: Any, passes: Work, matmul: float) -> dict[str, Any]:
    """One JSON object; a trainer that ran out of memory, and what would compare with it, is None.

    `runs`: by trainer, the warm-up, the one read for memory, then the timed ones. `matmul`: FLOPs a second.
    """
    seconds = {kind: _seconds(of) for kind, of in runs.items()}
    medians = {kind: of and {part: statistics.median(of[part]) for part in PARTS} for kind, of in seconds.items()}
    ratios = _ratios(seconds["stock"], seconds["ours"])
    ratio = ratios and {part: statistics.median(of) for part, of in ratios.items()}
    limit = limits(config, cell, GRIDS, passes)
    training = parts(config, cell, GRIDS, passes, once=True)["training"]
    return _rounded(
        {
            **cell._asdict(),
            "out_of_memory": [kind for kind, of in seconds.items() if of is None],
            "ratio": ratio,
            "ratio_range": ratios and {part: [min(of), max(of)] for part, of in ratios.items()},
            "limit": limit,
            "of_limit": ratio and {part: ratio[part] / limit[part] for part in PARTS},
            "seconds": medians,
            "rollouts_per_second": {
                kind: of and {part: cell.rows / of[part] for part in PARTS} for kind, of in medians.items()
            },
            "memory_mb": {kind: _memory(of) for kind, of in runs.items()},
            "gflops": {
                "training_ours": medians["ours"] and training / medians["ours"]["training"] / 1e9,
                "matmul": matmul / 1e9,
            },
        }
    )


def _seconds(runs: Sequence[Meter | None]) -> dict[str, list[float]] | None:
    """By part, those of the timed runs."""
    done = [run for run in runs if run is not None]
    return {part: [run.seconds[part] for run in done[2:]] for part in PARTS} if len(done) == len(runs) else None


def _ratios(stock: dict[str, list[float]] | None, ours: dict[str, list[float]] | None) -> dict[str, list[float]] | None:
    if stock is None or ours is None:
        return None
    return {part: [one / other for one, other in zip(stock[part], ours[part], strict=True)] for part in PARTS}


def _memory(runs: Sequence[Meter | None]) -> dict[str, float | None] | None:
    read = runs[1]
    if read is None:
        return None
    return {part: None if (size := read.memory[part]) is None else size / 1e6 for part in PARTS}


def _rounded(value: Any) -> Any:
    """Four digits are more than a clock is good for."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
