"""`morerl check`: what can be known to be wrong before it costs anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from morerl.corpora.shared import seen, shared
from morerl.errors import DataError, ImageError
from morerl.images import open_image
from morerl.jsonl import read_records
from morerl.prompts.parse import parse
from morerl.prompts.render import render, render_gold, template_of
from morerl.rewards import Terms, check_rewards, reward
from morerl.runs import how_to_make, reasoning_files
from morerl.schema import Metrics, Rated, Sample
from morerl.scoring import Tally
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.tasks import ALONE, Corpus, Tasks, load_tasks

if TYPE_CHECKING:
    from trl import GRPOConfig


def run_check(settings: Settings) -> Iterator[str]:
    """One line for each thing that is in order.

    Raises MorerlError at the first that is not: unknown settings of TRL or PEFT, an unreachable
    reward, a missing or inconsistent file, a gold answer that does not come back through render,
    parse, reward and score, a picture that cannot be used, prompts too long.
    """
    tasks = load_tasks(settings)
    for name, corpus in tasks.corpora.items():
        yield _of(name, _guidelines(corpus))
    arguments = _trainers(settings, tasks)
    yield _described(arguments)
    splits = {split: tasks.read(split) for split in ("train", "dev", "test")}
    _check_disjoint(splits)
    each = {split: tasks.by_corpus(samples) for split, samples in splits.items()}
    yield from _check_schedule(settings, tasks, splits["train"], arguments)
    yield from _check_reasoning(settings)
    check_rewards(settings.grpo, {name: {one.task for one in samples} for name, samples in each["train"].items()})
    for name, corpus in tasks.corpora.items():
        own = {split: of_split[name] for split, of_split in each.items()}
        for split, samples in own.items():
            found = _check_gold(_of(name, split), samples, corpus.spec, settings)
            yield _of(name, f"{split}: {len(samples)} samples, {found}")
        for both in shared({split: seen(samples) for split, samples in own.items()}):
            yield from (_of(name, f"advice: {line}") for line in both.advice())
        yield _of(name, _check_pictures([one for samples in own.values() for one in samples], corpus))
        yield _of(name, _check_lengths(each["train"][name], tasks, settings))


def _of(name: str, line: str) -> str:
    return line if name == ALONE else f"{name}: {line}"


def _guidelines(corpus: Corpus) -> str:
    spec = corpus.spec
    size = f"{len(spec.answers)} answers" if spec.none else f"{len(spec.types)} types, {len(spec.labels)} relations"
    return f"guidelines {corpus.guidelines}: {size}, scored by the {spec.protocol} protocol"


def _trainers(settings: Settings, tasks: Tasks) -> GRPOConfig:
    """GRPO's, both being such as TRL accepts."""
    from trl import GRPOConfig, SFTConfig

    from morerl.models.load import lora_config
    from morerl.training.arguments import trainer_arguments

    check_rewards(settings.grpo, dict.fromkeys(tasks.corpora, ()))
    lora_config(settings.model)
    trainer_arguments(SFTConfig, settings.sft.trainer, settings.run.dir / "sft", settings, settings.sft.dev)
    return trainer_arguments(GRPOConfig, settings.grpo.trainer, settings.run.dir / "grpo", settings, settings.grpo.dev)


def _described(grpo: GRPOConfig) -> str:
    from morerl.training.prefix import why_stock_settings

    prompts, reason = grpo.generation_batch_size // grpo.num_generations, why_stock_settings(grpo)
    how = "once for all its rollouts" if reason is None else f"for each of its rollouts: {reason}"
    window = f"a window is {prompts} prompts x {grpo.num_generations} rollouts"
    return f"trainers: TRL accepts the settings; {window}, a prompt computed {how}"


def _check_schedule(settings: Settings, tasks: Tasks, samples: list[Sample], arguments: GRPOConfig) -> Iterator[str]:
    """A line where grpo.trainer.max_steps has the last word on how much is trained.

    Prompts that are too long still count: what GRPO leaves out of them makes the schedule shorter.
    """
    from morerl.training.order import cut_windows, windows_trained

    trained, path = windows_trained(arguments), settings.grpo.rated or settings.run.dir / "rated.jsonl"
    if trained is None:
        return
    size = arguments.generation_batch_size // arguments.num_generations
    what = f"grpo.trainer.max_steps = {arguments.max_steps} trains {trained} windows, {trained * size} prompts"
    if not path.is_file():
        yield f"schedule: {what}; how many windows it has is known when {path} is there (`morerl rate`)"
        return
    ratings = {row.id: row for row in read_records(path, Rated)}
    rated = [sample for sample in samples if sample.id in ratings]
    has = len(cut_windows(rated, ratings, settings, size, tasks))
    if has != trained:
        verdict = "the rest is never trained" if trained < has else "goes on beyond its end"
        yield f"advice: the schedule has {has} windows, and {what}: {verdict}; without max_steps each is trained once"


