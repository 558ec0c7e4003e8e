"""Stage 1: learn the completions of reasoning.jsonl with TRL's SFTTrainer. Only the completion is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morerl.errors import ConfigError, DataError
from morerl.jsonl import read_records
from morerl.mixing.tempered import repeats
from morerl.models.chats import check_end
from morerl.models.load import Processing, load_processing
from morerl.models.tiny import build_tiny
from morerl.prompts.render import render, render_gold
from morerl.runs import reasoning_files
from morerl.schema import Reasoning, Sample
from morerl.settings import Settings
from morerl.tasks import Tasks, load_tasks
from morerl.training.arguments import trainer_arguments
from morerl.training.checkpoint import commit, prepare
from morerl.training.rows import fitting, make_dataset
from morerl.training.stage import Inputs, Listener, begin_training, load_for_training, read_inputs, train_to_end
from morerl.training.tracking import tracked

if TYPE_CHECKING:
    from trl import SFTConfig


def run_sft(settings: Settings, *, listener: Listener = lambda done, total, figures: None) -> dict[str, Any]:
    """Trains <run.dir>/sft/model; returns {"steps", "dev", "seconds"}. A finished stage returns at once.

    Raises ConfigError, DataError.
    """
    tasks = load_tasks(settings)
    inputs = [*reasoning_files(settings), *tasks.files("train"), *tasks.files("dev"), *tasks.guidelines()]
    done = begin_training(settings, "sft", inputs)
    if done is not None:
        return done
    with tracked(settings, "sft"):
        return _train(settings, listener)


def _train(settings: Settings, listener: Listener) -> dict[str, Any]:
    from trl import SFTConfig

    from morerl.training.hooks import ResumableSFTTrainer

    inputs = read_inputs(settings)
    completions = read_completions(reasoning_files(settings), inputs, bare=settings.sft.labels_only)
    start = settings.model.path or _tiny(settings, inputs, completions)
    folder = settings.run.dir / "sft"
    chosen = [inputs.train[id_] for id_ in completions]
    fit = fitting(chosen, inputs.tasks, settings, load_processing(start), folder)
    samples, prompt_lengths = _tempered(*fit, inputs.tasks, settings)
    arguments = trainer_arguments(SFTConfig, settings.sft.trainer, folder, settings, settings.sft.dev, max_length=None)
    model, processing, peft = load_for_training(start, settings)
    check_end(processing, model.generation_config.eos_token_id)
    _check_apart(arguments, processing)
    dataset = make_dataset(
        samples,
        inputs.tasks,
        settings,
        processing,
        lambda sample: {"completion": [{"role": "assistant", "content": completions[sample.id]}]},
    )
    learnt = processing.tokenizer([completions[sample.id] for sample in samples])["input_ids"]
    trainer = ResumableSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        processing_class=processing.reader,
        lengths=[n + len(ids) for n, ids in zip(prompt_lengths, learnt, strict=True)],
        **peft,
    )
    return train_to_end(trainer, inputs, settings, "sft", settings.sft.dev, processing, listener)


def _check_apart(arguments: SFTConfig, processing: Processing) -> None:
    """Raises ConfigError where rows would see each other: a VL's own positions hide from its mask where one begins."""
    for name in ("packing", "padding_free"):
        if getattr(arguments, name) and processing.takes_pictures:
            raise ConfigError(
                f"sft.trainer.{name}: a model that reads pictures would take several rows for one; leave it out"
            )


def read_completions(paths: Sequence[Path], inputs: Inputs, *, bare: bool) -> dict[str, str]:
    """Sample id -> the completion to learn. Raises DataError for an id not in train, and for a file without chains."""
    completions = {}
    for path in paths:
        rows = list(read_records(path, Reasoning))
        if not rows:
            raise DataError(f"{path} holds no reasoning")
        for row in rows:
            sample = inputs.train.get(row.id)
            if sample is None:
                raise DataError(
                    f"{path}: {row.id!r} is not in the train split{inputs.tasks.limited}; only train samples may be "
                    "learnt from"
                )
            completions[row.id] = _bare(sample) if bare else row.completion
    return completions


def _tempered(
    samples: list[Sample], lengths: list[int], tasks: Tasks, settings: Settings
) -> tuple[list[Sample], list[int]]:
    """The samples and their lengths, those of small corpora repeated as data.temperature says."""
    ids = {name: [sample.id for sample in group] for name, group in tasks.by_corpus(samples).items()}
    times = repeats(ids, settings.data.temperature, seed=settings.run.seed)
    rows = [row for row, sample in enumerate(samples) for _ in range(times[sample.id])]
    return [samples[row] for row in rows], [lengths[row] for row in rows]


def _bare(sample: Sample) -> str:
    if sample.gold is None:
        raise DataError(f"{sample.id} has no gold label")
    return render_gold(sample)


def _tiny(settings: Settings, inputs: Inputs, completions: dict[str, str]) -> Path:
    """The embedded model, built once a run from the train split's own words; whole or not there."""
    from accelerate import PartialState

    out = settings.run.dir / "tiny"
    with PartialState().main_process_first():
        if not out.is_dir():
            new = prepare(out)
            build_tiny(new, _words(settings, inputs, completions), settings.model.tiny, seed=settings.run.seed)
            commit(out)
    return out


def _words(settings: Settings, inputs: Inputs, completions: dict[str, str]) -> Iterator[str]:
    for sample in inputs.train.values():
        prompt = render(sample, inputs.tasks.spec(sample), settings.prompt, settings.images)[0]["content"][-1]["text"]
        yield f"system\nYou are a helpful assistant.\nuser\n{prompt}\nassistant\n"
    yield from completions.values()
