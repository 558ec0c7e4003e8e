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
from typing import Any

from morerl.jsonl import write_json
from morerl.prompts.render import template_of
from morerl.runs import begin, finish
from morerl.schema import Reasoning, Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.teacher.ask import Progress, ask_all
from morerl.teacher.budget import Budget, usd
from morerl.teacher.gates import judge
from morerl.teacher.outputs import Chains, Counts, is_torn, stored_chains, write_outputs
from morerl.teacher.plan import SECTIONS, WHOLE, Options, Work, plan, price_of
from morerl.teacher.scenes import serve
from morerl.teacher.store import Store
from morerl.teacher.strategies import STRATEGIES, mimic


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


def write_chains(work: Work, settings: Settings, store: Store, *, stopped: str | None = None) -> dict[str, Any]:
    """Writes the outputs from what the store holds; returns the totals."""
    rated = settings.teach.strategy == "distill"
    counts = write_outputs(
        stored_chains(work.chosen, store, work.mark, rated=rated), work.out, settings.teach.gates.repeats
    )
    spent = store.totals()
    price = price_of(settings)
    complete = counts.asked == len(work.chosen) and not counts.unanswered
    return _totals(settings, counts, stopped=stopped, complete=complete) | {
        "replies": spent.replies,
        "attempts": spent.attempts,
        "tokens": {"prompt": spent.prompt_tokens, "completion": spent.completion_tokens},
        "usd": usd(price, spent.prompt_tokens, spent.completion_tokens),
        "price": price.model_dump() if price else None,
    }


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
            yield Chains(sample, [row])
            listener(Progress(done, len(samples), kept, rejected))

    counts = write_outputs(chains(), work.out, None)
    return _totals(settings, counts, stopped=None, complete=len(samples) == len(work.chosen))


def _planned(sample: Sample, completion: str, spec: TaskSpec, settings: Settings) -> Reasoning:
    """A plan judged by the gates that hold for it: it is short and repeats itself by design."""
    gates = settings.teach.gates.model_copy(update={"min_words": 0, "max_words": 10**9})
    reason = judge(completion, "stop", sample, spec, template_of(sample, settings.prompt), gates)
    return Reasoning(
        id=sample.id,
        completion=completion,
        model="mimic",
        prompt_hash="",
        strategy=mimic.VERSION,
        attempts=0,
        reason=reason,
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
