"""`morerl check --dry-run`: every stage for real, two steps each, with the embedded model on a few of a run's samples.

It finds what no look at the settings can: LoRA modules that match nothing, options that TRL takes and then fails on,
a prompt, reward or order that does not run on these data, ranks that wait for each other. Left out on purpose: the
model of the run itself, vLLM, trackers, and the teacher, whose chains are the gold answers here. The model is a
Qwen2.5-VL, and LoRA's target modules are looked for under its names.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from morerl.errors import ConfigError
from morerl.inference import run_predict, run_rate, score_run
from morerl.jsonl import write_json, write_records
from morerl.prompts.render import render_gold, template_of
from morerl.schema import Reasoning, Sample
from morerl.sections import DevSettings
from morerl.settings import GenerateSettings, PredictSettings, RateSettings, Settings, SftSettings, TinySettings

FOLDER = "dry-run"
MARK = "dry-run.json"  # tells a folder of ours from anybody else's
STEPS = 2
SAMPLES = 16  # of every split of a corpus
TOKENS = 16  # of a completion
GROUP = 2  # rollouts a prompt: fewer have no spread
ROWS = 2  # a micro-batch; of GRPO's, one prompt
LONG = 32_768  # tokens: the narrow tokenizer cuts prompts finer than the run's own, which the check has measured
PIXELS = {"full_pixels": 3072, "crop_pixels": 1024, "min_side": 16}
SHAPE = TinySettings(
    vocab_size=2048,
    hidden_size=32,
    layers=2,
    heads=2,
    intermediate_size=64,
    vision_hidden_size=32,
    vision_layers=1,
)
QUIET = {"report_to": "none", "push_to_hub": False, "logging_steps": 1, "logging_strategy": "steps"}
BOTH = {**QUIET, "max_steps": STEPS, "save_steps": STEPS, "per_device_train_batch_size": ROWS}
AT_MOST = {"gradient_accumulation_steps": 2, "steps_per_generation": 2, "num_iterations": 2}
NOT_HERE = ("generation_batch_size", "num_generations_eval", "use_vllm", "per_device_eval_batch_size")


def run_dry(settings: Settings) -> Iterator[str]:
    """Trains, rates, trains on, predicts and scores in <run.dir>/dry-run, which is gone afterwards; a line a stage.

    On several ranks the first makes and removes the folder, and alone rates and predicts. What a kill leaves there, the
    next dry run removes. Raises ConfigError where the folder holds something else and for what a library refuses,
    and MorerlError as the stages do.
    """
    from morerl.training.grpo import run_grpo
    from morerl.training.sft import run_sft
    from morerl.training.stage import read_inputs

    started, small = time.perf_counter(), shrunk(settings)
    with _own_folder(small.run.dir) as first:
        with _explained("SFT"):
            if first:
                write_records(small.run.dir / "reasoning.jsonl", gold_chains(read_inputs(small).train.values(), small))
            _wait()
            steps = run_sft(small)["steps"]
        yield f"dry run: SFT {steps} steps, loss {_course(small, 'sft', 'loss')}"
        rated = run_rate(small) if first else {}
        _wait()
        if first:
            yield f"dry run: rated {rated['rated']} samples, {rated['easy']} easy, {rated['hard']} hard"
        with _explained("GRPO"):
            steps = run_grpo(small)["steps"]
        yield f"dry run: GRPO {steps} steps, reward {_course(small, 'grpo', 'reward')} ({_parts(small)})"
        if first:
            run_predict(small)
            scored = [metrics for _, metrics in score_run(small, draws=0)]
            figures = ", ".join(f"{one.primary['name']} {one.primary['value']:.2f}" for one in scored)
            answered, took = sum(one.n for one in scored), time.perf_counter() - started
            yield f"dry run: predicted {answered} of {small.predict.split}, {figures}; {took:.0f} s in all"


def shrunk(settings: Settings) -> Settings:
    """The same run, small: tiny model, few samples, steps and tokens, in a folder of its own. Nothing is read.

    Kept are prompts, views, LoRA, freeze_vision, rewards, mixing and every option of TRL that is no size.
    """
    folder = settings.run.dir / FOLDER
    data, images, generate = settings.data, settings.images, settings.generate
    model = {"path": None, "tiny": SHAPE}
    attention = "eager" if settings.model.attention == "eager" else "sdpa"
    parts: dict[str, Any] = {
        "run": settings.run.model_copy(update={"dir": folder}),
        "data": data.model_copy(update={"limit": min(SAMPLES, data.limit or SAMPLES), "max_prompt_tokens": LONG}),
        "images": images.model_copy(update={name: min(most, getattr(images, name)) for name, most in PIXELS.items()}),
        "model": settings.model.model_copy(update={**model, "attention": attention}),
        "generate": generate.model_copy(update=_short(generate)),
        "sft": _shrunk_sft(settings.sft),
        "rate": _shrunk_rate(settings.rate),
        "grpo": _shrunk_grpo(settings, folder),
        "predict": PredictSettings(split="dev"),
    }
    return settings.model_copy(update=parts)


def _short(generate: GenerateSettings) -> dict[str, int]:
    return {"max_new_tokens": min(TOKENS, generate.max_new_tokens), "batch_size": 8, "n": min(GROUP, generate.n)}


def _shrunk_sft(sft: SftSettings) -> SftSettings:
    return sft.model_copy(update={"reasoning": None, "dev": _dev(), "trainer": _options(sft.trainer, BOTH)})


def _shrunk_rate(rate: RateSettings) -> RateSettings:
    return rate.model_copy(update={"model": None, "n": min(GROUP, rate.n), "limit": None})


def _shrunk_grpo(settings: Settings, folder: Path) -> Any:
    grpo = settings.grpo
    fixed = {"num_generations": GROUP, "max_completion_length": TOKENS, "log_completions": False}
    changed = {
        "model": None if grpo.model is None else str(folder / "tiny"),  # trained from a base model: so it is here
        "rated": None,
        "length_threshold": min(TOKENS, grpo.length_threshold),
        "second_stage": None if grpo.second_stage is None else 1 / STEPS,
        "dev": _dev(),
        "trainer": _options(grpo.trainer, {**BOTH, **fixed}),
    }
    return grpo.model_copy(update=changed)


def _dev() -> DevSettings:
    return DevSettings(every_steps=STEPS, limit=2)


def _options(trainer: dict[str, Any], fixed: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in trainer.items() if name not in NOT_HERE}
    return {**kept, **{name: min(most, kept[name]) for name, most in AT_MOST.items() if kept.get(name)}, **fixed}


def gold_chains(samples: Any, settings: Settings) -> list[Reasoning]:
    """Every other sample that has a gold answer, with that answer as its chain; the others are left to be rated."""
    labelled: list[Sample] = [sample for sample in samples if sample.gold is not None]
    return [
        Reasoning(
            id=sample.id,
            completion=render_gold(sample, template_of(sample, settings.prompt)),
            model="gold",
            prompt_hash="",
        )
        for sample in labelled[::2]
    ]


@contextmanager
def _own_folder(folder: Path) -> Iterator[bool]:
    """A fresh folder that is removed in the end, and whether this rank is the first. Raises ConfigError."""
    from accelerate import PartialState

    first = PartialState().is_main_process
    parents = [one for one in folder.parents if not one.exists()]
    if first:
        _make(folder)
    _wait()
    try:
        yield first
        _wait()
    finally:
        if first:
            _remove(folder)
            with suppress(OSError):  # not empty: somebody else's by now
                for one in parents:
                    one.rmdir()


def _wait() -> None:
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def _make(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not _is_ours(folder)):
        raise ConfigError(
            f"{folder} was not made by a dry run, which would remove it: move it away, or choose another run.dir"
        )
    if folder.exists():
        _remove(folder)
    folder.mkdir(parents=True)
    write_json(folder / MARK, {"made_by": "morerl check --dry-run"})


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def _remove(folder: Path) -> None:
    """The mark goes last, so that what a kill leaves is known as ours."""
    for path in folder.iterdir():
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(folder)


@contextmanager
def _explained(stage: str) -> Iterator[None]:
    """What a library refuses is a mistake in the settings here, and said as one."""
    try:
        yield
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"dry run, {stage}: {error}") from error


def _course(small: Settings, stage: str, figure: str) -> str:
    """A logged figure at the first and at the last step."""
    values = [line[figure] for line in _log(small, stage) if figure in line]
    return f"{values[0]:.2f} -> {values[-1]:.2f}" if values else "not logged"


def _parts(small: Settings) -> str:
    names = [name for line in _log(small, "grpo") for name in line if name.startswith("rewards/")]
    return ", ".join(dict.fromkeys(name.removeprefix("rewards/").rpartition("/")[0] for name in names))


def _log(small: Settings, stage: str) -> list[dict[str, Any]]:
    text = (small.run.dir / stage / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
