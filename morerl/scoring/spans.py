"""What the protocols of `extract` and `entities` share: an extraction as sets of things that gold holds or does not.

A part of a score (entities, relations, ...) is a pair of sets, given and gold; what both hold is right. What was
written but stands nowhere in the text gets a key of its own, which gold cannot hold: it costs precision.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from morerl.schema import Entity, Extraction, Frozen, Sample, extraction
from morerl.scoring.counts import Counts, Rates, Row, precision_recall_f1, product, rate
from morerl.task import TaskSpec, fold

T = TypeVar("T", bound=Frozen)
Key = Hashable
Types = tuple[frozenset[str], frozenset[str]]
Links = dict[Key, Types]  # (head, tail, label) -> every type that stands at head, and at tail
EMPTY = Extraction()  # what an answer gives that could not be parsed


MISSED, SPURIOUS = "(missed)", "(spurious)"
ERRORS = (
    "right",
    "wrong_type",
    "wrong_direction",
    "wrong_label",
    "wrong_boundary",
    "missed",
    "spurious",
    "unparseable",
)
KINDS = (MISSED, SPURIOUS, *ERRORS)  # what events are named beside types and labels


class Part(NamedTuple):
    """How many keys are right, given and in gold."""

    right: int
    given: int
    gold: int

    @property
    def f1(self) -> float:
        """0 to 1; 1 where nothing was to be found and nothing was given."""
        return 2 * self.right / (self.given + self.gold) if self.given + self.gold else 1.0


def gold_of(sample: Sample, spec: TaskSpec) -> Extraction:
    """The gold extraction in the guideline's spelling, as the parser gives answers; names it does not know stay."""
    gold, types, labels = extraction(sample), spec.type_names, spec.label_names
    entities = tuple(_spelt(one, "type", types) for one in gold.entities)
    return gold.model_copy(
        update={"entities": entities, "relations": tuple(_spelt(one, "label", labels) for one in gold.relations)}
    )


def _spelt(item: T, field: str, names: dict[str, str]) -> T:
    said = getattr(item, field)
    name = names.get(fold(said), said)
    return item if name == said else item.model_copy(update={field: name})


def part(given: set[Key], gold: set[Key]) -> Part:
    """The counts of one part of one sample."""
    return Part(len(given & gold), len(given), len(gold))


def row(parts: Sequence[Part], answer: Extraction | None, *, exact: Sequence[int]) -> Row:
    """One row: is it parsed, is it all right (F1 = 1 in the parts `exact`), then right, given, gold of every part."""
    parsed = answer is not None
    whole = parsed and all(parts[number].f1 == 1.0 for number in exact)
    return (int(parsed), int(whole), *(number for one in parts for number in one))


def sums(rows: Counts, times: Counts, spec: TaskSpec) -> Counts:
    """[..., width + 1] from `times` [..., unlike], how often each of `rows` [unlike, width] occurs; last: samples."""
    return np.concatenate([product(times, rows), times.sum(-1, keepdims=True)], axis=-1)


def figures(summed: Counts, names: Sequence[str]) -> dict[str, Rates]:
    """Micro precision, recall and F1 of each part by its prefix, and `exact_match`, in per cent, of summed rows."""
    found = {"exact_match": rate(summed[..., 1], summed[..., -1])}
    for number, name in enumerate(names):
        right, given, gold = (summed[..., 2 + 3 * number + column] for column in range(3))
        found |= precision_recall_f1(right, given=given, gold=gold, prefix=name)
    return found


def right(row: Row) -> bool:
    """Whether all of the answer is right."""
    return row[1] == 1


def qualities(row: Row) -> tuple[float, ...]:
    """F1 of every part of one sample, 0 to 1; all 0 where the answer could not be parsed."""
    parts = [Part(*row[start : start + 3]) for start in range(2, len(row), 3)]
    return tuple(one.f1 if row[0] else 0.0 for one in parts)


# --- keys of entities


def entity_spans(found: Extraction) -> set[Key]:
    """(start, end, type); exact doubles are one."""
    return {(*_span(entity, number), entity.type) for number, entity in enumerate(found.entities)}


def entity_strings(found: Extraction) -> set[Key]:
    """(string, type), every run of blanks as one."""
    return {(" ".join(entity.text.split()), entity.type) for entity in found.entities}


def _span(entity: Entity, number: int) -> tuple[Key, Key]:
    """Its place, or one that no gold entity has."""
    return (entity.start, entity.end) if entity.start is not None else ("nowhere", number)


# --- keys of relations


def links(found: Extraction, *, by: str) -> Links:
    """(head, tail, label) -> the types given for head and for tail; one place may have several.

    `by` "place": head and tail are spans; an argument that stands nowhere gets a key that no gold relation has.
    `by` "words": they are strings, as the model wrote them where they are no listed entity.
    """
    key = _words if by == "words" else _span
    ends = {entity.id: key(entity, number) for number, entity in enumerate(found.entities)}
    types: dict[Key, set[str]] = {}
    for entity in found.entities:
        types.setdefault(ends[entity.id], set()).add(entity.type)

    def end(name: str) -> Key:
        return ends[name] if name in ends else " ".join(name.split()) if by == "words" else ("nowhere", name)

    pairs = [(end(relation.head), end(relation.tail), relation.label) for relation in found.relations]
    return {pair: (frozenset(types.get(pair[0], ())), frozenset(types.get(pair[1], ()))) for pair in pairs}


def _words(entity: Entity, number: int) -> Key:
    return " ".join(entity.text.split())


def both_ways(keys: Links, symmetric: Collection[str]) -> Links:
    """The same with head and tail of every symmetric label in one order, so that direction does not count."""
    turned: Links = {}
    for (head, tail, label), types in keys.items():
        swap = label in symmetric and str(head) > str(tail)
        turned.setdefault((tail, head, label) if swap else (head, tail, label), types[::-1] if swap else types)
    return turned


def strict(given: Links, gold: Links) -> Part:
    """As `part`, but a key is right only if both arguments are also among the rightly typed entities."""
    return Part(sum(key in gold and typed(types, gold[key]) for key, types in given.items()), len(given), len(gold))


def typed(given: Types, gold: Types) -> bool:
    """Whether head and tail each have a type that gold gives them too."""
    return bool(given[0] & gold[0] and given[1] & gold[1])


def tally(given: Collection[Key], gold: Collection[Key]) -> Iterator[tuple[str, ...]]:
    """("gold", name), ("predicted", name) and ("right", name) of keys whose third place is a type or label."""
    yield from (("gold", key[2]) for key in gold)
    yield from (("predicted", key[2]) for key in given)
    yield from (("right", key[2]) for key in given if key in gold)


def confusions(given: Iterable[Key], gold: Iterable[Key]) -> Iterator[tuple[str, ...]]:
    """("confusion", gold name, given name) of keys whose first two places agree and whose third is a type or label.

    Equal names first; what then has no partner is MISSED or SPURIOUS.
    """
    names: dict[Key, tuple[set[str], set[str]]] = {}
    for side, keys in enumerate((gold, given)):
        for start, end, name in keys:
            names.setdefault((start, end), (set(), set()))[side].add(name)
    for wanted, found in names.values():
        yield from (("confusion", name, name) for name in wanted & found)
        left, over = sorted(wanted - found), sorted(found - wanted)
        for one, other in itertools.zip_longest(left, over):
            yield "confusion", one or SPURIOUS, other or MISSED
