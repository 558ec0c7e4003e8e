"""What many ranks need beyond accelerate and TRL, so that they never wait for each other and end as one rank would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.models.utils import unwrap_model_for_generation


@contextmanager
def decodable(trainer: Any) -> Iterator[Any]:
    """The bare model while nothing trains: ZeRO-3's weights gathered once, not at every token, as for rollouts."""
    with unwrap_model_for_generation(
        trainer.model_wrapped,
        trainer.accelerator,
        gather_deepspeed3_params=getattr(trainer.args, "ds3_gather_for_generation", True),
        gradient_checkpointing_kwargs=trainer.args.gradient_checkpointing_kwargs,
    ) as model:
        yield model


class ZeroWhereUnused(TrainerCallback):
    """Gives parameters that took no part in a step (a vision tower in a window of texts) the gradient zero.

    For runs that read pictures at all; without them the tower needs no optimizer state. Left alone, the engines
    differ: without a gradient Adam skips a parameter on one rank, under DDP and
    FSDP2; ZeRO-2 takes zero; ZeRO-3 (DeepSpeed 0.19.8) takes what the last step left in its buffer.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        engine = getattr(self.trainer, "deepspeed", None)
        if engine is not None and engine.zero_optimization_partition_weights():
            engine.optimizer.grad_partitions_flat_buffer.zero_()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.trainer.is_deepspeed_enabled:
            return  # its step is over: it is a part of its backward
        for parameter in self.trainer.model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
