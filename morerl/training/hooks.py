"""What both trainers change in transformers and TRL: exact resuming, dropout, what is projected on the vocabulary.

Private hooks are overridden here, in trainer.py and in adaptive.py and nowhere else; TRL is pinned to the minor
version. Each override says why, and a test holds it against the stock path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from datasets import Dataset
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.data import Sampler
from transformers import PreTrainedModel
from trl import SFTTrainer

from morerl.errors import ConfigError
from morerl.training.checkpoint import drop_reference, prune, seal, unfinished
from morerl.training.resume import load_rank, save_rank, take_up
from morerl.training.sampler import LengthSampler

# why: off the GPU, TRL projects every position on the vocabulary, prompts and padding too, for compilers that
# want fixed shapes; a CPU has no such wish, and on texts of few learnt tokens half of a step goes there
trl.trainer.utils._use_triton = lambda device: device.type in ("cuda", "xpu", "cpu")


class Resumable:
    """Writes checkpoints that are whole or not there, and goes on from one as if the run had never stopped."""

    _aside: Path | None = None  # where a checkpoint is being written
    _left: dict[str, Any] | None = None  # what this rank left in the checkpoint it goes on from, until taken up
    _started = 0.0  # when the run would have begun had it never stopped, in seconds

    def _get_output_dir(self, trial: Any) -> str:
        # why: the stock trainer writes straight into checkpoint-N; see morerl.training.checkpoint
        return str(self._aside) if self._aside else super()._get_output_dir(trial)  # type: ignore[misc]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        new = unfinished(Path(self.args.output_dir), self.state.global_step)  # type: ignore[attr-defined]
        self._aside = new.parent
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        finally:
            self._aside = None
        save_rank(self, new, started=self._started)
        self.accelerator.wait_for_everyone()  # type: ignore[attr-defined]
        if self.is_world_process_zero():  # type: ignore[attr-defined]
            drop_reference(new)
            prune(seal(new), self.args.save_total_limit)  # type: ignore[attr-defined]
        self.accelerator.wait_for_everyone()  # type: ignore[attr-defined]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is not None:
            self._left = load_rank(self, Path(checkpoint))

    def _take_up(self, started: float) -> float:
        """When the run would have begun had it never stopped; the first call after a resume puts back what was left."""
        if self._left is not None:
            take_up(self, self._left)
            self._started, self._left = started - self._left["seconds"], None
        self._started = self._started or started
        return self._started

    def _run_epoch(self, *args: Any, start_time: float, **kwargs: Any) -> None:
        # why: transformers sets its counts to those of a new run after it has loaded the checkpoint, and from
        # the checkpoint of the last step it would train one step more
        start_time = self._take_up(start_time)
        state = self.state  # type: ignore[attr-defined]
        if state.global_step >= state.max_steps:
            self.control.should_training_stop = True  # type: ignore[attr-defined]
            return
        super()._run_epoch(*args, start_time=start_time, **kwargs)  # type: ignore[misc]

    def _finalize_training(self, trial: Any, num_train_samples: int, start_time: float) -> Any:
        # why: the last log entry would tell of the steps since the resume alone
        return super()._finalize_training(trial, num_train_samples, self._take_up(start_time))  # type: ignore[misc]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # why: the stock method loads tensors by their saved names, so it finds none of a Qwen2.5-VL's, warns,
        # and goes on from the start weights with the checkpoint's optimizer; from_pretrained maps the names
        sharded = self.is_deepspeed_enabled or self.is_fsdp_enabled  # type: ignore[attr-defined]
        whole = self.accelerator.unwrap_model(self.model)  # type: ignore[attr-defined]
        if sharded or not isinstance(whole, PreTrainedModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
            return
        saved = type(whole).from_pretrained(resume_from_checkpoint, dtype=whole.dtype, use_safetensors=True)
        whole.load_state_dict(saved.state_dict())


class ResumableSFTTrainer(Resumable, SFTTrainer):
    """SFTTrainer that resumes with the weights it had, and knows its rows' `lengths` in tokens."""

    def __init__(self, *args: Any, lengths: Sequence[int], **kwargs: Any) -> None:
        self._lengths = lengths
        self._order: LengthSampler | None = None
        super().__init__(*args, **kwargs)
        # why: Qwen's VLs and others say no, of a forward that TRL does not ask for its loss; then each micro-batch of
        # each rank counts alike, however few its learnt tokens, and a step depends on how it was cut up
        self.model_accepts_loss_kwargs = True

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        # why: the stock sampler asks a VLM's rows for "pixel_values" and fails, and a resume would not find its order
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        if len(self.train_dataset) != len(self._lengths):
            raise ConfigError(
                "trainer: group_by_length needs the rows as they are, with no packing and no filter of TRL's"
            )
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        self._order = LengthSampler(self._lengths, batch, seed=self.args.seed)
        return self._order

    def _run_epoch(self, *args: Any, epoch: int, **kwargs: Any) -> None:
        # why: on several ranks accelerate tells a sampler its epoch, but not through what skips batches after a resume
        if self._order is not None:
            self._order.set_epoch(epoch)
        super()._run_epoch(*args, epoch=epoch, **kwargs)


def drop_nothing(model: torch.nn.Module) -> None:
    """Switches dropout off for good, in layers and where a module keeps its rate as a number.

    TRL samples rollouts with the model in training mode, so under dropout they come from another
    policy than the one that is scored and kept; its `disable_dropout` (off by default) reaches layers only.
    """
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if name.endswith("dropout") and isinstance(value, float):
                setattr(module, name, 0.0)


def frozen(model: torch.nn.Module) -> set[str]:
    """The names of the parameters that do not learn."""
    return {name for name, weight in model.named_parameters() if not weight.requires_grad}


def keep_frozen(model: torch.nn.Module, names: set[str]) -> None:
    """Freezes them once more.

    To ask an adapter's reference TRL switches adapters, and PEFT then lets all of the one it comes back to learn: what
    is frozen of it would have a gradient, which clipping counts and ranks do not share.
    """
    for name, weight in model.named_parameters():
        if name in names:
            weight.requires_grad_(False)
