"""What a run leaves: reasoning.jsonl, rejected.jsonl beside it with reasons, and the counts of both.

Written in corpus order from what is kept, in one pass: the order in which replies came in changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from morerl.jsonl import replacing
from morerl.schema import Reasoning, Sample
from morerl.settings import Settings
from morerl.teacher.chains import Chain, stored
from morerl.teacher.choose import stratum
from morerl.teacher.gates import Repeats
from morerl.teacher.plan import Work
from morerl.teacher.store import Asked, Store
from morerl.teacher.strategies import ASKING

PASSING = ("picture_missing", "picture_unreachable")  # a folder that is not mounted is no fault of the sample
NO_REPLY = "no_reply"


class Chains(NamedTuple):
    """A sample and its chains in the order of their draws; with no `reason` those that no gate rejects."""

    sample: Sample
    rows: list[Reasoning]
    answered: bool = True  # False: something is still to come


class Counts(NamedTuple):
    """What was written, in samples (`asked` = `kept` + `given_up` + `unanswered`) and rejected chains by reason."""

    asked: int
    kept: int
    given_up: int
    unanswered: int
    rejected: dict[str, int]
    by_label: dict[str, str]  # label -> "kept/asked"


def stored_chains(work: Work, settings: Settings, store: Store) -> Iterator[Chains]:
    """What the store holds of the work's samples, asked under its settings; what was not asked is left out."""
    for sample in work.chosen:
        asked = store.asked(sample.id)
        if asked is None or asked.mark != work.mark:
            continue
        if asked.unusable is not None:
            yield Chains(sample, [_silent(sample, asked, 0, settings, asked.unusable)], asked.unusable not in PASSING)
            continue
        chains, missing = stored(sample, asked.prompt_hash, work.spec, settings, store)
        rate = None
        if settings.teach.strategy == "distill" and missing is None:
            rate = sum(chain.right for chain in chains) / len(chains)
        rows = [_row(sample, asked, chain, settings, rate) for chain in chains]
        if missing is not None:
            rows.append(_silent(sample, asked, missing.draw, settings, NO_REPLY))
        yield Chains(sample, rows, missing is None)


def write_outputs(chains: Iterable[Chains], out: Path, repeats: int | None) -> Counts:
    """Writes `out` and rejected.jsonl beside it: of each sample the first chain that passes is kept.

    A right one after it is rejected as `spare`; one whose reasoning was kept `repeats` times already as `duplicate`.
    """
    seen, ends, rejected = Repeats(repeats), Counter[str](), Counter[str]()
    asked, kept = Counter[str](), Counter[str]()
    with replacing(out) as right, replacing(out.with_name("rejected.jsonl")) as wrong:
        for sample, rows, answered in chains:
            judged = list(_choose(sample, rows, seen))
            found = any(row.reason is None for row in judged)
            ends["unanswered" if not answered else "kept" if found else "given_up"] += 1
            asked[stratum(sample)] += 1
            kept[stratum(sample)] += found
            rejected.update(row.reason for row in judged if row.reason is not None)
            for row in judged:
                (right if row.reason is None else wrong).write(row.model_dump_json() + "\n")
    return Counts(
        asked=ends.total(),
        **{name: ends[name] for name in ("kept", "given_up", "unanswered")},
        rejected=dict(rejected.most_common()),
        by_label={label: f"{kept[label]}/{n}" for label, n in asked.most_common()},
    )


def _choose(sample: Sample, rows: list[Reasoning], seen: Repeats) -> Iterator[Reasoning]:
    found = False
    for row in rows:
        if row.reason is not None:
            yield row
        elif found:
            yield row.model_copy(update={"reason": "spare"})
        elif seen.seen(row.completion, sample):
            yield row.model_copy(update={"reason": "duplicate"})
        else:
            found = True
            yield row


def _row(sample: Sample, asked: Asked, chain: Chain, settings: Settings, rate: float | None) -> Reasoning:
    sent, reply = chain.sent, chain.reply
    return Reasoning(
        id=sample.id,
        completion=reply.text,
        model=reply.model,
        prompt_hash=asked.prompt_hash,
        strategy=ASKING[settings.teach.strategy].VERSION,
        draw=sent.draw,
        temperature=sent.options.get("temperature"),
        seed=sent.options.get("seed"),
        pictures=asked.pictures,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        attempts=reply.attempts,
        time=reply.time,
        pass_rate=rate,
        reason=chain.reason,
    )


def _silent(sample: Sample, asked: Asked, draw: int, settings: Settings, reason: str) -> Reasoning:
    """The row of a draw that has no reply."""
    return Reasoning(
        id=sample.id,
        completion="",
        model="",
        prompt_hash=asked.prompt_hash,
        strategy=ASKING[settings.teach.strategy].VERSION,
        draw=draw,
        pictures=asked.pictures,
        finish_reason="",
        attempts=0,
        reason=reason,
    )


def is_hurt(path: Path, lines: int) -> bool:
    """Whether a file of so many lines is missing, empty or ends within a line: no edit, but an accident."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(0, size - 1))
            return lines > 0 if size == 0 else file.read(1) != b"\n"
    except OSError:
        return True
