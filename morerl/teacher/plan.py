"""What a run has to do: which samples, in which folder, and what marks its answers as its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from morerl.errors import ConfigError, DataError
from morerl.guidelines import guideline_file
from morerl.jsonl import read_samples
from morerl.models.address import key_for
from morerl.partial import fingerprint
from morerl.prompts.render import STEPS, TEMPLATES, steps_of
from morerl.runs import sha256
from morerl.schema import Sample
from morerl.settings import PriceSettings, Settings
from morerl.task import TaskSpec
from morerl.tasks import Corpus, load_tasks
from morerl.teacher.choose import choose, part, some
from morerl.teacher.strategies import STRATEGIES

OUT = "reasoning.jsonl"
SCENES = "scenes"  # the endpoint that is the drawn world's own teacher


class Options(NamedTuple):
    """How a run is carried out; none of it changes what a whole run writes."""

    limit: int | None = None  # only so many of the chosen samples
    resume: Literal["never", "if-possible", "always"] = "if-possible"
    max_usd: float | None = None  # in all, over every run in this folder
    max_tokens: int | None = None  # likewise, prompts and replies together
    concurrency: int = 16
    shard: tuple[int, int] | None = None  # (I, N): the I-th of N parts, from 1


WHOLE = Options()


class Work(NamedTuple):
    """A run's samples and where it leaves what."""

    spec: TaskSpec
    chosen: list[Sample]  # the whole of it, or of the part
    now: list[Sample]  # those of `chosen` to go through in this run
    inputs: list[Path]
    relevant: dict[str, Any]  # settings that change what is asked or what is kept
    mark: str  # fingerprint of these and the inputs, the same on every machine
    folder: Path
    out: Path

    @property
    def store(self) -> Path:
        return self.folder / "replies.sqlite"


def plan(settings: Settings, options: Options = WHOLE) -> Work:
    """What there is to do. Raises ConfigError, DataError."""
    corpus = load_tasks(settings).only("the teacher")
    path = corpus.file("train")
    if not path.is_file():
        raise DataError(f"{path} is missing; tools/prepare_corpus.py writes it")
    train = read_samples(path, limit=settings.data.limit)
    chosen = choose(train, settings.teach.share, seed=settings.run.seed)
    if not chosen:
        raise ConfigError(f"{path} holds no sample with a gold answer to explain")
    _check_strategy(chosen, settings, options)
    if settings.teach.strategy != "mimic":
        _check_request(settings, options)
    files = _inputs(chosen, corpus, settings)
    relevant = _relevant(settings)
    # where the data lie is no part of the mark: machines that share the work may have them in different places
    hashed = [{**relevant, "data": None}, settings.run.seed, [sha256(path) for path in files]]
    folder = settings.run.dir
    whole = Work(corpus.spec, chosen, chosen, files, relevant, fingerprint(hashed), folder / "teach", folder / OUT)
    work = whole if options.shard is None else part_of(whole, *options.shard)
    return work if options.limit is None else work._replace(now=some(work.chosen, options.limit, settings.run.seed))


def out_of(settings: Settings, shard: tuple[int, int] | None) -> Path:
    """Where the kept chains of a run, or of a part of it, are written."""
    return settings.run.dir / ("" if shard is None else f"teach-{shard[0]}-of-{shard[1]}") / OUT


def part_of(whole: Work, number: int, of: int) -> Work:
    """One machine's part of the work, with a folder of its own."""
    folder = whole.folder.with_name(f"{whole.folder.name}-{number}-of-{of}")
    mine = part(whole.chosen, number, of)
    return whole._replace(chosen=mine, now=mine, folder=folder, out=folder / OUT)


def _check_strategy(chosen: list[Sample], settings: Settings, options: Options) -> None:
    teach = settings.teach
    if teach.strategy == "mimic" and options.shard is not None:
        raise ConfigError("teach.strategy = mimic asks nobody and needs one machine for seconds; leave --shard out")
    strategy = STRATEGIES[teach.strategy]
    for sample in chosen:
        strategy.check(sample)
        taught, learnt = STEPS.get(strategy.template(sample), 0), steps_of(sample, settings.prompt)
        if teach.strategy != "mimic" and taught != learnt:
            raise ConfigError(
                f"{sample.id}: the strategy {teach.strategy} writes {taught} numbered steps, and the prompt of the "
                f"model to be trained asks for {learnt}; choose another prompt.template or teach.strategy"
            )


def check_sending(work: Work, settings: Settings) -> None:
    """Can the endpoint be asked, and the pictures be shown? Raises ConfigError, DataError."""
    if settings.teach.endpoint != SCENES:
        key_for(str(settings.teach.endpoint))
    root = settings.data.image_root
    if any(sample.image for sample in work.chosen) and (root is None or not root.is_dir()):
        raise DataError(f"data.image_root = {root} is no folder, and samples have pictures")


def _check_request(settings: Settings, options: Options) -> None:
    teach = settings.teach
    if ours := sorted({"model", "messages", "n", "stream"} & set(teach.request)):
        raise ConfigError(
            f"teach.request may not hold {', '.join(ours)}: what is asked, and how often, is set elsewhere"
        )
    capped = options.max_usd is not None or options.max_tokens is not None
    if capped and teach.request.get("max_tokens", 0) is None and not teach.request.get("max_completion_tokens"):
        raise ConfigError("a cap needs a limit on what a reply may have: set teach.request.max_completion_tokens")
    if options.max_usd is not None and price_of(settings) is None:
        price = f"{{{teach.model}: {{input: 0.0, output: 0.0}}}}"
        raise ConfigError(f"--max-usd needs a price: teach.prices: {price}, in dollars per million tokens")


def _relevant(settings: Settings) -> dict[str, Any]:
    """Settings that change what a teacher is asked or what is kept; prices and the student's model do not."""
    tree = settings.model_dump(mode="json", include={"data", "images", "prompt", "teach"})
    del tree["teach"]["prices"], tree["data"]["max_prompt_tokens"]
    tree["teach"]["endpoint"] = str(settings.teach.endpoint).rstrip("/")
    return tree


def _inputs(chosen: list[Sample], corpus: Corpus, settings: Settings) -> list[Path]:
    """The files that what is asked depends on, pictures aside."""
    strategy = STRATEGIES[settings.teach.strategy]
    prompts = {TEMPLATES / f"{strategy.template(sample)}.jinja" for sample in chosen}
    return [corpus.file("train"), guideline_file(corpus.guidelines), strategy.WORDING, *sorted(prompts)]


def price_of(settings: Settings) -> PriceSettings | None:
    """The price of the teacher, if the settings know it."""
    return settings.teach.prices.get(settings.teach.model or "")
