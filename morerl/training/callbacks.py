"""What happens beside training: the greedy dev score that chooses the checkpoint, the log, the progress bar."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from morerl.grpo_settings import GrpoSettings
from morerl.jsonl import write_json, write_text
from morerl.models.generate import batches, generate
from morerl.models.load import Processing
from morerl.prompts.parse import parse
from morerl.rewards import Weighed, begins
from morerl.runs import read_json
from morerl.schema import Sample
from morerl.scoring import score
from morerl.sections import DevSettings
from morerl.settings import Settings
from morerl.tasks import ALONE, Tasks
from morerl.training.checkpoint import commit, drop_reference, prepare
from morerl.training.ranks import decodable


class DevScore(TrainerCallback):
    """Scores dev greedily every so many steps, and keeps the best model in <folder>/model.

    The best by the plain mean over the corpora, where there are several.

    Step 0 counts, so that training which only harms leaves its start. Ties keep the earlier model.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        tasks: Tasks,
        settings: Settings,
        dev: DevSettings,
        processing: Processing,
        folder: Path,
    ) -> None:
        self.samples = [sample for group in tasks.by_corpus(samples).values() for sample in group[: dev.limit]]
        self.tasks, self.settings, self.dev, self.processing, self.folder = (
            tasks,
            settings,
            dev,
            processing,
            folder,
        )
        self.trainer: Any = None  # set once the trainer exists
        best = read_json(folder / "model" / "dev.json")
        self.best: float = best["value"] if best else -math.inf

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == 0:
            self._score(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.dev.every_steps == 0 or state.global_step == state.max_steps:
            self._score(state)

    def _score(self, state: TrainerState) -> None:
        measured = self._measure()
        value = fmean(measured.values())
        of_each = {f"dev/{name}": one for name, one in measured.items() if name != ALONE}
        # not trainer.log: GRPO's would hand out its step's figures with this entry and lose them to the next
        figures = {"dev_f1": value, **of_each}
        state.log_history.append({**figures, "step": state.global_step})
        control = self.trainer.control
        step_is_to_be_logged = control.should_log  # the call takes it back
        self.trainer.callback_handler.on_log(self.trainer.args, state, control, figures)
        control.should_log = step_is_to_be_logged
        if value > self.best:
            self.best = value
            self._keep(state.global_step, value)

    def _measure(self) -> dict[str, float]:
        """The primary figure of each corpus's protocol on dev, in per cent; each rank decodes its share of a batch."""
        from accelerate.utils import gather_object

        accelerator = self.trainer.accelerator
        rank, ranks = accelerator.process_index, accelerator.num_processes
        read = []
        with decodable(self.trainer) as model:
            for batch in batches(self.samples, self.settings.generate.batch_size * ranks, self.settings.images):
                # sharded weights are gathered layer by layer by all ranks together: a rank that has nothing
                # to decode, or a text while the others have pictures, would leave them waiting
                mine = [self.samples[row] for row in batch[rank::ranks] or batch[:1]]
                read += zip((s.id for s in mine), self._answers(model, mine), strict=True)
        answers = dict(gather_object(read))
        measured = {}
        for name, samples in self.tasks.by_corpus(self.samples).items():
            metrics = score(samples, [answers[s.id] for s in samples], self.tasks.corpora[name].spec, draws=0)
            measured[name] = float(metrics.primary["value"])
        return measured

    def _answers(self, model: Any, samples: Sequence[Sample]) -> list[Any]:
        texts = generate(
            model,
            self.processing,
            samples,
            self.tasks,
            prompt=self.settings.prompt,
            images=self.settings.images,
            settings=self.settings.generate.model_copy(update={"temperature": 0.0, "n": 1}),
        )
        answered = zip(samples, texts, strict=True)
        return [parse(text[0], self.tasks.spec(sample), sample).answer for sample, text in answered]

    def _keep(self, step: int, value: float) -> None:
        """Every rank saves (sharded weights need all of them); the first one moves the folder into place."""
        target, accelerator = self.folder / "model", self.trainer.accelerator
        aside = target.with_name(f".{target.name}.new")
        if self.trainer.is_world_process_zero():
            prepare(target)
        accelerator.wait_for_everyone()
        self.trainer.save_model(str(aside))
        accelerator.wait_for_everyone()
        if self.trainer.is_world_process_zero():
            drop_reference(aside)
            write_json(aside / "dev.json", {"step": step, "value": value})
            commit(target)
        accelerator.wait_for_everyone()


class LogFile(TrainerCallback):
    """Writes every log entry to <folder>/log.jsonl; a resumed run drops what came after its checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.jsonl"

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            write_text(self.path, (json.dumps(entry) + "\n" for entry in state.log_history))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.log_history:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(state.log_history[-1]) + "\n")


class RewardStages(TrainerCallback):
    """Sets the trainer's reward weights by the step, so that a resumed run has those of an undisturbed one.

    `parts`: those of the trainer's first reward functions, in their order.

    They are read when a window is scored; a window that serves several steps keeps what it was scored with.
    """

    def __init__(self, trainer: Any, settings: GrpoSettings, parts: Iterable[Weighed]) -> None:
        self.trainer, self.settings, self.parts = trainer, settings, list(parts)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        late = state.global_step >= begins(self.settings, state.max_steps)
        weights = [part.second if late else part.first for part in self.parts]
        weights += [0.0] * (len(self.trainer.reward_weights) - len(weights))  # of what is only watched
        self.trainer.reward_weights = self.trainer.reward_weights.new_tensor(weights)


class ProgressBar(TrainerCallback):
    """Tells a listener of each step: (done, total, the figures people watch)."""

    SHOWN = {"loss": "loss", "reward": "reward", "dev_f1": "dev F1", "frac_reward_zero_std": "zero spread"}

    def __init__(self, listener: Callable[[int, int, dict[str, float]], object]) -> None:
        self.listener = listener
        self.figures: dict[str, float] = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._tell(state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.figures |= {short: float(logs[name]) for name, short in self.SHOWN.items() if name in (logs or {})}
        self._tell(state)

    def _tell(self, state: TrainerState) -> None:
        if state.is_world_process_zero:
            self.listener(state.global_step, state.max_steps, self.figures)
