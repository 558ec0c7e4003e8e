"""Builds reasoning.jsonl: choose samples, ask, judge, keep; rejects go beside with their reason.

<run.dir>/reasoning.jsonl, rejected.jsonl   the chains
<run.dir>/teach/replies.sqlite              every reply that was paid for; all else is written from it
<run.dir>/teach/teach.json                  the totals
<run.dir>/teach-I-of-N/                     the same of one part, where several machines share the work
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from morerl.errors import ConfigError
from morerl.guidelines import guideline_file, load_spec
from morerl.jsonl import read_samples, write_json
from morerl.partial import fingerprint
from morerl.prompts.render import STEPS, TEMPLATES, steps_of, template_of
from morerl.runs import begin, finish, sha256
from morerl.schema import Reasoning, Sample
from morerl.settings import PriceSettings, Settings
from morerl.task import TaskSpec
from morerl.teacher.ask import Progress, ask_all
from morerl.teacher.budget import Budget, usd
from morerl.teacher.choose import choose, part
from morerl.teacher.gates import judge
from morerl.teacher.outputs import Chains, Counts, is_torn, stored_chains, write_outputs
from morerl.teacher.scenes import serve
from morerl.teacher.store import Store
from morerl.teacher.strategies import STRATEGIES, mimic

OUT = "reasoning.jsonl"
SECTIONS = ("data", "images", "prompt", "teach")
"""Settings that change what a teacher is asked or what is kept."""


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
    inputs: list[Path]
    mark: str  # what the answers of one run have in common
    folder: Path
    out: Path

    @property
    def store(self) -> Path:
        return self.folder / "replies.sqlite"


def run_teach(
    settings: Settings,
    *,
    options: Options = WHOLE,
    listener: Callable[[Progress], object] = lambda progress: None,
) -> dict[str, Any]:
    """Writes reasoning.jsonl, rejected.jsonl and teach.json; returns the totals, what teach.json holds.

    `complete` is false where samples are left: the same run goes on there. Raises ConfigError (among others where the
    folder holds the work of other settings), DataError, MorerlError for an endpoint that cannot be used, OSError for a
    full disk, and KeyboardInterrupt after the files are written.
    """
    work = plan(settings, options)
    if options.resume == "never":
        _set_aside(work.folder)
    done = begin(settings, work.folder.name, work.inputs, sections=SECTIONS, accept=options.resume == "always")
    if done is not None and not any(is_torn(file) for file in (work.out, work.out.with_name("rejected.jsonl"))):
        return done
    started = time.monotonic()
    make = _mimic if settings.teach.strategy == "mimic" else _ask
    totals = make(work, settings, options, listener)
    totals["seconds"] = round(time.monotonic() - started, 1)
    write_json(work.folder / "teach.json", totals)
    if totals["complete"]:
        finish(settings, work.folder.name, totals)
    if totals["stopped"] == "interrupted":
        raise KeyboardInterrupt
    return totals


def plan(settings: Settings, options: Options = WHOLE) -> Work:
    """What there is to do. Raises ConfigError, DataError."""
    train = read_samples(settings.data.dir / "train.jsonl", limit=settings.data.limit)
    chosen = choose(train, settings.teach.share, seed=settings.run.seed)
    if not chosen:
        raise ConfigError(f"{settings.data.dir / 'train.jsonl'} holds no sample with a gold answer to explain")
    _check(chosen, settings, options)
    spec, files = load_spec(settings.data.guidelines), _inputs(chosen, settings)
    whole = Work(spec, chosen, files, _mark(settings, files), settings.run.dir / "teach", settings.run.dir / OUT)
    return whole if options.shard is None else part_of(whole, *options.shard)


def part_of(whole: Work, number: int, of: int) -> Work:
    """One machine's part of the work, with a folder of its own."""
    folder = whole.folder.with_name(f"{whole.folder.name}-{number}-of-{of}")
    return whole._replace(chosen=part(whole.chosen, number, of), folder=folder, out=folder / OUT)


def _check(chosen: list[Sample], settings: Settings, options: Options) -> None:
    teach = settings.teach
    if teach.strategy == "mimic":
        if options.shard is not None:
            raise ConfigError("teach.strategy = mimic asks nobody and needs one machine for seconds; leave --shard out")
    elif options.max_usd is not None and price_of(settings) is None:
        price = f"{{{teach.model}: {{input: 0.0, output: 0.0}}}}"
        raise ConfigError(f"--max-usd needs a price: teach.prices: {price}, in dollars per million tokens")
    strategy = STRATEGIES[teach.strategy]
    for sample in chosen:
        strategy.check(sample)
        taught, learnt = STEPS.get(strategy.template(sample), 0), steps_of(sample, settings.prompt)
        if teach.strategy != "mimic" and taught != learnt:
            raise ConfigError(
                f"{sample.id}: the strategy {teach.strategy} writes {taught} numbered steps, and the prompt of the "
                f"model to be trained asks for {learnt}; choose another prompt.template or teach.strategy"
            )


