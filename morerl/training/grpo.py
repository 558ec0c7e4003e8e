"""Stage 2: GRPO with verifiable rewards on a scheduled mix of easy and hard samples."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from morerl.errors import DataError
from morerl.jsonl import read_records
from morerl.prompts.render import steps_of
from morerl.rewards import Terms, check_rewards, reward
from morerl.runs import begin, model_marks
from morerl.schema import Rated, Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.training.arguments import trainer_arguments
from morerl.training.order import plan_order
from morerl.training.rows import fitting, make_dataset
from morerl.training.stage import Listener, load_for_training, read_inputs, start_model, train_to_end

log = logging.getLogger(__name__)


def run_grpo(settings: Settings, *, listener: Listener = lambda done, total, figures: None) -> dict[str, Any]:
    """Trains <run.dir>/grpo/model; returns {"steps", "dev", "seconds"}. A finished stage returns at once.

    Raises ConfigError, DataError.
    """
    check_rewards(settings.grpo)
    rated = settings.grpo.rated or settings.run.dir / "rated.jsonl"
    start = start_model(settings.grpo.model, settings.run.dir / "sft" / "model", "grpo.model")
    data = settings.data.dir
    done = begin(settings, "grpo", [rated, data / "train.jsonl", data / "dev.jsonl", *model_marks(start)])
    return done if done is not None else _train(settings, rated, start, listener)


def _train(settings: Settings, rated: Path, start: Path | str, listener: Listener) -> dict[str, Any]:
    from trl import GRPOConfig

    inputs = read_inputs(settings)
    folder = settings.run.dir / "grpo"
    arguments = trainer_arguments(
        GRPOConfig,
        settings.grpo.trainer,
        folder,
        settings,
        settings.grpo.dev,
        num_train_epochs=1,
        log_multimodal=False,
        top_k=0,
    )
    model, processing, peft = load_for_training(start, settings)
    ratings = {row.id: row for row in read_records(rated, Rated)}
    unknown = next((id_ for id_ in ratings if id_ not in inputs.train), None)
    if unknown is not None:
        raise DataError(f"{rated}: {unknown!r} is not in the train split")
    samples, lengths = fitting([inputs.train[id_] for id_ in ratings], inputs.spec, settings, processing, folder)
    order = plan_order(samples, ratings, settings, arguments, inputs.spec)
    rewards, weights = reward_functions(settings, inputs.spec)
    arguments.reward_weights = weights + [0.0] * len(order.watched)
    trainer = order.trainer(
        model=model,
        args=arguments,
        reward_funcs=rewards + order.watched,
        processing_class=processing.reader,
        **order.options,
        longest_prompt=max(lengths),
        train_dataset=make_dataset(
            samples,
            inputs.spec,
            settings,
            processing,
            lambda sample: {"sample": sample.model_dump_json()},
            kept=arguments.generation_batch_size // arguments.num_generations,
        ),
        **peft,
    )
    return train_to_end(trainer, inputs, settings, "grpo", settings.grpo.dev, processing, listener)


def reward_functions(settings: Settings, spec: TaskSpec) -> tuple[list[Callable[..., list[float]]], list[float]]:
    """TRL reward callables, named as in the settings, and their weights."""
    return [_reward_function(name, spec, settings) for name in settings.grpo.rewards], [*settings.grpo.rewards.values()]


def _reward_function(name: str, spec: TaskSpec, settings: Settings) -> Callable[..., list[float]]:
    def one(completion: str, sample: Sample) -> float:
        terms = Terms(steps=steps_of(sample, settings.prompt), length_threshold=settings.grpo.length_threshold)
        return reward(name, completion, sample, spec, terms)

    def function(completions: list[Any], sample: list[str], **kwargs: Any) -> list[float]:
        samples = map(Sample.model_validate_json, sample)
        return [one(completion[0]["content"], asked) for completion, asked in zip(completions, samples, strict=True)]

    function.__name__ = name
    return function
