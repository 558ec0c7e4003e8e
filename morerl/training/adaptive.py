"""GRPO on windows that are drawn when they are needed, from what the rollouts so far have told.

TRL's dataloader reads a window ahead of training, so the draw is not in the sampler: the sampler yields
placeholders, and what is generated is drawn here. Prompts whose rollouts are all alike are replaced, once a window, by
others in their very places, so that micro-batches stay as large as they were and any number of ranks train on the
same groups.

Private hooks are overridden here, in trainer.py and in hooks.py and nowhere else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from morerl.mixing.adaptive import Draw, Pool, Standing, draw, learn, refill, why
from morerl.mixing.lines import Prompt, Window, cut_back, first_step
from morerl.training.trainer import ScheduledGRPOTrainer
from morerl.training.window import merge, take_groups

log = logging.getLogger(__name__)


class AdaptiveGRPOTrainer(ScheduledGRPOTrainer):
    """ScheduledGRPOTrainer whose windows, placeholders all, are drawn from `pool` by what is known so far.

    `standing` is what is known at the start. The last reward function, of weight 0, says which rollouts are right
    (1 or 0). `notes` is schedule.jsonl, which grows by a line a window.
    """

    def __init__(self, *args: Any, pool: Pool, standing: Standing, notes: Path, **kwargs: Any) -> None:
        self.pool, self.standing, self._notes = pool, standing, notes
        self._names: list[str] | None = None  # of a refill's rows
        self._passed: list[float] = []  # share of right rollouts of each prompt last generated, over all ranks
        super().__init__(*args, **kwargs)
        if pool.mixing.refill and self.stock_because and self.is_world_process_zero():
            log.warning("grpo.mixing.refill is not in force, for that needs prompts that are computed once")

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # why: the rows that the sampler read ahead are placeholders
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        window = self._step // self._window_steps + 1
        drawn = draw(self.pool, self.standing, window)
        places, first = [one.row for one in drawn for _ in range(self.num_generations)], self._rank * len(inputs)
        batch = super()._generate_and_score_completions(self._rows(places[first : first + len(inputs)]))
        prompts = self._learn(window, drawn, self._passed)
        alike = self._alike(batch) if self._sharing else []
        others = refill(self.pool, self.standing, window, drawn, len(alike))
        if others:
            alike = alike[: len(others)]
            batch, passed = self._refilled(batch, alike, others, window)
            refills = [self.pool.ids[drawn[place].row] for place in alike]
            prompts += self._learn(window, others, passed, refills)
        self._tell(batch, window, prompts)
        return batch

    def go_on_from(self, standing: Standing) -> None:
        """Takes up what a checkpoint knew; what the killed run told of later windows is cut off the notes."""
        self.standing = standing
        if self.is_world_process_zero():
            cut_back(self._notes, max(standing.drawn))

    @property
    def _rank(self) -> int:
        return self.accelerator.process_index

    @property
    def _ranks(self) -> int:
        return self.accelerator.num_processes

    def _rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        read = {number: self.train_dataset[number] for number in set(numbers)}
        return [read[number] for number in numbers]

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        # why: here the rewards are known one by one, gathered over the ranks
        rewards = super()._calculate_rewards(*args, **kwargs)
        if self.model.training:
            solved = rewards[:, -1].view(-1, self.num_generations)
            self._passed = [right / self.num_generations for right in solved.sum(dim=1).tolist()]
        return rewards

    def _learn(
        self, window: int, drawn: Sequence[Draw], passed: Sequence[float], refills: Sequence[str | None] = ()
    ) -> list[Prompt]:
        """Takes the rollouts into the standing; the lines' words for them."""
        prompts = [
            Prompt(id=self.pool.ids[one.row], pass_rate=self.standing.rates[one.row], why=one.why, passed=share)
            for one, share in zip(drawn, passed, strict=True)
        ]
        self.standing = learn(self.pool, self.standing, window, drawn, passed, self.num_generations)
        named = zip(prompts, refills or [None] * len(prompts), strict=True)
        return [prompt.model_copy(update={"refills": id_}) for prompt, id_ in named]

    def _alike(self, batch: dict[str, Any]) -> list[int]:
        """The places of the window, over all ranks, whose groups have no spread."""
        spread = self.accelerator.gather(self._has_spread(batch["advantages"])[:: self.num_generations])
        return (~spread).nonzero().flatten().tolist()

    def _refilled(
        self, batch: dict[str, Any], places: Sequence[int], others: Sequence[Draw], window: int
    ) -> tuple[dict[str, Any], list[float]]:
        """The window with `others` in those places, and the share of right rollouts of each of them.

        Every rank generates for its own places, and as many prompts as the one that has most.
        """
        each = self.pool.size // self._ranks
        of_rank = [[n for n, place in enumerate(places) if place // each == rank] for rank in range(self._ranks)]
        most, mine = max(map(len, of_rank)), of_rank[self._rank]
        more = self._refill_round([others[n].row for n in mine], mine, most, window)
        passed = {n: self._passed[rank * most + at] for rank, own in enumerate(of_rank) for at, n in enumerate(own)}
        order = list(range(each))
        for at, n in enumerate(mine):
            order[places[n] - self._rank * each] = each + at
        merged = take_groups(merge([batch, more], self._tokenizer.pad_token_id), order, self.num_generations)
        tokens = self.accelerator.gather(merged["completion_mask"].sum()).sum()
        return {**merged, "num_items_in_batch": tokens.clamp(min=1)}, [passed[n] for n in range(len(others))]

    def _refill_round(self, rows: Sequence[int], numbers: Sequence[int], count: int, window: int) -> dict[str, Any]:
        """`count` groups generated and scored: those of `rows`, then some that only keep this rank in step."""
        idle = [f"idle/{self._rank}/{n}" for n in range(count - len(rows))]
        wanted = [*rows, *[self.standing.drawn.index(window)] * len(idle)]  # of the window's kind
        names = [f"{self.args.seed}/{window}/refill/{name}" for name in [*numbers, *idle]]
        group, figures = self.num_generations, self._metrics["train"]
        before = {name: list(values) for name, values in figures.items()}
        self._names = [f"{name}/{member}" for name in names for member in range(group)]
        batch = super()._generate_and_score_completions(self._rows([row for row in wanted for _ in range(group)]))
        self._names = None
        # the figures tell of the prompts drawn first: those in their places were chosen, and idle ones are nothing
        before["num_tokens"] = figures["num_tokens"]
        figures.clear()
        figures.update(before)
        return batch

    def _row_names(self, rows: int) -> list[str]:
        # why: a refill's rows need random numbers of their own, the same on any number of ranks
        return self._names or super()._row_names(rows)

    def _tell(self, batch: dict[str, Any], window: int, prompts: Sequence[Prompt]) -> None:
        """The window's figures into the log, its line into schedule.jsonl."""
        size, floor = self.pool.size, self.pool.mixing.floor
        classes = [why(rate, floor) for rate in self.standing.rates]
        spread = self.accelerator.gather(self._has_spread(batch["advantages"]).float().mean()).mean()
        figures = self._metrics["train"]
        figures["rollouts"] = [self.standing.rollouts]
        figures["mixing/refilled"].append((len(prompts) - size) / size)
        figures["mixing/with_spread"].append(spread.item())
        figures["mixing/solved"].append(classes.count("replay") / len(classes))
        figures["mixing/never_solved"].append(classes.count("floor") / len(classes))
        if self.is_world_process_zero():
            step = first_step(window, self._window_steps, self.args.gradient_accumulation_steps)
            self._note(Window(window=window, step=step, rollouts=self.standing.rollouts, prompts=tuple(prompts)))

    def _note(self, window: Window) -> None:
        if window.window == 1:
            cut_back(self._notes, 0)
        with self._notes.open("a", encoding="utf-8") as file:
            file.write(window.line)
            file.flush()
            os.fsync(file.fileno())
