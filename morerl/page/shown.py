"""What the model says and what was found, as the page's script draws it, which makes the report's samples of it
(morerl.report.browser.sample_json).

What all pairs share is sent once: 200 boxes in a long text are 200 pairs. There is no gold on this page, so that
nothing is right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from morerl.extract.questions import Question
from morerl.extract.record import Record
from morerl.extract.result import Answer, Result
from morerl.report.browser import units
from morerl.report.said import MAX_CHARACTERS, Told, told
from morerl.task import DIRECTIONS

Json = dict[str, Any]
WAITING = "…"


def scene(record: Record) -> Json:
    """What is asked about: marks as [start, end, id], in UTF-16 units; boxes as [x1, y1, x2, y2, words, id]."""
    unit = units(record.text)
    names = _names(record)
    return {
        "text": record.text[:MAX_CHARACTERS] + (" …" if len(record.text) > MAX_CHARACTERS else ""),
        "marks": [[unit(m.start), unit(m.end), m.id] for m in record.mentions],
        "boxes": [[*region.box, names[region.id], region.id] for region in record.regions],
        "pic": None if record.image is None else 0,
    }


def running(record: Record, asked: Sequence[Question]) -> list[Json]:
    """The samples of the questions that the model has begun to answer."""
    names = _names(record)
    pairs = [_pair(q.head, q.tail, names, _answer(WAITING, ())) for q in asked if q.head is not None]
    return pairs or [_whole(_answer(WAITING, ()))]


def finished(record: Record, result: Result) -> list[Json]:
    """The samples of a result: one a pair, or one of the whole text. `related`: there is something to look at."""
    if record.mentions or record.regions:
        names = _names(record)
        linked = {(frozenset((one.head, one.tail)), one.label) for one in result.relations}
        return [
            _pair(one.head, one.tail, names, _answer(one.label, one.problems))
            | {"related": (frozenset((one.head, one.tail)), _undirected(one.label or "")) in linked}
            for one in result.answers
        ]
    found = _found(result, units(record.text))
    return [_whole(_answer("", result.problems) | {"found": found})]


def written(answer: Answer) -> Told:
    """What one question came to, where its text was not followed."""
    said = answer.completion or (f"<think>{answer.reasoning}</think>" if answer.reasoning else "")
    return told(said)


def _answer(label: str | None, problems: Sequence[str]) -> Json:
    rest: Json = {"found": None, "right": None, "errors": [], "rewards": [], "drawn": 1, "passed": 0}
    return {"answer": label, "problems": list(problems), **rest}


def _names(record: Record) -> dict[str, str]:
    boxes = {region.id: f"box {number}" for number, region in enumerate(record.regions, 1)}
    return boxes | {mention.id: mention.text for mention in record.mentions}


def _undirected(label: str) -> str:
    return next((label.removesuffix(order) for order in DIRECTIONS if label.endswith(order)), label)


def _pair(head: str | None, tail: str | None, names: dict[str, str], answer: Json) -> Json:
    """`pair` are the ids of two things of the scene, for the same words may be marked twice."""
    pair = [str(head), str(tail)]
    return {"task": "pair", "pair": pair, "title": [names[id_] for id_ in pair], "answers": [answer]}


def _whole(answer: Json) -> Json:
    return {"task": "extract", "pair": [], "title": [], "answers": [answer]}


def _found(result: Result, unit: Callable[[int], int]) -> Json:
    """Entities and relations as `morerl.report.browser` writes them."""
    place = {entity.id: number for number, entity in enumerate(result.entities)}
    entities = [
        [*((None, None) if e.start is None or e.end is None else (unit(e.start), unit(e.end))), e.type or "", e.text]
        for e in result.entities
    ]
    return {"entities": entities, "relations": [[place[r.head], place[r.tail], r.label] for r in result.relations]}
