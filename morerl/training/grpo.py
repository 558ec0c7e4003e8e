"""Stage 2: GRPO with verifiable rewards on a scheduled mix of easy and hard samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from morerl.errors import DataError
from morerl.jsonl import read_records
from morerl.prompts.render import steps_of
from morerl.rewards import Case, Weighed, check_rewards, compose, judge, terms_of
from morerl.runs import model_marks
from morerl.schema import Rated, Sample, Task
from morerl.settings import Settings
from morerl.tasks import ALONE, Tasks, load_tasks
from morerl.training.arguments import trainer_arguments
from morerl.training.callbacks import RewardStages
from morerl.training.order import plan_order
from morerl.training.rows import fitting, make_dataset
from morerl.training.stage import Listener, begin_training, load_for_training, read_inputs, start_model, train_to_end
from morerl.training.tracking import tracked

log = logging.getLogger(__name__)


def run_grpo(settings: Settings, *, listener: Listener = lambda done, total, figures: None) -> dict[str, Any]:
    """Trains <run.dir>/grpo/model; returns {"steps", "dev", "seconds"}. A finished stage returns at once.

    Raises ConfigError, DataError.
    """
    tasks = load_tasks(settings)
    check_rewards(settings.grpo, dict.fromkeys(tasks.corpora, ()))
    rated = settings.grpo.rated or settings.run.dir / "rated.jsonl"
    start = start_model(settings.grpo.model, settings.run.dir / "sft" / "model", "grpo.model")
    inputs = [rated, *tasks.files("train"), *tasks.files("dev"), *tasks.guidelines(), *model_marks(start)]
    done = begin_training(settings, "grpo", inputs)
    if done is not None:
        return done
    with tracked(settings, "grpo"):
        return _train(settings, rated, start, listener)


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
    ratings = read_ratings(rated, inputs.train, inputs.tasks.limited)
    model, processing, peft = load_for_training(start, settings)
    samples, lengths = fitting([inputs.train[id_] for id_ in ratings], inputs.tasks, settings, processing, folder)
    check_rewards(settings.grpo, asked_of(inputs.tasks, samples))
    order = plan_order(samples, ratings, settings, arguments, inputs.tasks)
    rewards, weights = reward_functions(settings, inputs.tasks)
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
            inputs.tasks,
            settings,
            processing,
            lambda sample: {"sample": sample.model_dump_json()},
            kept=arguments.generation_batch_size // arguments.num_generations,
        ),
        **peft,
    )
    if settings.grpo.second_stage is not None:
        trainer.add_callback(RewardStages(trainer, settings.grpo, parts_of(settings, inputs.tasks).values()))
    return train_to_end(trainer, inputs, settings, "grpo", settings.grpo.dev, processing, listener)


def read_ratings(rated: Path, train: Container[str], limited: str = "") -> dict[str, Rated]:
    """Id -> rating, in the order of the file. Raises DataError for an id not in `train` or twice, and for no line."""
    ratings: dict[str, Rated] = {}
    for row in read_records(rated, Rated):
        if row.id not in train:
            raise DataError(f"{rated}: {row.id!r} is not in the train split{limited}")
        if row.id in ratings:
            raise DataError(f"{rated}: {row.id!r} is rated twice; leave one line of it")
        ratings[row.id] = row
    if not ratings:
        raise DataError(f"{rated} rates no sample; `morerl rate` writes it")
    return ratings


def asked_of(tasks: Tasks, samples: Iterable[Sample]) -> dict[str, set[Task]]:
    """Corpus -> the tasks that its samples ask."""
    return {name: {sample.task for sample in group} for name, group in tasks.by_corpus(samples).items()}


def parts_of(settings: Settings, tasks: Tasks) -> dict[str, Weighed]:
    """Every part by the name it is logged by: of one corpus its own, of several corpus/part."""
    each = {corpus: compose(settings.grpo, corpus) for corpus in tasks.corpora}
    return {_logged(corpus, name): part for corpus, parts in each.items() for name, part in parts.items()}


def _logged(corpus: str, part: str) -> str:
    return part if corpus == ALONE else f"{corpus}/{part}"


def reward_functions(settings: Settings, tasks: Tasks) -> tuple[list[Callable[..., list[float | None]]], list[float]]:
    """TRL reward callables, named as they are logged, and their weights from the second stage on (or all along).

    A part says nothing (None) of other corpora's samples and of tasks it is not for.
    """
    parts = {corpus: compose(settings.grpo, corpus) for corpus in tasks.corpora}
    read = lru_cache(maxsize=64)(Sample.model_validate_json)  # a group's rows are one sample
    terms = cache(partial(terms_of, settings.grpo))

    def earned(text: str, sample: Sample, tokens: int) -> dict[str, float | None]:
        corpus, told = tasks.name(sample), terms(steps_of(sample, settings.prompt))
        case = Case(completion=text, sample=sample, spec=tasks.spec(sample), terms=told, tokens=tokens)
        return {_logged(corpus, name): value for name, value in judge(case, parts[corpus]).items()}

    # TRL asks part by part, each time for the same batch, which is read once
    @lru_cache(maxsize=1)
    def rows(
        texts: tuple[str, ...], samples: tuple[str, ...], tokens: tuple[int, ...]
    ) -> list[dict[str, float | None]]:
        return [earned(*one) for one in zip(texts, map(read, samples), tokens, strict=True)]

    weighed = parts_of(settings, tasks)
    return [_column(name, rows) for name in weighed], [part.second for part in weighed.values()]


def _column(name: str, rows: Callable[..., list[dict[str, float | None]]]) -> Callable[..., list[float | None]]:
    def function(
        completions: list[Any], completion_ids: list[Any], sample: list[str], **kwargs: Any
    ) -> list[float | None]:
        texts = tuple(completion[0]["content"] for completion in completions)
        return [one.get(name) for one in rows(texts, tuple(sample), tuple(map(len, completion_ids)))]

    function.__name__ = name
    return function
