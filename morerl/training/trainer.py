"""GRPOTrainer in morerl's order of samples, with every prompt computed once and nothing spent on what teaches nothing.

Private hooks are overridden here, in hooks.py and in adaptive.py and nowhere else; TRL is pinned to the minor
version. Each override says why, and a test holds it against the stock path.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import pad

from morerl.models.rollout import rollout, uniforms, until_end
from morerl.models.tree import use_tree_attention
from morerl.training.hooks import Resumable, drop_nothing, frozen, keep_frozen
from morerl.training.prefix import PICTURES, log_probs, why_stock
from morerl.training.sampler import WindowSampler
from morerl.training.window import PER_PROMPT, choose, deal, group_tokens, shares, take_groups, take_rows

log = logging.getLogger(__name__)
ROUNDING = 1e-6  # of a mean of rewards
TOKEN_SUM_LOSSES = ("dapo", "cispo", "vespo")  # over num_items_in_batch: a row of no tokens is no part of them


class ScheduledGRPOTrainer(Resumable, GRPOTrainer):
    """GRPOTrainer over precomputed windows (lists of dataset rows), each prompt of which is computed once.

    `longest_prompt`: tokens, so that a model whose attention does not reach that far is left to the stock path.
    """

    def __init__(self, *args: Any, windows: Sequence[Sequence[int]], longest_prompt: int = 0, **kwargs: Any) -> None:
        self._windows = windows
        super().__init__(*args, **kwargs)
        drop_nothing(self.model)
        self._frozen = frozen(self.model)
        self._bare = getattr(self.model, "get_base_model", lambda: self.model)()
        self._pictures: list[Any] = []  # of the window's prompts, until they are read
        self._prompts: dict[str, torch.Tensor] = {}  # the window's prompts as the model reads them
        self.stock_because = why_stock(self._bare, self.processing_class, self.args, longest_prompt)
        if self.stock_because is None:
            use_tree_attention(self._bare)
            if self.ref_model is not None:  # which TRL has wrapped for its engine by now
                use_tree_attention(self.accelerator.unwrap_model(self.ref_model))
        elif self.is_world_process_zero():
            log.warning("prompts are computed once for each completion (TRL's own path): %s", self.stock_because)

    @property
    def _sharing(self) -> bool:
        return self.stock_because is None and self.model.training

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler[int]:
        # why: the schedule is an order, and the stock sampler would shuffle it
        return WindowSampler(self._windows, group=self.num_generations, repeats=self._window_steps)

    @property
    def _window_steps(self) -> int:
        """Micro-steps that a window serves."""
        return self.num_iterations * self.args.steps_per_generation

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        # why: the stock method shuffles rows and cuts them apart wherever a micro-batch ends; groups must stay whole
        if not self._sharing:
            return super()._prepare_inputs(generation_batch)
        if self._step % self._window_steps == 0 or self._buffered_inputs is None:
            self._buffered_inputs = self._micro_batches(self._generate_and_score_completions(generation_batch))
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _micro_batches(self, window: dict[str, Any]) -> list[dict[str, Any]]:
        """The window's groups by micro-step. Where the loss allows, those that teach nothing are left out."""
        group, steps = self.num_generations, self.args.steps_per_generation
        tokens = group_tokens(window, group)
        teaches = window["completion_mask"].view(len(tokens), -1).any(dim=1)
        apart = shares(len(tokens), steps, self.args.gradient_accumulation_steps)
        each, dealt = steps // len(apart), []
        for share in apart:
            wanted = len(share)
            if self._leaves_out:
                # TRL gathers a figure for each row: every rank must run as many
                wanted = max(each, int(self.accelerator.gather(teaches[share].sum()).max()))
            dealt += deal(choose(share, teaches.tolist(), wanted), tokens, each)
        return [take_groups(window, groups, group) for groups in dealt]

    @property
    def _advantage_alone(self) -> bool:
        """Is it the advantage alone that teaches? A KL term, an entropy bonus and a router's loss do so without any."""
        return self.beta == 0.0 and not self._entropy_bonus_enabled and not self.aux_loss_enabled

    @property
    def _leaves_out(self) -> bool:
        """May rows that teach nothing be left out? Their tokens must not be part of any mean."""
        return self._advantage_alone and self.loss_type in TOKEN_SUM_LOSSES

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self._score_window(inputs) if self._sharing else super()._generate_and_score_completions(inputs)
        keep_frozen(self.model, self._frozen)
        # why: under the default `dapo` loss the tokens of groups without spread stay in the denominator,
        # so the step shrinks as more groups are solved; they carry no advantage and are masked out here
        if self.model.training and self._advantage_alone:
            keep = self._has_spread(batch["advantages"])
            batch["completion_mask"] = batch["completion_mask"] * keep.unsqueeze(1).int()
            tokens = self.accelerator.gather(batch["completion_mask"].sum()).sum()
            batch["num_items_in_batch"] = tokens.clamp(min=1)
        if self.model.training:
            window = self._step // self._window_steps + 1
            self._metrics["train"]["rollouts"] = [window * len(inputs) * self.accelerator.num_processes]
        return batch

    def _score_window(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # why: the stock method reads every row's pictures, twice; here they stay outside it, once for each prompt
        self._pictures = [row.get("images") or [] for row in inputs[:: self.num_generations]]
        batch = super()._generate_and_score_completions(
            [{key: value for key, value in row.items() if key != "images"} for row in inputs]
        )
        fields = {key: value for key, value in self._prompts.items() if key in PER_PROMPT}
        if "pixel_values" in fields:
            fields["num_images"] = [len(pictures) for pictures in self._pictures]
        self._pictures, self._prompts = [], {}  # what trains reads its micro-batch alone: that is what a resume has
        return {**batch, **fields}

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], Any, dict[str, Any]]:
        # why: a prompt's rows are one prompt, which is read once
        if not self._sharing:
            return super()._tokenize_prompts(prompts)
        each = [
            prepare_multimodal_messages(prompt, images=pictures) if self._is_vlm else prompt
            for prompt, pictures in zip(prompts[:: self.num_generations], self._pictures, strict=True)
        ]
        ids, _, fields = super()._tokenize_prompts(each)
        self._prompts = self._padded(ids, fields)
        return [one for one in ids for _ in range(self.num_generations)], None, {}

    def _padded(self, ids: list[list[int]], fields: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Prompts as the model reads them: what has a value a token is left-padded."""

        def left(rows: list[list[int]], filler: int) -> torch.Tensor:
            each = [torch.tensor(row) for row in rows]
            return pad(each, filler, padding_side="left", pad_to_multiple_of=self.pad_to_multiple_of)

        inputs = {
            "input_ids": left(ids, self._tokenizer.pad_token_id),
            "attention_mask": left([[1] * len(row) for row in ids], 0),
        }
        if "pixel_values" in fields:
            inputs |= {key: torch.as_tensor(fields[key]) for key in PICTURES}
            inputs["mm_token_type_ids"] = left(fields["mm_token_type_ids"], 0)
        return self._prepare_input(inputs)  # the device, and DeepSpeed's dtype

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, num_generations: int, **kwargs: Any
    ) -> tuple[list[list[int]], Any]:
        # why: the stock method reads and keeps every prompt G times over
        if not self._sharing:
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields, num_generations, **kwargs)
        if self.use_vllm:
            return self._vllm_turn(prompt_ids, num_generations)
        numbers = uniforms(self._row_names(len(prompt_ids)), self.max_completion_length)
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
        ):
            out = rollout(model, self._prompts, num_generations, self.generation_config, numbers)
        return until_end(out, self.eos_token_ids), None

    def _row_names(self, rows: int) -> list[str]:
        """One a row of the window over all ranks: what the row's random numbers hang on."""
        window, first = self._step // self._window_steps, self.accelerator.process_index * rows
        return [f"{self.args.seed}/{window}/{first + row}" for row in range(rows)]

    def _vllm_turn(self, prompt_ids: list[list[int]], group: int) -> tuple[list[list[int]], Any]:
        """vLLM is sent a prompt once: TRL's server mode sees to that itself, its colocated mode repeats them."""
        pictures = [of_prompt or None for of_prompt in self._pictures] if any(self._pictures) else None
        if self.vllm_mode == "colocate" and self.vllm_generation.tensor_parallel_size == 1:
            self.vllm_generation.generation_kwargs = {**(self.args.generation_kwargs or {}), "n": group}
            return super()._generate_single_turn(prompt_ids[::group], pictures, {}, group)
        if pictures is not None:
            pictures = [of_prompt for of_prompt in pictures for _ in range(group)]
        return super()._generate_single_turn(prompt_ids, pictures, {}, group)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **fields: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        # why: the stock method computes a prompt, its pictures included, once for each of its completions
        if not self._sharing:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **fields
            )
        group, split = self.num_generations, input_ids.shape[1] - logits_to_keep
        if self._prompts:  # scoring a window, whose pictures the stock method does not know
            fields = {**self._prompts, "num_images": [len(pictures) for pictures in self._pictures]}
        rows = {key: fields[key] for key in PER_PROMPT if fields.get(key) is not None}
        rows |= {"ids": input_ids, "mask": attention_mask}
        at_once = max(1, (batch_size or len(input_ids)) // group)
        groups = range(len(input_ids) // group)
        parts = []
        for first in groups[::at_once]:
            part = take_groups(rows, groups[first : first + at_once], group)
            prompts = {key: part[key] for key in PER_PROMPT if key in part} | {
                "input_ids": part["ids"][::group, :split],
                "attention_mask": part["mask"][::group, :split],
            }
            with self.accelerator.autocast():
                parts.append(log_probs(model, self._bare, prompts, part["ids"][:, split:], part["mask"][:, split:]))
        logps, entropies = zip(*parts, strict=True)
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        # why: the masked rows, more than half of all later in training, would cost a forward and a backward each
        if self.stock_because and self.model.training and self._leaves_out:
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
        least = ROUNDING if self.scale_rewards == "none" else 1e4 * ROUNDING
        spread = everyone.view(-1, self.num_generations).abs().amax(dim=1) > least
        mine = slice(
            self.accelerator.process_index * len(advantages),
            (self.accelerator.process_index + 1) * len(advantages),
        )
        return spread.repeat_interleave(self.num_generations)[mine]
