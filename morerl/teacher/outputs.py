"""What a run leaves: reasoning.jsonl, rejected.jsonl beside it with reasons, and the counts of both.

Written in corpus order from what is kept, in one pass: the order in which replies came in changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from morerl.jsonl import replacing
from morerl.schema import Reasoning, Sample
from morerl.teacher.gates import Repeats
from morerl.teacher.store import Asked, Draw, Store


class Chains(NamedTuple):
    """A sample and its chains in the order of their draws; with no `reason` those that no gate rejects."""

    sample: Sample
    rows: list[Reasoning]
    answered: bool = True  # False: a reply is still to come


class Counts(NamedTuple):
    """What was written, in samples (`asked` = `kept` + `given_up` + `unanswered`) and rejected chains by reason."""

    asked: int
    kept: int
    given_up: int
    unanswered: int
    rejected: dict[str, int]


def stored_chains(samples: Sequence[Sample], store: Store, mark: str, *, rated: bool) -> Iterator[Chains]:
    """What the store holds of those samples, asked under the settings `mark` stands for; others are left out.

    `rated`: the pass rate over a sample's draws goes into its rows.
    """
    for sample in samples:
        asked = store.asked(sample.id)
        if asked is None or asked.mark != mark:
            continue
        rate = sum(draw.right for draw in asked.draws) / len(asked.draws) if rated and asked.draws else None
        rows = [_row(sample, asked, draw, store, rate) for draw in asked.draws]
        missing = asked.failed or asked.unusable
        if missing:
            rows.append(_silent(sample, asked, missing))
        yield Chains(sample, rows, answered=asked.failed is None)


def write_outputs(chains: Iterable[Chains], out: Path, repeats: int | None) -> Counts:
    """Writes `out` and rejected.jsonl beside it: of each sample the first chain that passes is kept.

    A right one after it is rejected as `spare`; one whose reasoning was kept `repeats` times already as `duplicate`.
    """
    seen, ends, rejected = Repeats(repeats), Counter[str](), Counter[str]()
    with replacing(out) as right, replacing(out.with_name("rejected.jsonl")) as wrong:
        for sample, rows, answered in chains:
            judged = list(_choose(sample, rows, seen))
            kept = any(row.reason is None for row in judged)
            ends["kept" if kept else "given_up" if answered else "unanswered"] += 1
            rejected.update(row.reason for row in judged if row.reason is not None)
            for row in judged:
                (right if row.reason is None else wrong).write(row.model_dump_json() + "\n")
    counts = {name: ends[name] for name in ("kept", "given_up", "unanswered")}
    return Counts(asked=ends.total(), **counts, rejected=dict(rejected.most_common()))


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


def _row(sample: Sample, asked: Asked, draw: Draw, store: Store, rate: float | None) -> Reasoning:
    reply = store.reply(draw.key)
    assert reply is not None, f"{sample.id}: a draw was noted before its reply was kept"
    return Reasoning(
        id=sample.id,
        completion=reply.text,
        model=reply.model,
        prompt_hash=asked.prompt_hash,
        strategy=asked.strategy,
        draw=draw.draw,
        temperature=draw.temperature,
        seed=draw.seed,
        pictures=asked.pictures,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        attempts=reply.attempts,
        time=reply.time,
        pass_rate=rate,
        reason=draw.reason,
    )


def _silent(sample: Sample, asked: Asked, reason: str) -> Reasoning:
    return Reasoning(
        id=sample.id,
        completion="",
        model="",
        prompt_hash=asked.prompt_hash,
        strategy=asked.strategy,
        draw=len(asked.draws),
        pictures=asked.pictures,
        finish_reason="",
        attempts=0,
        reason=reason,
    )


def is_torn(path: Path) -> bool:
    """Whether a file of lines is missing or ends within one, as no run leaves it."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(0, size - 1))
            return size > 0 and file.read(1) != b"\n"
    except OSError:
        return True
