"""The extractions of a text's windows -> its entities and relations, with places in the whole text.

What stands in the overlap of two windows and is found in both is one. Ids are given anew, in the order of the text.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence

from morerl.extract.ground import loose
from morerl.extract.result import FoundEntity, FoundRelation, Status
from morerl.extract.windows import Window
from morerl.prompts.parse import Parsed
from morerl.prompts.place import Span, is_whole
from morerl.schema import Entity, Extraction, Relation
from morerl.task import TaskSpec, fold

_Place = tuple[int, int, int]  # start, the entity's number, end
_STATUSES: tuple[Status, ...] = ("exact", "normalised", "not_found")  # from good to bad


class _Text:
    """What has been found so far; `edges` are where windows were cut."""

    def __init__(self, text: str, spec: TaskSpec) -> None:
        self.text, self.spec = text, spec
        self.entities: list[FoundEntity] = []  # their ids are their numbers
        self.at: dict[tuple[Span, str | None], int] = {}
        self.first_at: dict[Span, int] = {}  # of whatever type
        self.relations: dict[tuple[int, int, str], tuple[str, ...]] = {}

    def entity(self, written: str, type_: str, span: Span | None, status: Status, problems: tuple[str, ...]) -> int:
        """The number of an entity, which is new unless the same one stands there already."""
        key = None if span is None else (span, type_ or None)
        if key is not None and key in self.at:
            return self.at[key]
        start, end = span or (None, None)
        stands = written if span is None else self.text[start:end]
        self.entities.append(
            FoundEntity(
                id=str(len(self.entities)),
                text=stands,
                type=type_ or None,
                start=start,
                end=end,
                status=status,
                written=written if status == "normalised" else None,
                problems=problems,
            )
        )
        if key is not None:
            self.at[key] = len(self.entities) - 1
            self.first_at.setdefault(key[0], self.at[key])
        return len(self.entities) - 1


def merge(
    text: str, spec: TaskSpec, shown: Sequence[Window], parsed: Sequence[Parsed]
) -> tuple[list[FoundEntity], list[FoundRelation]]:
    """Entities in the order of the text, those that it does not hold last; relations in the order they were found."""
    found = _Text(text, spec)
    for window, one in zip(shown, parsed, strict=True):
        if isinstance(one.answer, Extraction):
            _add(found, window, one.answer)
    instead = _cut_off(found.entities, shown)
    kept = [n for n in range(len(found.entities)) if n not in instead]
    kept.sort(key=lambda n: _order(found.entities[n]))
    ids = {n: f"e{number}" for number, n in enumerate(kept, 1)}
    ids |= {n: ids[whole] for n, whole in instead.items()}
    entities = [found.entities[n].model_copy(update={"id": ids[n]}) for n in kept]
    status = {entity.id: entity.status for entity in entities}
    links = {(ids[head], ids[tail], label): wrong for (head, tail, label), wrong in found.relations.items()}
    return entities, [_link(*link, wrong, status) for link, wrong in links.items()]


def _order(entity: FoundEntity) -> tuple[bool, int, int]:
    return entity.start is None, entity.start or 0, entity.end or 0


def _link(head: str, tail: str, label: str, problems: tuple[str, ...], status: dict[str, Status]) -> FoundRelation:
    worse = max(status[head], status[tail], key=_STATUSES.index)
    return FoundRelation(head=head, tail=tail, label=label, status=worse, problems=problems)


def _add(found: _Text, window: Window, answer: Extraction) -> None:
    taken = {(e.start, e.end) for e in answer.entities if e.start is not None}
    numbers = {entity.id: _place(found, window, entity, taken) for entity in answer.entities}
    listed = set(numbers)
    for entity in answer.entities:  # a relation may name one by its text; what is an id stays one
        if entity.text:
            numbers.setdefault(entity.text, numbers[entity.id])
    for relation in answer.relations:
        unlisted = () if {relation.head, relation.tail} <= listed else ("unknown_argument",)
        head, tail = (_argument(found, window, name, numbers) for name in (relation.head, relation.tail))
        found.relations.setdefault((head, tail, relation.label), _wrong(relation, found.spec) + unlisted)


def _place(found: _Text, window: Window, entity: Entity, taken: set[tuple[int | None, int | None]]) -> int:
    """The entity's number; one that the parser did not find as words of its window is looked for less strictly."""
    offset, shown = window[0], found.text[slice(*window)]
    span = None if entity.start is None or entity.end is None else (entity.start, entity.end)
    if span is None or not is_whole(span, shown):  # the parser takes a part of a word where no word fits
        other = loose(entity.text, shown, taken)
        if other is not None and (span is None or is_whole(other, shown)):
            span = other
            taken.add(span)
    status: Status = "not_found" if span is None else "exact" if shown[slice(*span)] == entity.text else "normalised"
    there = None if span is None else (span[0] + offset, span[1] + offset)
    return found.entity(entity.text, entity.type, there, status, _faults(entity, found.spec))


def _faults(entity: Entity, spec: TaskSpec) -> tuple[str, ...]:
    if not entity.text or not entity.type:
        return ("bad_item",)
    return () if not spec.types or fold(entity.type) in spec.type_names else ("unknown_type",)


def _wrong(relation: Relation, spec: TaskSpec) -> tuple[str, ...]:
    if not relation.label or not relation.head or not relation.tail:
        return ("bad_item",)
    return () if fold(relation.label) in spec.label_names else ("unknown_label",)


def _argument(found: _Text, window: Window, name: str, numbers: dict[str, int]) -> int:
    """The number of the entity that a relation names; one that was not listed is taken up, with its problem."""
    if name not in numbers:
        numbers[name] = _unlisted(found, window, name)
    return numbers[name]


def _unlisted(found: _Text, window: Window, name: str) -> int:
    shown = found.text[slice(*window)]
    span = loose(name, shown)
    status: Status = "not_found" if span is None else "exact" if shown[slice(*span)] == name else "normalised"
    there = None if span is None else (span[0] + window[0], span[1] + window[0])
    if there in found.first_at:  # listed, but written in another way
        return found.first_at[there]
    return found.entity(name, "", there, status, ("unknown_argument",))


def _cut_off(entities: Sequence[FoundEntity], shown: Sequence[Window]) -> dict[int, int]:
    """Entities that a window's edge cut short -> the whole one, of the same type, that another window holds."""
    begins, ends = {start for start, _ in shown[1:]}, {end for _, end in shown[:-1]}
    cut, whole = [], defaultdict[str | None, list[_Place]](list)
    for n, entity in enumerate(entities):
        if entity.start is None or entity.end is None:
            continue
        if entity.start in begins or entity.end in ends:
            cut.append(n)
        else:
            whole[entity.type].append((entity.start, n, entity.end))
    for places in whole.values():
        places.sort()
    widest = max(end - start for start, end in shown)
    found = {n: _around(entities[n], whole[entities[n].type], widest) for n in cut}
    return {n: other for n, other in found.items() if other is not None}


def _around(part: FoundEntity, places: Sequence[_Place], widest: int) -> int | None:
    """The number of the first that was found of those that hold the part; `places` in the order of the text."""
    assert part.start is not None and part.end is not None
    near = places[bisect_left(places, (part.end - widest,)) : bisect_right(places, (part.start, math.inf))]
    return min((n for _, n, end in near if part.end <= end), default=None)
