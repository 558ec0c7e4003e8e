"""The teacher that is none, for `extract` and `entities`: a plan filled in from the gold (MimicSFT).

After Li et al. 2025 (https://arxiv.org/abs/2505.22068), whose plan is constant but for the pasted sentence; here every
part of it is filled in (r2grpo note, section 6): the entities with what makes them of their type, the pairs looked at,
for each the words of the sentence that link it, the rule with its type signature, and the decision. Pairs without a
relation are looked at too, or a model would learn that every pair has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from morerl.prompts.extraction import write_extraction
from morerl.prompts.render import render_completion
from morerl.schema import Entity, Extraction, Relation, Sample, extraction
from morerl.task import Label, TaskSpec

OPEN, CLOSE = "“", "”"  # around evidence: a straight quote is often part of the sentence
OTHERS = 3  # at most so many unrelated pairs are looked at, the closest first


def plan(sample: Sample, spec: TaskSpec) -> str:
    """A completion whose think part quotes, names the rule and decides, and whose answer is the gold."""
    gold = extraction(sample)
    entities = sorted(gold.entities, key=lambda entity: (entity.start, entity.end))
    lines = list(_entities(entities, spec))
    if sample.task == "extract":
        lines += _pairs(sample, gold, entities, spec)
    return render_completion("\n".join(lines), write_extraction(sample))


def evidence(sample: Sample, one: Entity, other: Entity) -> str:
    """The words of the text from the first to the last of two entities."""
    return sample.text[min(_start(one), _start(other)) : max(_end(one), _end(other))]


def _entities(entities: list[Entity], spec: TaskSpec) -> Iterator[str]:
    if not entities:
        yield "Entities: the text names none."
        return
    yield "Entities:"
    for type_ in dict.fromkeys(entity.type for entity in entities):
        names = ", ".join(_quoted(entity.text) for entity in entities if entity.type == type_)
        kind = spec.types.get(type_)
        yield f"- {type_}{f' ({kind.definition})' if kind else ''}: {names}"


def _pairs(sample: Sample, gold: Extraction, entities: list[Entity], spec: TaskSpec) -> Iterator[str]:
    by_id = {entity.id: entity for entity in entities}
    labels = {label.name: label for label in spec.labels}
    yield "Pairs:" if len(entities) > 1 else "Pairs: there are no two entities to join."
    for relation in gold.relations:
        yield _related(sample, by_id[relation.head], by_id[relation.tail], labels.get(relation.label), relation)
    joined = {frozenset((relation.head, relation.tail)) for relation in gold.relations}
    apart = [pair for pair in combinations(entities, 2) if frozenset(one.id for one in pair) not in joined]
    for one, other in sorted(apart, key=lambda pair: _start(pair[1]) - _end(pair[0]))[:OTHERS]:
        names, words = f"{_quoted(one.text)} and {_quoted(other.text)}", _words(sample, one, other)
        yield f"- {names}: {words} states no relation of the list."


def _related(sample: Sample, head: Entity, tail: Entity, label: Label | None, relation: Relation) -> str:
    rule = f"{label.definition} " if label else ""
    return (
        f"- {_quoted(head.text)} and {_quoted(tail.text)}: {_words(sample, head, tail)}. {rule}"
        f"{_signature(label)}{head.type} to {tail.type} here: {relation.label}."
    )


def _signature(label: Label | None) -> str:
    if label is None or not (label.head and label.tail):
        return "Any types may be joined, "
    return f"It joins {' or '.join(label.head)} to {' or '.join(label.tail)}, "


def _words(sample: Sample, one: Entity, other: Entity) -> str:
    return f"the text says {_quoted(evidence(sample, one, other))}"


def _quoted(words: str) -> str:
    return f"{OPEN}{words}{CLOSE}"


def _start(entity: Entity) -> int:
    assert entity.start is not None, f"{entity.id} has no place"
    return entity.start


def _end(entity: Entity) -> int:
    assert entity.end is not None, f"{entity.id} has no place"
    return entity.end
