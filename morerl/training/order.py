"""What a mixing strategy is to the trainer: its class, its windows, what it watches. Writes a fixed schedule.jsonl."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from morerl.errors import ConfigError
from morerl.grpo_settings import MixingSettings
from morerl.mixing.adaptive import Pool, start
from morerl.mixing.lines import Prompt, Window, first_step, write_windows
from morerl.mixing.schedule import Slot, schedule, windows
from morerl.mixing.tempered import ratios, repeats
from morerl.prompts.parse import parse
from morerl.prompts.render import picture_count
from morerl.schema import Rated, Sample
from morerl.scoring import is_right
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.tasks import Tasks

log = logging.getLogger(__name__)
Reward = Callable[..., list[float]]


class Order(NamedTuple):
    """What grpo.mixing asks of the trainer."""

    trainer: type[Any]
    options: dict[str, Any]
    watched: list[Reward]  # reward functions of weight 0


def plan_order(
    samples: list[Sample], ratings: dict[str, Rated], settings: Settings, arguments: Any, tasks: Tasks
) -> Order:
    """The order of `samples`, which are the trainer's rows; a fixed one is written to <run.dir>/schedule.jsonl,
    as far as the run goes or farther.

    Samples of small corpora come more often, as data.temperature says: in a fixed order by repeats, in adaptive by the
    weight of their draw. adaptive has as many windows as progressive would have. Raises DataError if nothing is hard.
    """
    from morerl.training.adaptive import AdaptiveGRPOTrainer
    from morerl.training.trainer import ScheduledGRPOTrainer

    mixing, notes = settings.grpo.mixing, settings.run.dir / "schedule.jsonl"
    size = arguments.generation_batch_size // arguments.num_generations
    cut = cut_windows(samples, ratings, settings, size, tasks)
    if mixing.strategy != "adaptive":
        cut = _as_many_as_train(cut, mixing.epochs, arguments)
        write_windows(notes, _lines(cut, ratings, mixing.hard_below, arguments))
        rows = {sample.id: row for row, sample in enumerate(samples)}
        return Order(ScheduledGRPOTrainer, {"windows": [[rows[slot.id] for slot in one] for one in cut]}, [])
    _check_refills(mixing, arguments)
    ratio = ratios({name: len(group) for name, group in tasks.by_corpus(samples).items()}, settings.data.temperature)
    pool = Pool(
        ids=[sample.id for sample in samples],
        pictures=[picture_count(sample, settings.images) > 0 for sample in samples],
        ratios=[ratio[tasks.name(sample)] for sample in samples],
        mixing=mixing,
        size=size,
        seed=settings.run.seed,
    )
    standing = start([ratings[sample.id] for sample in samples])
    options = {"windows": [[0] * size] * len(cut), "pool": pool, "standing": standing, "notes": notes}
    return Order(AdaptiveGRPOTrainer, options, [solved_function(tasks)])


def _check_refills(mixing: MixingSettings, arguments: Any) -> None:
    """Raises ConfigError where advantages are scaled by all that is scored at once: a refill is scored by itself."""
    scaled = {"scale_rewards": "batch", "multi_objective_aggregation": "normalize_then_sum"}
    for name, value in scaled.items():
        if mixing.refill and getattr(arguments, name) == value:
            raise ConfigError(f"trainer.{name}: {value} scales refills otherwise: take another or grpo.mixing.refill=0")


def cut_windows(
    samples: list[Sample], ratings: dict[str, Rated], settings: Settings, size: int, tasks: Tasks
) -> list[list[Slot]]:
    """The windows of a fixed order, of `size` samples each. Raises DataError if nothing is hard."""
    seed = settings.run.seed
    has_picture = {sample.id: picture_count(sample, settings.images) > 0 for sample in samples}
    ids = {name: [sample.id for sample in group] for name, group in tasks.by_corpus(samples).items()}
    times = repeats(ids, settings.data.temperature, seed=seed)
    rated = [ratings[sample.id] for sample in samples for _ in range(times[sample.id])]
    epochs = schedule(rated, settings.grpo.mixing, seed=seed)
    return windows(epochs, size, has_picture.__getitem__, seed=seed)


def windows_trained(arguments: Any) -> int | None:
    """How many windows `max_steps` optimizer steps train, the last perhaps in part; None: all that there are."""
    if arguments.max_steps <= 0:
        return None
    micro_steps = arguments.num_iterations * arguments.steps_per_generation
    return math.ceil(arguments.max_steps * arguments.gradient_accumulation_steps / micro_steps)


def _as_many_as_train(cut: list[list[Slot]], epochs: int, arguments: Any) -> list[list[Slot]]:
    """The windows over again, as further epochs, where trainer.max_steps asks for more than they are."""
    wanted = windows_trained(arguments) or len(cut)
    if wanted > len(cut) and arguments.process_index == 0:
        log.warning(
            "grpo.trainer.max_steps = %d trains on %d windows, and grpo.mixing.epochs gives %d: they begin anew, with "
            "the first epoch's share of easy samples; set grpo.mixing.epochs, or leave max_steps out",
            arguments.max_steps, wanted, len(cut),
        )  # fmt: skip
    turns = (divmod(number, len(cut)) for number in range(max(wanted, len(cut))))
    return [
        [slot.model_copy(update={"epoch": slot.epoch + turn * epochs}) for slot in cut[number]]
        for turn, number in turns
    ]


def _lines(cut: list[list[Slot]], ratings: dict[str, Rated], hard_below: float, arguments: Any) -> Iterator[Window]:
    micro_steps = arguments.num_iterations * arguments.steps_per_generation

    def prompt(slot: Slot) -> Prompt:
        rate = ratings[slot.id].pass_rate
        why = "fill" if slot.fill else "hard" if rate < hard_below else "easy"
        return Prompt(id=slot.id, pass_rate=rate, why=why, epoch=slot.epoch)

    for number, window in enumerate(cut, 1):
        yield Window(
            window=number,
            step=first_step(number, micro_steps, arguments.gradient_accumulation_steps),
            rollouts=number * arguments.generation_batch_size,
            prompts=tuple(map(prompt, window)),
        )


def solved_function(tasks: Tasks) -> Reward:
    """Which completions are right, by the rule that made rated.jsonl: the difficulty that adaptive follows."""

    def right(text: str, asked: Sample, spec: TaskSpec) -> float:
        return float(is_right(asked, parse(text, spec, asked).answer, spec))

    def solved(completions: list[Any], sample: list[str], **kwargs: Any) -> list[float]:
        pairs = zip(completions, map(Sample.model_validate_json, sample), strict=True)
        return [right(one[0]["content"], asked, tasks.spec(asked)) for one, asked in pairs]

    return solved
