"""Seconds and memory of the parts of a trainer's step, read from outside it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter(TrainerCallback):
    """The parts of one step of a trainer; parts may lie in one another.

    `seconds` and `memory` (bytes) by part. Memory is on CUDA the peak of allocated memory, weights included, and on
    a CPU the rise of the resident peak over the part's start; None where the system does not tell. With
    `memory`, what was freed goes back to the system before each part, which takes time: such a run is not timed.
    """

    def __init__(self, device: str, *, memory: bool) -> None:
        self.seconds: dict[str, float] = {}
        self.memory: dict[str, int | None] = {}
        self._device, self._trims = device, memory and device == "cpu"
        self._open: dict[str, tuple[int, int]] = {}  # base and peak so far
        self._since: dict[str, float] = {}

    def start(self, part: str) -> None:
        """Begins a part."""
        if self._trims:
            _give_back()
        self._see()
        self._open[part] = (self._base(), 0)
        self._since[part] = self._now()

    def stop(self, part: str) -> None:
        """Ends it."""
        self.seconds[part] = self._now() - self._since.pop(part)
        self._see()
        base, peak = self._open.pop(part)
        self.memory[part] = peak - base if peak else None

    def watch(self, trainer: Any) -> Callable[[], None]:
        """Puts the timers around the trainer's methods; what comes back takes them off."""
        generate, prepare = trainer._generate, trainer._prepare_inputs

        def timed_generate(*args: Any, **kwargs: Any) -> Any:
            self.start("rollout")
            made = generate(*args, **kwargs)
            self.stop("rollout")
            return made

        def prepared(*args: Any, **kwargs: Any) -> Any:
            inputs = prepare(*args, **kwargs)
            self.start("training")
            return inputs

        def off() -> None:
            del trainer._generate, trainer._prepare_inputs
            trainer.remove_callback(self)

        trainer._generate, trainer._prepare_inputs = timed_generate, prepared
        trainer.add_callback(self)
        return off

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Of transformers' trainer."""
        self.start("step")

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Of transformers' trainer, after the optimizer."""
        self.stop("training")

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Of transformers' trainer."""
        self.stop("step")

    def _now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _see(self) -> None:
        """Hands the peak since the last look to every open part, and begins a new one."""
        if self._device == "cuda":
            seen = torch.cuda.max_memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        else:
            seen = _resident_peak()
        self._open = {part: (base, max(peak, seen)) for part, (base, peak) in self._open.items()}

    def _base(self) -> int:
        return 0 if self._device == "cuda" else _kept("VmRSS")


def _resident_peak() -> int:
    """Bytes since the last call, which begins a new one; 0 where the system has no such thing (Linux alone has)."""
    peak = _kept("VmHWM")
    try:
        CLEAR.write_text("5")
    except OSError:
        return 0
    return peak


def _kept(name: str) -> int:
    """Bytes of an entry of /proc/self/status; 0 where there is none."""
    if not STATUS.is_file():
        return 0
    line = next((line for line in STATUS.read_text().splitlines() if line.startswith(name)), None)
    return int(line.split()[1]) * 1024 if line else 0


def _give_back() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