def _inputs(chosen: list[Sample], settings: Settings) -> list[Path]:
    """The files that what is asked depends on, pictures aside."""
    strategy = STRATEGIES[settings.teach.strategy]
    prompts = {TEMPLATES / f"{strategy.template(sample)}.jinja" for sample in chosen}
    guideline = guideline_file(settings.data.guidelines)
    return [settings.data.dir / "train.jsonl", guideline, strategy.WORDING, *sorted(prompts)]


def _mark(settings: Settings, files: list[Path]) -> str:
    """Fingerprint of what a sample's draws and their judgement depend on, the same on every machine."""
    tree = settings.model_dump(mode="json", include={"images", "prompt", "teach"})
    return fingerprint(tree, settings.run.seed, [sha256(path) for path in files])


def write_chains(work: Work, settings: Settings, store: Store, *, stopped: str | None = None) -> dict[str, Any]:
    """Writes the outputs from what the store holds; returns the totals."""
    rated = settings.teach.strategy == "distill"
    chains = stored_chains(work.chosen, store, work.mark, rated=rated)
    unanswered = 0

    def counted() -> Iterator[Chains]:
        nonlocal unanswered
        for sample, rows in chains:
            unanswered += any(row.attempts == 0 and row.prompt_hash for row in rows)
            yield sample, rows

    counts = write_outputs(counted(), work.out, settings.teach.gates.repeats)
    spent = store.totals()
    price = price_of(settings)
    return _totals(settings, counts, stopped=stopped, complete=counts.asked == len(work.chosen) and not unanswered) | {
        "unanswered": unanswered,
        "replies": spent.replies,
        "attempts": spent.attempts,
        "tokens": {"prompt": spent.prompt_tokens, "completion": spent.completion_tokens},
        "usd": usd(price, spent.prompt_tokens, spent.completion_tokens),
        "price": price.model_dump() if price else None,
    }


def price_of(settings: Settings) -> PriceSettings | None:
    """The price of the teacher, if the settings know it."""
    return settings.teach.prices.get(settings.teach.model or "")


def _ask(work: Work, settings: Settings, options: Options, listener: Callable[[Progress], object]) -> dict[str, Any]:
    with Store(work.store) as store:
        spent = store.totals()
        budget = Budget(
            price_of(settings),
            max_usd=options.max_usd,
            max_tokens=options.max_tokens,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
        )
        samples = work.chosen[: options.limit]
        with serve(samples, work.spec, settings) as base_url:
            stopped = ask_all(
                samples,
                work.spec,
                settings,
                store,
                base_url=base_url,
                mark=work.mark,
                budget=budget,
                concurrency=options.concurrency,
                listener=listener,
            )
        return write_chains(work, settings, store, stopped=stopped)


def _mimic(work: Work, settings: Settings, options: Options, listener: Callable[[Progress], object]) -> dict[str, Any]:
    samples = work.chosen[: options.limit]
    write = mimic.planner(work.chosen, work.spec)
    kept, rejected = 0, Counter[str]()

    def chains() -> Iterator[Chains]:
        nonlocal kept
        for done, sample in enumerate(samples, 1):
            row = _planned(sample, write(sample), work.spec, settings)
            kept += row.reason is None
            rejected.update([row.reason] if row.reason else [])
            yield sample, [row]
            listener(Progress(done, len(samples), kept, rejected))

    counts = write_outputs(chains(), work.out, None)
    return _totals(settings, counts, stopped=None, complete=len(samples) == len(work.chosen))


def _planned(sample: Sample, completion: str, spec: TaskSpec, settings: Settings) -> Reasoning:
    """A plan judged by the gates that hold for it: it is short and repeats itself by design."""
    gates = settings.teach.gates.model_copy(update={"min_words": 0, "max_words": 10**9})
    reason = judge(completion, "stop", sample, spec, template_of(sample, settings.prompt), gates)
    return Reasoning(
        id=sample.id, completion=completion, model="mimic", prompt_hash="", strategy=mimic.VERSION, reason=reason
    )


def _totals(settings: Settings, counts: Counts, *, stopped: str | None, complete: bool) -> dict[str, Any]:
    return {
        "strategy": STRATEGIES[settings.teach.strategy].VERSION,
        "model": settings.teach.model,
        "endpoint": settings.teach.endpoint,
        "complete": complete,
        "stopped": stopped,
        **counts._asdict(),
    }


def _set_aside(folder: Path) -> None:
    """Moves the work of earlier runs out of the way: what was paid for is not deleted."""
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.old-{n}").exists())
        folder.rename(folder.with_name(f"{folder.name}.old-{number}"))
