"""What the model says and what was found, as the report's scripts draw it (morerl.report.browser.sample_json).

There is no gold on this page, so that nothing is right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from morerl.extract.questions import Question
from morerl.extract.record import Record
from morerl.extract.result import Answer, Result
from morerl.report.browser import Told, units
from morerl.report.said import MAX_CHARACTERS, split_thought, steps

Json = dict[str, Any]
WAITING = "…"


def told(text: str) -> Told:
    """The steps of what is written, finished or not, and what stands outside the reasoning."""
    text = text[:MAX_CHARACTERS]
    whole = text if "</think>" in text or "<think>" not in text else text + "</think>"
    thought, rest = split_thought(whole)
    return steps(thought), rest


def running(record: Record, asked: Sequence[Question]) -> list[Json]:
    """The samples of the questions that the model has begun to answer."""
    pairs = [question for question in asked if question.head is not None]
    if not pairs:
        return [_sample(record, None, None, _answer(WAITING, ()))]
    return [_sample(record, q.head, q.tail, _answer(WAITING, ())) for q in pairs]


def finished(record: Record, result: Result) -> list[Json]:
    """The samples of a result: one a pair, or one of the whole text. `related`: there is something to look at."""
    if record.mentions or record.regions:
        linked = {frozenset((one.head, one.tail)) for one in result.relations}
        return [
            _sample(record, one.head, one.tail, _answer(one.label, one.problems))
            | {"related": frozenset((one.head, one.tail)) in linked}
            for one in result.answers
        ]
    found = _found(result, units(record.text))
    return [_sample(record, None, None, _answer("", result.problems) | {"found": found})]


def written(answer: Answer) -> Told:
    """What one question came to, where its text was not followed."""
    return told(answer.completion or (f"<think>{answer.reasoning}</think>" if answer.reasoning else ""))


def _answer(label: str | None, problems: Sequence[str]) -> Json:
    rest: Json = {"found": None, "labels": [], "right": None, "errors": [], "rewards": [], "drawn": 1, "passed": 0}
    return {"answer": label, "problems": list(problems), **rest}


def _sample(record: Record, head: str | None, tail: str | None, answer: Json) -> Json:
    unit = units(record.text)
    role = {head: "head", tail: "tail"}
    names = {region.id: f"box {number}" for number, region in enumerate(record.regions, 1)}
    names |= {mention.id: mention.text for mention in record.mentions}
    return {
        "text": record.text[:MAX_CHARACTERS] + (" …" if len(record.text) > MAX_CHARACTERS else ""),
        "task": "extract" if head is None else "pair",
        "title": [] if head is None else [names[head], names[str(tail)]],
        "marks": [[unit(m.start), unit(m.end), role.get(m.id, "other")] for m in record.mentions],
        "boxes": [[*region.box, names[region.id], role.get(region.id, "")] for region in record.regions],
        "gold": None,
        "labels": [],
        "rate": None,
        "pic": None if record.image is None else 0,
        "answers": [answer],
    }


def _found(result: Result, unit: Callable[[int], int]) -> Json:
    """Entities and relations as `morerl.report.browser` writes them."""
    place = {entity.id: number for number, entity in enumerate(result.entities)}
    entities = [
        [*((None, None) if e.start is None or e.end is None else (unit(e.start), unit(e.end))), e.type or "", e.text]
        for e in result.entities
    ]
    return {"entities": entities, "relations": [[place[r.head], place[r.tail], r.label] for r in result.relations]}
