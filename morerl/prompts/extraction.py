"""The JSON answer of `extract` and `entities`: gold -> text, and what a model wrote -> an Extraction.

    {"entities": [{"id": "e1", "text": "BERT", "type": "Method"}, {"id": "e2", "text": "NER", "type": "Task"}],
     "relations": [{"head": "e1", "label": "Used-For", "tail": "e2"}]}

Entities stand in the order of the text, a string that occurs twice stands twice; ids and relations only where
relations are asked for. A model writes strings and scoring needs spans, so `morerl.prompts.place` finds them, which
on SciER's test gives every mention but one the span it has in gold (99.97 %, as the r2grpo note has it);
`"nth": 2` asks for the second occurrence, and `start` with `end` (as gold has them) for that very span. In a relation
the string of an entity may stand for its id; of several such entities the closest pair is meant.
What is malformed or not in the text stays in the answer without a span, where it costs precision.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from morerl.prompts.place import Span, occurrences, place
from morerl.schema import Entity, Extraction, Relation, Sample, extraction
from morerl.task import TaskSpec, fold

KEYS = ("entities", "relations")
Report = Callable[[str], object]  # takes the name of a problem
Speller = Callable[[str], str | None]  # a name as written -> the guideline's, or None
_TAG = re.compile(r"<(?=/?(?:think|answer)>)")  # of the form around the answer, which must not break


def write_extraction(sample: Sample) -> str:
    """The gold of an `extract` or `entities` sample as the JSON a model should write; it reads back exactly."""
    gold = extraction(sample)
    ordered = sorted(gold.entities, key=lambda entity: (entity.start, entity.end))
    ids = {entity.id: f"e{number}" for number, entity in enumerate(ordered, 1)}
    with_ids = sample.task == "extract"
    entities = [
        ({"id": ids[entity.id]} if with_ids else {}) | {"text": entity.text, "type": entity.type} | hint
        for entity, hint in zip(ordered, _hints(ordered, sample.text), strict=True)
    ]
    answer: dict[str, Any] = {"entities": entities}
    if with_ids:
        answer["relations"] = [{"head": ids[r.head], "label": r.label, "tail": ids[r.tail]} for r in gold.relations]
    return _TAG.sub(r"\\u003c", json.dumps(answer, ensure_ascii=False))


def _hints(entities: Sequence[Entity], whole: str) -> list[dict[str, int | None]]:
    """For each entity {}, or what its string needs so that `place` puts it where gold has it."""
    gold = [(entity.start, entity.end) for entity in entities]
    claims: list[Span | None] = [None] * len(entities)
    while True:  # a claim may move what was placed before; each round adds one at least
        texts = [" ".join(entity.text.split()) for entity in entities]
        placed = place(list(zip(texts, claims, strict=True)), whole)
        wrong = [i for i, span in enumerate(placed) if span != gold[i]]
        if not wrong:
            return [_hint(entity, claim, whole) for entity, claim in zip(entities, claims, strict=True)]
        for i in wrong:
            claims[i] = gold[i]  # type: ignore[call-overload]


def _hint(entity: Entity, claim: Span | None, whole: str) -> dict[str, int | None]:
    if claim is None:
        return {}
    spans = occurrences(" ".join(entity.text.split()), whole)
    return {"nth": spans.index(claim) + 1} if claim in spans else {"start": claim[0], "end": claim[1]}


def read_extraction(inner: str, spec: TaskSpec, sample: Sample) -> tuple[Extraction | None, list[str]]:
    """The extraction a model wrote, types and labels in the guideline's spelling, and named problems. Never raises.

    None with bad_json (no JSON object, or a key twice), no_entities or no_relations (no list of them, where they are
    asked for). Beside an answer: fenced_json, unknown_key, bad_item (not of the form above), unknown_type,
    unknown_label, not_in_text (no unused occurrence), bad_place (start, end or nth that do not fit), repeated_id,
    unknown_argument.
    """
    problems: dict[str, None] = {}
    report: Report = problems.setdefault  # type: ignore[assignment]
    fenced = _unfenced(inner)
    if fenced is not None:
        report("fenced_json")
    try:
        value = json.loads(inner if fenced is None else fenced, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return None, [*problems, "bad_json"]
    wanted = KEYS if sample.task == "extract" else KEYS[:1]
    missing = [f"no_{key}" for key in wanted if not isinstance(value.get(key), list)]
    if missing:  # `{}` must not pass for an empty answer, nor relations under another name for none
        return None, [*problems, *missing]
    if set(value) - set(wanted):
        report("unknown_key")
    asked = {fold(name): name for name in sample.types} or spec.type_names
    entities = _entities(value["entities"], sample.text, _speller(asked), report)
    rows = value["relations"] if sample.task == "extract" else []
    relations = _relations(rows, entities, _speller(spec.label_names), report)
    return Extraction(entities=entities, relations=relations), list(problems)


def _unfenced(inner: str) -> str | None:
    """What stands between a line of ``` or ```json and one of ```; None where they are not first and last."""
    first, _, rest = inner.strip().partition("\n")
    body, _, last = rest.rpartition("\n")
    return body if first.strip() in ("```", "```json") and last.strip() == "```" else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _speller(known: Mapping[str, str]) -> Speller:
    """Folded name -> name; where nothing is known every name stands."""
    return (lambda name: known.get(fold(name))) if known else (lambda name: name)


