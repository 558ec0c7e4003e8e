"""GRPOTrainer with morerl's order of samples and a loss that zero-spread groups do not dilute.

The only file that overrides TRL's private hooks; TRL is pinned to the minor version. Each override
says why, and a test holds it against the stock path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import trl.trainer.utils
from datasets import Dataset
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.data import Sampler
from transformers import PreTrainedModel
from trl import GRPOTrainer, SFTTrainer
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from morerl.errors import ConfigError
from morerl.training.sampler import LengthSampler, WindowSampler

# why: off the GPU, TRL projects every position on the vocabulary, prompts and padding too, for compilers that
# want fixed shapes; a CPU has no such wish, and on texts of few learnt tokens half of a step goes there
trl.trainer.utils._use_triton = lambda device: device.type in ("cuda", "xpu", "cpu")

TOKEN_SUM_LOSSES = ("dapo", "cispo", "vespo")  # over num_items_in_batch: a row of no tokens is no part of them


class _WholeResume:
    """Resumes the weights of models whose saved names are not their module names."""

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


class ResumableSFTTrainer(_WholeResume, SFTTrainer):
    """SFTTrainer that resumes with the weights it had, and knows its rows' `lengths` in tokens."""

    def __init__(self, *args: Any, lengths: Sequence[int], **kwargs: Any) -> None:
        self._lengths = lengths
        self._order: LengthSampler | None = None
        super().__init__(*args, **kwargs)

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


class ScheduledGRPOTrainer(_WholeResume, GRPOTrainer):
    """GRPOTrainer over precomputed windows: lists of dataset rows, one list a generation window."""

    def __init__(self, *args: Any, windows: Sequence[Sequence[int]], **kwargs: Any) -> None:
        self._windows = windows
        super().__init__(*args, **kwargs)
        drop_nothing(self.model)

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        # why: the schedule is an order, and the stock sampler would shuffle it
        return WindowSampler(
            self._windows,
            group=self.num_generations,
            repeats=self.num_iterations * self.args.steps_per_generation,
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # why: under the default `dapo` loss the tokens of groups without spread stay in the denominator,
        # so the step shrinks as more groups are solved; they carry no advantage and are masked out here
        batch = super()._generate_and_score_completions(inputs)
        if self.model.training and self.beta == 0.0:
            keep = self._has_spread(batch["advantages"])
            batch["completion_mask"] = batch["completion_mask"] * keep.unsqueeze(1).int()
            tokens = self.accelerator.gather(batch["completion_mask"].sum()).sum()
            batch["num_items_in_batch"] = tokens.clamp(min=1)
        return batch

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        # why: the masked rows, more than half of all later in training, would cost a forward and a backward each
        if self.model.training and self.beta == 0.0 and self.loss_type in TOKEN_SUM_LOSSES:
            inputs = take_rows(inputs, self._rows_that_teach(inputs["completion_mask"]))
        return super()._compute_loss(model, inputs)

    def _rows_that_teach(self, mask: torch.Tensor) -> list[int]:
        """Rows with tokens, filled up with others to one number on all ranks (TRL gathers per row)."""
        teaches = mask.any(dim=1)
        wanted = max(1, int(self.accelerator.gather(teaches.sum()).max()))
        return teaches.int().argsort(descending=True, stable=True)[:wanted].sort().values.tolist()

    def _has_spread(self, advantages: torch.Tensor) -> torch.Tensor:
        """[B] bool on this rank: does the row's group, which may lie on several ranks, hold any advantage?"""
        everyone = self.accelerator.gather(advantages)
        # equal rewards may differ from their mean in the last bit, which the std floor of 1e-4 magnifies
        spread = everyone.view(-1, self.num_generations).abs().amax(dim=1) > 1e-2
        mine = slice(
            self.accelerator.process_index * len(advantages),
            (self.accelerator.process_index + 1) * len(advantages),
        )
        return spread.repeat_interleave(self.num_generations)[mine]


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


def take_rows(batch: dict[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Those rows of a TRL batch, with their own pictures; what is not per row stays."""

    def take(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value[list(rows)] if value.ndim else value
        return [value[row] for row in rows] if isinstance(value, list) else value

    return unsplit_pixel_values_by_grid({key: take(value) for key, value in split_pixel_values_by_grid(batch).items()})