def _check_reasoning(settings: Settings) -> Iterator[str]:
    missing = [path for path in reasoning_files(settings) if not path.is_file()]
    if missing:
        files, verb = ", ".join(map(str, missing)), "are" if len(missing) > 1 else "is"
        yield f"advice: `morerl sft` needs {files}, which {verb} not there: {how_to_make(missing[0])}"


def _check_disjoint(splits: dict[str, list[Sample]]) -> None:
    seen = Counter(sample.id for samples in splits.values() for sample in samples)
    twice = [id_ for id_, count in seen.items() if count > 1]
    if twice:
        raise DataError(f"{len(twice)} sample ids occur in more than one split, e.g. {twice[0]!r}")


def _check_gold(name: str, samples: list[Sample], spec: TaskSpec, settings: Settings) -> str:
    """Gold through render, parse, reward and score must be all right."""
    labelled = [sample for sample in samples if sample.gold is not None]
    if name.endswith("dev") and len(labelled) < len(samples):
        bare = next(sample.id for sample in samples if sample.gold is None)
        raise DataError(f"{name}: {bare} has no gold answer, so that no checkpoint can be chosen by dev: leave it out")
    if not labelled:
        return "no gold labels"
    tally = Tally(spec)
    for sample in labelled:
        render(sample, spec, settings.prompt, settings.images)
        text = render_gold(sample, template_of(sample, settings.prompt))
        parsed = parse(text, spec, sample)
        if parsed.problems or reward("answer", text, sample, spec, Terms(length_threshold=0)) != 1.0:
            reason = ", ".join(parsed.problems) or "it comes back different"
            gold = sample.gold.model_dump_json()[:200] if sample.gold else ""
            raise DataError(f"{name}: {sample.id}: the gold answer {gold} is no answer of the guidelines: {reason}")
        tally.add(sample, [parsed.answer])
    metrics = tally.metrics(draws=0)
    return f"gold comes back with {metrics.primary['name']} {metrics.primary['value']:.2f}; {_share(metrics, spec)}"


def _share(metrics: Metrics, spec: TaskSpec) -> str:
    """What majority there is to beat, or how much there is to find."""
    if spec.none is not None:
        return f"{100 * metrics.per_label[spec.none]['gold'] / metrics.n:.1f} % {spec.none}"
    entities = sum(metrics.per_label[name]["gold"] for name in spec.types)
    relations = sum(metrics.per_label[label.name]["gold"] for label in spec.labels)
    return f"{entities:.0f} entities, {relations:.0f} relations"


def _check_pictures(samples: list[Sample], corpus: Corpus) -> str:
    names = {sample.image: sample.id for sample in samples if sample.image is not None}
    if not names:
        return "pictures: none, a text-only corpus"
    root = corpus.image_root
    if root is None:
        one = next(iter(names.values()))
        raise DataError(f"{len(names)} pictures are named, e.g. by {one}, but data.image_root is not set")
    problems = [problem for name, id_ in names.items() if (problem := _picture_problem(root, name, id_))]
    if problems:
        raise DataError(f"{len(problems)} of {len(names)} pictures cannot be used:\n  " + "\n  ".join(problems[:10]))
    return f"pictures: {len(names)} under {root}, every one opens"


def _picture_problem(root: Path, name: str, id_: str) -> str | None:
    try:
        open_image(root, name)
    except ImageError as error:
        return f"{id_}: {error} [{error.reason}]"
    return None


def _check_lengths(samples: list[Sample], tasks: Tasks, settings: Settings) -> str:
    """Prompt lengths in tokens, pictures included, with the run's own processor where it is on this machine."""
    from morerl.errors import ConfigError
    from morerl.models.load import load_processing
    from morerl.training.rows import prompt_tokens

    path = settings.model.path or str(settings.run.dir / "tiny")
    if settings.model.path is None and not Path(path).is_dir():
        return f"prompt lengths: not counted; the embedded model is built by `morerl sft`, into {path}"
    try:
        processing = load_processing(path)
    except ConfigError as error:
        if settings.model.path is not None and Path(settings.model.path).is_dir():
            raise
        return f"prompt lengths: not counted ({error})"
    lengths = sorted(prompt_tokens(sample, tasks, settings, processing) for sample in samples[:500])
    cap = settings.data.max_prompt_tokens
    over = sum(length > cap for length in lengths)
    if over == len(lengths):
        raise DataError(f"every prompt is longer than data.max_prompt_tokens = {cap} (shortest {lengths[0]})")
    middle, longest = lengths[len(lengths) // 2], lengths[-1]
    return (
        f"prompts: {middle} tokens in the middle, {longest} at most, {over} of {len(lengths)} over the limit of {cap}"
    )
