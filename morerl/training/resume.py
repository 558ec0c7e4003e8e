"""What a run must know to go on as if it had never stopped, and transformers and TRL do not write down.

A file a rank in the checkpoint: TRL's count of micro-steps and its unlogged figures, the loss since the last
log entry, what adaptive mixing knows, and, inside a generation window, the rollouts being trained on. TRL starts
a window anew after a resume, with other rollouts than the run would have had.

Source: `GRPOTrainer._prepare_inputs`, `log` and `Trainer._inner_training_loop` of TRL 1.16 and transformers 5.23.
Left out on purpose: the state of a vLLM engine and a reference model that is synchronised with the policy.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from trl.trainer.utils import strip_images_from_messages

from morerl.errors import DataError
from morerl.jsonl import write_json
from morerl.mixing.adaptive import Standing
from morerl.runs import read_json
from morerl.training.checkpoint import RANK_FILE

Window = list[dict[str, Any]]


def save_rank(trainer: Any, folder: Path, *, started: float) -> None:
    """Writes this rank's part of a checkpoint; `started` is when the run would have begun without stops (seconds)."""
    state = {
        "seconds": time.time() - started,
        "pending_loss": trainer._tr_loss.item(),
        "total_loss": trainer._total_loss_scalar,
        "logged_at": trainer._globalstep_last_logged,
        "metrics": trainer._metrics["train"],
        "train_tokens": trainer._total_train_tokens,
        "micro_step": getattr(trainer, "_step", None),  # SFT has none
        "standing": trainer.standing.model_dump() if hasattr(trainer, "standing") else None,  # adaptive mixing alone
    }
    rank = trainer.args.process_index
    if in_window(trainer):
        tensors, state["window"] = pack_window(trainer._buffered_inputs)
        state["completions"] = _completions(trainer._logs) if trainer.log_completions else None
        save_file(tensors, _window_file(folder, rank))
    write_json(folder / RANK_FILE.format(rank), state)


def load_rank(trainer: Any, folder: Path) -> dict[str, Any]:
    """What `save_rank` wrote on this rank, tensors on the trainer's device. Raises DataError where it is not there."""
    rank = trainer.args.process_index
    state = read_json(folder / RANK_FILE.format(rank))
    if state is None:
        raise DataError(f"{folder} holds no {RANK_FILE.format(rank)}, so this rank cannot go on from it")
    if "window" in state:
        tensors = load_file(_window_file(folder, rank), device=str(trainer.args.device))
        state["window"] = unpack_window(tensors, state["window"])
    return state


def take_up(trainer: Any, state: dict[str, Any]) -> None:
    """Puts back what `load_rank` read, once transformers has set its own counts to those of a new run."""
    trainer.model.train()  # as after a step, so that TRL logs what follows as training
    trainer._tr_loss.fill_(state["pending_loss"])
    trainer._total_loss_scalar = state["total_loss"]
    trainer._globalstep_last_logged = state["logged_at"]
    trainer._initial_global_step = trainer._initial_num_input_tokens_seen = 0  # figures of the whole run
    trainer._metrics["train"].update(state["metrics"])
    trainer._total_train_tokens = state["train_tokens"]
    if state["micro_step"] is not None:
        trainer._step = state["micro_step"]
    if state["standing"] is not None:
        trainer.go_on_from(Standing.model_validate(state["standing"]))
    if "window" in state:
        trainer._buffered_inputs = state["window"]
        _put_completions(trainer._logs, state["completions"] or {})


def in_window(trainer: Any) -> bool:
    """Are there rollouts that later micro-steps train on?"""
    if getattr(trainer, "_buffered_inputs", None) is None:
        return False
    return trainer._step % (trainer.args.steps_per_generation * trainer.num_iterations) != 0


def pack_window(window: Window) -> tuple[dict[str, torch.Tensor], Window]:
    """The tensors, named <micro-batch>.<key>, and for each micro-batch the rest, which is fit for JSON."""
    tensors, rest = {}, []
    for number, batch in enumerate(window):
        rest.append({key: value for key, value in batch.items() if not isinstance(value, torch.Tensor)})
        for key in batch.keys() - rest[-1].keys():
            tensors[f"{number}.{key}"] = batch[key].detach().clone().contiguous()  # slices share memory
    return tensors, rest


def unpack_window(tensors: dict[str, torch.Tensor], rest: Window) -> Window:
    """The window that `pack_window` took apart."""
    window = [dict(batch) for batch in rest]
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        window[int(number)][key] = tensor
    return window


def _window_file(folder: Path, rank: int) -> Path:
    return folder / f"window-{rank}.safetensors"


def _completions(logs: dict[str, Any]) -> dict[str, Any]:
    """TRL's table of the window's completions, for `log_completions`; pictures, which only trackers show, stay out."""
    texts = {key: [strip_images_from_messages(one) for one in logs[key]] for key in ("prompt", "completion")}
    columns = {key: {name: list(values) for name, values in logs[key].items()} for key in ("rewards", "extra")}
    return {**texts, **columns, "advantages": list(logs["advantages"])}


def _put_completions(logs: dict[str, Any], saved: dict[str, Any]) -> None:
    for key, values in saved.items():
        columns = {None: values} if isinstance(values, list) else values
        for name, column in columns.items():
            target: deque[Any] = logs[key] if name is None else logs[key][name]
            target.extend(column)
