"""Builds reasoning.jsonl: choose samples, ask, judge, keep; rejects go beside with their reason.

<run.dir>/reasoning.jsonl, rejected.jsonl   the chains
<run.dir>/teach/replies.sqlite              every reply that was paid for; all else is written from it
<run.dir>/teach/teach.json                  the totals
<run.dir>/teach-I-of-N/                     the same of one part, where several machines share the work
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from morerl.jsonl import write_json
from morerl.prompts.render import template_of
from morerl.runs import begin, finish, read_json
from morerl.schema import Reasoning, Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.teacher.ask import Ended, Listener, Progress, ask_all
from morerl.teacher.budget import Budget, usd
from morerl.teacher.chains import CONTENT_FILTER
from morerl.teacher.gates import judge
from morerl.teacher.outputs import Chains, Counts, is_hurt, stored_chains, write_outputs
from morerl.teacher.plan import WHOLE, Options, Work, check_sending, plan, price_of
from morerl.teacher.scenes import serve
from morerl.teacher.store import Store
from morerl.teacher.strategies import STRATEGIES, mimic

log = logging.getLogger(__name__)

REMEDY = (
    "--resume always goes on in it all the same, and pays only where a request differs; --resume never moves it aside "
    "and asks everything anew"
)


def run_teach(
    settings: Settings, *, options: Options = WHOLE, listener: Listener = lambda progress: None
) -> dict[str, Any]:
    """Writes reasoning.jsonl, rejected.jsonl and teach.json; returns the totals, what teach.json holds.

    `complete` is false where samples are left: the same run goes on there. Raises ConfigError (among others where the
    folder holds the work of other settings), DataError, MorerlError for an endpoint that cannot be used, OSError for a
    full disk, and KeyboardInterrupt; by then what came in is written, but for a full disk.
    """
    work = plan(settings, options)
    if settings.teach.strategy == "mimic":
        done = open_folder(work, settings, accept=options.resume != "if-possible")
        return done or settle(work, settings, _mimic(work, settings, listener))
    check_sending(work, settings)
    if options.resume == "never":
        _set_aside(work)
    started = time.monotonic()
    with Store(work.store) as store:  # first of all: it tells whether another run is at work here
        done = open_folder(work, settings, accept=options.resume == "always")
        if done is not None:
            return done
        if options.resume == "always":
            store.forget_refused(CONTENT_FILTER)
        ended = _ask(work, settings, store, options, listener)
        if isinstance(ended.error, OSError):
            raise ended.error
        whole = ended.stopped is None and len(work.now) == len(work.chosen)
        totals = conclude(work, settings, store, whole=whole, stopped=ended.stopped, words=ended.words)
        totals = settle(work, settings, totals | {"seconds": round(time.monotonic() - started, 1)})
    if ended.error is not None:
        raise ended.error
    if ended.stopped == "interrupted":
        raise KeyboardInterrupt
    return totals


def open_folder(work: Work, settings: Settings, *, accept: bool = False) -> dict[str, Any] | None:
    """Opens the work's folder; the totals where it is done and its files are whole, else None. Raises ConfigError."""
    done = begin(settings, work.folder.name, work.inputs, relevant=work.relevant, accept=accept, remedy=REMEDY)
    if done is None:
        return None
    lines = {work.out: done["kept"], work.out.with_name("rejected.jsonl"): sum(done["rejected"].values())}
    if any(is_hurt(path, n) for path, n in lines.items()):
        log.warning("%s or rejected.jsonl beside it is missing or torn, and is written anew for nothing", work.out)
        return None
    return done


def conclude(
    work: Work, settings: Settings, store: Store, *, whole: bool, stopped: str | None = None, words: Any = None
) -> dict[str, Any]:
    """Writes the chains from what the store holds; returns the totals. `whole`: every sample was gone through."""
    counts = write_outputs(stored_chains(work, settings, store), work.out, settings.teach.gates.repeats)
    spent, price = store.totals(), price_of(settings)
    later = usd(price, *spent.unpriced) if any(spent.unpriced) else 0.0
    complete = whole and counts.asked == len(work.chosen) and not counts.unanswered
    return _totals(work, settings, counts, stopped=stopped, complete=complete) | {
        "replies": spent.replies,
        "refused": spent.refused,
        "attempts": spent.attempts,
        "tokens": {"prompt": spent.prompt_tokens, "completion": spent.completion_tokens},
        "usd": None if later is None or spent.usd is None else spent.usd + later,
        "price": price.model_dump() if price else None,
        "words": words or {},
    }


def settle(work: Work, settings: Settings, totals: dict[str, Any]) -> dict[str, Any]:
    """Writes teach.json, and marks the work as done if it is complete; returns the totals."""
    write_json(work.folder / "teach.json", totals)
    return finish(settings, work.folder.name, totals) if totals["complete"] else totals


def _ask(work: Work, settings: Settings, store: Store, options: Options, listener: Listener) -> Ended:
    spent, price = store.totals(), price_of(settings)
    budget = Budget(
        price,
        max_usd=options.max_usd,
        max_tokens=options.max_tokens,
        spent_tokens=spent.prompt_tokens + spent.completion_tokens,
        spent_usd=(spent.usd or 0.0) + (usd(price, *spent.unpriced) or 0.0),
    )
    with serve(work.now, work.spec, settings) as base_url:
        return ask_all(
            work,
            settings,
            store,
            budget,
            base_url=base_url,
            concurrency=options.concurrency,
            listener=listener,
        )


def _mimic(work: Work, settings: Settings, listener: Listener) -> dict[str, Any]:
    samples = work.now
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
    return _totals(work, settings, counts, stopped=None, complete=len(samples) == len(work.chosen))


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


def _totals(work: Work, settings: Settings, counts: Counts, *, stopped: str | None, complete: bool) -> dict[str, Any]:
    teach = settings.teach
    return {
        "strategy": STRATEGIES[teach.strategy].VERSION,
        "model": teach.model or teach.endpoint or teach.strategy,
        "endpoint": teach.endpoint,
        "complete": complete,
        "stopped": stopped,
        "chosen": len(work.chosen),
        "share": teach.share,
        **counts._asdict(),
        "run": read_json(work.folder / "run.json"),
    }


def _set_aside(work: Work) -> None:
    """Moves the work of earlier runs out of the way, files and all: what was paid for is not deleted.

    Raises MorerlError where a run is at work in the folder.
    """
    if not work.folder.exists():
        return
    with Store(work.store):
        pass  # nobody else has it
    folder = work.folder
    number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.old-{n}").exists())
    aside = folder.rename(folder.with_name(f"{folder.name}.old-{number}"))
    for path in (work.out, work.out.with_name("rejected.jsonl")):
        if path.is_file():
            path.rename(aside / path.name)