def _entities(rows: list[Any], whole: str, spell: Speller, report: Report) -> tuple[Entity, ...]:
    items = [row if isinstance(row, dict) else {} for row in rows]
    texts = [_string(item.get("text")) for item in items]
    spans = place([(text, _claim(item, text, whole, report)) for item, text in zip(items, texts, strict=True)], whole)
    return tuple(
        _entity(id_, text, _string(item.get("type")), span, spell, report)
        for id_, item, text, span in zip(_ids(items, report), items, texts, spans, strict=True)
    )


def _string(value: object) -> str:
    """The string with its runs of blanks made one; empty for what is none, or could not be written again."""
    if not isinstance(value, str):
        return ""
    words = " ".join(value.split())
    return words if words.isascii() or words == words.encode("utf-8", "replace").decode() else ""


def _claim(item: dict[str, Any], text: str, whole: str, report: Report) -> Span | None:
    """The span that start and end, or nth, ask for; None where they are absent or do not fit."""
    start, end, nth = item.get("start"), item.get("end"), item.get("nth")
    if start is None and end is None and nth is None:
        return None
    within = type(start) is int and type(end) is int and 0 <= start < end <= len(whole)
    if within and " ".join(whole[start:end].split()) == text:
        return start, end
    if type(nth) is int and text:
        spans = occurrences(text, whole)
        if 1 <= nth <= len(spans):
            return spans[nth - 1]
    report("bad_place")
    return None


def _ids(items: Sequence[dict[str, Any]], report: Report) -> list[str]:
    """Each item's own id, or its number where it has none or the id is taken; all distinct."""
    ids: dict[str, None] = {}
    for number, item in enumerate(items, 1):
        given = item.get("id")
        id_ = _string(str(given) if isinstance(given, int) else given) or f"#{number}"
        if id_ in ids:
            report("repeated_id")
            id_ = f"#{number}"
        while id_ in ids:
            id_ += "#"
        ids[id_] = None
    return list(ids)


def _entity(id_: str, text: str, type_: str, span: Span | None, spell: Speller, report: Report) -> Entity:
    known = spell(type_)
    if not text or not type_:
        report("bad_item")
    elif known is None:
        report("unknown_type")
    if text and span is None:
        report("not_in_text")
    start, end = span or (None, None)
    return Entity(id=id_, text=text, type=known or type_, start=start, end=end)


def _relations(rows: list[Any], entities: Sequence[Entity], spell: Speller, report: Report) -> tuple[Relation, ...]:
    find = _finder(entities)
    relations = []
    for row in rows:
        item = row if isinstance(row, dict) else {}
        names = [str(n) if isinstance(n := item.get(key), int) else _string(n) for key in ("head", "tail")]
        label = _string(item.get("label"))
        if not label or not all(names):
            report("bad_item")
        elif spell(label) is None:
            report("unknown_label")
        pair = find(names[0], names[1])
        if pair is None:
            report("unknown_argument")
        head, tail = pair or names
        relations.append(Relation(head=head, tail=tail, label=spell(label) or label))
    return tuple(relations)


def _finder(entities: Sequence[Entity]) -> Callable[[str, str], tuple[str, str] | None]:
    """(head, tail) as written, by id or by string -> the ids of the closest such pair; None if one is no entity."""
    ids = {entity.id: entity for entity in entities}
    by_text: dict[str, list[Entity]] = {}
    for entity in entities:
        by_text.setdefault(entity.text, []).append(entity)
    known: dict[tuple[str, str], tuple[str, str] | None] = {}

    def named(name: str) -> list[Entity]:
        if name in ids:
            return [ids[name]]
        found = by_text.get(name, []) if name else []
        return [entity for entity in found if entity.start is not None] or found[:1]

    def find(head: str, tail: str) -> tuple[str, str] | None:
        if (head, tail) not in known:
            best = min(_neighbours(named(head), named(tail)), key=_distance, default=None)
            known[head, tail] = (best[0].id, best[1].id) if best else None
        return known[head, tail]

    return find


def _neighbours(heads: list[Entity], tails: list[Entity]) -> Iterator[tuple[Entity, Entity]]:
    """Each head with the tails next to it, among which is the closest: not all pairs, which may be a million."""
    tails = sorted(tails, key=_start)
    for head in heads:
        here = bisect_left(tails, _start(head), key=_start)
        yield from ((head, tail) for tail in tails[max(here - 2, 0) : here + 2])


def _distance(pair: tuple[Entity, Entity]) -> tuple[bool, int, int, int]:
    """How far apart two entities are, ties by their order; one with itself comes last."""
    head, tail = pair
    return head.id == tail.id, abs(_start(head) - _start(tail)), _start(head), _start(tail)


def _start(entity: Entity) -> int:
    return entity.start or 0
