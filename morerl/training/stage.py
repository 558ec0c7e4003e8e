"""What SFT and GRPO share: inputs read once, a trainer run to its end, a result written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from morerl.errors import ConfigError
from morerl.models.chats import check_thinking
from morerl.models.load import (
    Processing,
    freeze_vision,
    load_adapter,
    load_model,
    load_processing,
    lora_config,
    model_folder,
)
from morerl.runs import begin, finish, read_json
from morerl.schema import Sample
from morerl.sections import DevSettings
from morerl.settings import Settings
from morerl.tasks import Tasks, load_tasks
from morerl.training.callbacks import DevScore, LogFile, ProgressBar
from morerl.training.checkpoint import check_ranks, clear_unfinished, full_disk_explained, last_good, recover
from morerl.training.ranks import ZeroWhereUnused

log = logging.getLogger(__name__)
Listener = Callable[[int, int, dict[str, float]], object]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a training stage reads."""

    train: dict[str, Sample]  # by id
    dev: list[Sample]
    tasks: Tasks


def begin_training(settings: Settings, stage: str, inputs: list[Path]) -> dict[str, Any] | None:
    """As `morerl.runs.begin`; raises ConfigError, too, for a finished stage whose model has been taken away."""
    done = begin(settings, stage, inputs)
    folder = settings.run.dir / stage
    if done is not None and not (folder / "model").is_dir():
        raise ConfigError(f"{folder} is finished but {folder / 'model'} is gone: remove {folder} to train it anew")
    return done


def read_inputs(settings: Settings) -> Inputs:
    """Train and dev samples and their tasks. The test split is never opened here."""
    tasks = load_tasks(settings)
    return Inputs(train={sample.id: sample for sample in tasks.read("train")}, dev=tasks.read("dev"), tasks=tasks)


def load_for_training(path: Path | str, settings: Settings) -> tuple[Any, Processing, dict[str, Any]]:
    """Model (vision tower frozen if asked), its processing, and `peft_config` for the trainer.

    A folder that holds a LoRA adapter is gone on with: another one in its place would begin where the base model is.
    """
    processing = load_processing(path)
    check_thinking(processing)
    base = model_folder(path)
    model = load_model(base, settings.model)
    if settings.model.freeze_vision:
        freeze_vision(model)
    if base != path:
        adapted = load_adapter(model, path)
        if settings.model.freeze_vision:
            freeze_vision(model)  # what the adapter holds of it, too
        _say_what_differs(adapted.peft_config["default"], settings.model.lora or {}, path)
        return adapted, processing, {}
    peft_config = lora_config(settings.model)
    return model, processing, {} if peft_config is None else {"peft_config": peft_config}


def _say_what_differs(adapter: Any, asked: dict[str, Any], path: Path | str) -> None:
    """An adapter that is gone on with keeps its shape, whatever model.lora says by now."""
    for name in ("r", "lora_alpha", "target_modules"):
        has, wanted = getattr(adapter, name), asked.get(name)
        if wanted == "all-linear":  # the adapter names them
            continue
        if wanted is not None and (set(has) != set(wanted) if isinstance(wanted, list | tuple) else has != wanted):
            log.warning("model.lora.%s = %s is not in force: the adapter in %s has %s", name, wanted, path, has)


def train_to_end(
    trainer: Any,
    inputs: Inputs,
    settings: Settings,
    stage: str,
    dev: DevSettings,
    processing: Processing,
    listener: Listener,
) -> dict[str, Any]:
    """Trains, going on from the last good checkpoint, and marks the stage as done.

    Returns {"steps", "dev": {"step", "value"}, "seconds"}.
    """
    from transformers import PrinterCallback

    folder = settings.run.dir / stage
    if trainer.is_world_process_zero():
        recover(folder / "model")
        clear_unfinished(folder / "checkpoints")
    trainer.accelerator.wait_for_everyone()
    keeper = DevScore(inputs.dev, inputs.tasks, settings, dev, processing, folder)
    keeper.trainer = trainer
    trainer.remove_callback(PrinterCallback)  # the log file and the progress bar say the same
    for callback in (keeper, LogFile(folder), ProgressBar(listener)):
        trainer.add_callback(callback)
    if any(sample.image is not None for sample in inputs.train.values()):
        trainer.add_callback(ZeroWhereUnused(trainer))
    started = time.perf_counter()
    with full_disk_explained(folder):
        trainer.train(resume_from_checkpoint=_newest(folder / "checkpoints", trainer))
    result = {
        "steps": trainer.state.global_step,
        "dev": read_json(folder / "model" / "dev.json"),
        "seconds": round(time.perf_counter() - started, 1),
    }
    if trainer.is_world_process_zero():
        finish(settings, stage, result)
    trainer.accelerator.wait_for_everyone()
    return result


def _newest(folder: Path, trainer: Any) -> str | None:
    """The checkpoint to go on from; one rank reads and chooses for all. Raises ConfigError for other ranks' work."""
    from accelerate.utils import broadcast_object_list

    chosen = [last_good(folder)] if trainer.is_world_process_zero() else [None]
    checkpoint = broadcast_object_list(chosen)[0]
    if checkpoint is None:
        return None
    check_ranks(checkpoint, trainer.accelerator.num_processes)
    return str(checkpoint)


def start_model(path: Path | str | None, default: Path, key: str) -> Path | str:
    """The model a stage starts from. Raises ConfigError if it is to be an earlier stage's and is not there."""
    if path is not None:
        return path
    if not default.is_dir():
        raise ConfigError(f"{default} does not exist: run the stage that makes it first, or set {key}")
    return default
