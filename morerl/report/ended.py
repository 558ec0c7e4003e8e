"""What a stage says of itself: how far it went, which step's model it kept, how long it took.

From its done.json, written when it has ended; before that from its log, and from the dev.json beside its model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from morerl.report.notes import LogLine, is_number, read, read_object

TIMED = ("sft", "rate", "grpo")  # the stages that write down how long they took


class Kept(NamedTuple):
    """The step whose model a stage kept, and what is to be said of it."""

    step: float
    said: str


def read_ended(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Stage -> its done.json, of those that have ended and trained or rated; a damaged one says nothing."""
    found = {stage: read({}, run_dir, f"{stage}/done.json", read_object, {}) for stage in TIMED}
    return {stage: done for stage, done in found.items() if done}


def seconds(ended: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Stage -> how long it took, where it says so."""
    return {stage: float(done["seconds"]) for stage, done in ended.items() if is_number(done.get("seconds"))}


def last_step(done: dict[str, Any], log: list[LogLine]) -> float | None:
    """The step a stage ended at, or else the last it logged; None where neither is known."""
    if is_number(done.get("steps")):
        return float(done["steps"])
    return max((float(line["step"]) for line in log if is_number(line.get("step"))), default=None)


def kept(run_dir: Path, stage: str, done: dict[str, Any], last: float | None) -> Kept | None:
    """The step whose model the stage kept; None where it does not say."""
    dev = done.get("dev") or read({}, run_dir, f"{stage}/model/dev.json", read_object, {})
    if not isinstance(dev, dict) or not is_number(step := dev.get("step")):
        return None
    score = f", {dev['value']:.1f} on dev" if is_number(dev.get("value")) else ""
    if step == 0:
        start = f"the untrained start, the very model that {stage} began with"
        return Kept(0.0, f"Kept: step 0{score}: {start}, for no later step was better on dev.")
    of = f" of {last:.0f}" if last is not None else ""
    return Kept(float(step), f"Kept: step {step:.0f}{of}{score}, the best.")
