"""TRL's own configs from a `trainer:` section, with the few values that are not the user's to set."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from morerl.errors import ConfigError
from morerl.sections import DevSettings
from morerl.settings import Settings
from morerl.training.kinds import check_kinds
from morerl.training.tracking import check_trackers, names

if TYPE_CHECKING:
    from trl import GRPOConfig, SFTConfig

    Arguments = TypeVar("Arguments", SFTConfig, GRPOConfig)

log = logging.getLogger(__name__)
OURS = {
    "output_dir": "run.dir says where a run lives",
    "seed": "run.seed is the one seed",
    "data_seed": "run.seed is the one seed",
    "eval_strategy": "the dev score is morerl's own (sft.dev, grpo.dev)",
    "eval_steps": "use dev.every_steps",
    "shuffle_dataset": "the order is grpo.mixing's; a shuffle would lose it",
    "load_best_model_at_end": "the best dev checkpoint is always kept, in <stage>/model",
    "remove_unused_columns": "the rewards need the sample",
    "disable_tqdm": "morerl shows its own progress",
    "disable_dropout": "GRPO drops nothing out, or its rollouts would come from another policy than the one it keeps",
    "save_only_model": "a stage goes on as if it had never stopped, which takes the optimizer too",
    "hub_token": "a secret in a config ends in the run's folder and on model cards; set HF_TOKEN in the environment",
    "resume_from_checkpoint": "a stage that is run again goes on by itself",
}
OURS_IN = {
    "GRPOConfig": {
        "num_train_epochs": "grpo.mixing.epochs says how long the order of samples is",
        "reward_weights": "grpo.rewards has the weights",
        "chat_template_kwargs": "rollouts alone would be asked so, and neither SFT nor the dev score nor predictions",
    }
}


def trainer_arguments(
    kind: type[Arguments],
    options: dict[str, Any],
    folder: Path,
    settings: Settings,
    dev: DevSettings,
    **ours: Any,
) -> Arguments:
    """An SFTConfig or GRPOConfig: morerl's defaults, then the user's options, then what must be so.

    Raises ConfigError for an option TRL does not have (naming the nearest), for one that is morerl's,
    for values TRL refuses, for a tracker that is not installed, and for a launcher of another precision.
    """
    import torch

    _check_names(kind, options)
    check_kinds(kind, options)
    has_gpu = torch.cuda.is_available()
    defaults = {
        "report_to": "none",
        **names(settings, folder.name),
        "bf16": settings.model.dtype == "bfloat16",
        "fp16": settings.model.dtype == "float16",
        "gradient_checkpointing": has_gpu,
        "use_cpu": not has_gpu,
        "logging_steps": 1,
        "save_steps": dev.every_steps,
        "save_total_limit": 2,
        "dataloader_num_workers": 0,
    }
    fixed = {
        "output_dir": str(folder / "checkpoints"),
        "seed": settings.run.seed,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "eval_strategy": "no",
    }
    try:
        arguments = kind(**{**defaults, **ours, **options, **fixed})
    except (TypeError, ValueError, ImportError) as error:
        raise ConfigError(f"trainer: {error}") from error
    check_trackers(arguments.report_to)
    _check_precision(arguments, settings)
    return arguments


def _check_precision(arguments: SFTConfig | GRPOConfig, settings: Settings) -> None:
    """`accelerate launch` sets autocast for every process, and a float32 run would not notice.

    Weights in float16 cannot be trained themselves: a gradient scaler wants float32.
    """
    if settings.model.dtype == "float16" and settings.model.lora is None and not _by_deepspeed(arguments):
        raise ConfigError(
            "model.dtype is float16, in which all weights cannot be trained but under DeepSpeed: take bfloat16, or "
            "float32 with trainer.fp16: true, or train an adapter (model.lora)"
        )
    if settings.model.dtype == "bfloat16" and settings.model.lora is None and not _by_engine(arguments):
        log.warning(
            "all weights are trained in bfloat16: without DeepSpeed or FSDP they have no float32 copy, and at small "
            "learning rates most updates are lost; say model.dtype: float32 and trainer.bf16: true"
        )
    launched = arguments.mixed_precision
    if launched in {"bf16", "fp16"} and not getattr(arguments, launched):
        long = {"bf16": "bfloat16", "fp16": "float16"}[launched]
        raise ConfigError(
            f"model.dtype is {settings.model.dtype}, but the launcher asks for {launched}: "
            f"say `accelerate launch --mixed_precision no`, or set model.dtype: {long}, "
            f"or trainer.{launched}: true for {settings.model.dtype} weights under {launched} autocast"
        )


def _by_deepspeed(arguments: SFTConfig | GRPOConfig) -> bool:
    return bool(arguments.deepspeed) or os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() in ("true", "1")


def _by_engine(arguments: SFTConfig | GRPOConfig) -> bool:
    """Does an engine train that keeps weights in float32?"""
    fsdp = bool(arguments.fsdp) or os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1")
    return fsdp or _by_deepspeed(arguments)


def _check_names(kind: type[Any], options: dict[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    ours = OURS | OURS_IN.get(kind.__name__, {})
    for name in options:
        if name in ours:
            raise ConfigError(f"trainer.{name} is not yours to set: {ours[name]}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"trainer.{name}: {kind.__name__} has no such option{hint}")
