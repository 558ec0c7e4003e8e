"""The strategy that asks nobody (MimicSFT): a plan filled in from the gold. Extractions here, pairs in mimic_pairs.

After Li et al. 2025 (https://arxiv.org/abs/2505.22068), whose plan is constant but for the pasted sentence; here every
part of it is filled in: the entities with what makes them of their type, the pairs looked at, for each the words of
the sentence that link it, the rule with its type signature, and the decision. Pairs without a relation are looked at
too, or a model would learn that every pair has one. What the plan says is in mimic.jinja, what of is gathered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from morerl.errors import ConfigError
from morerl.prompts.extraction import write_extraction
from morerl.prompts.render import fill_file, render_completion, template_of
from morerl.schema import Entity, Extraction, Mention, Relation, Sample, extraction
from morerl.settings import PromptSettings
from morerl.task import Label, TaskSpec
from morerl.teacher.strategies import mimic_pairs

VERSION = "mimic/1"
SHOWS_GOLD = True
WORDING = Path(__file__).with_suffix(".jinja")
OTHERS = 3  # at most so many unrelated pairs are looked at, the closest first


class Kind(NamedTuple):
    """The entities of one type, in the order of the text."""

    name: str
    definition: str | None  # None: the guideline does not know the type
    texts: list[str]


class Related(NamedTuple):
    """A pair that gold relates."""

    head: Entity
    tail: Entity
    evidence: str  # the words of the text from the first of the two to the last
    name: str
    label: Label | None  # None: the guideline does not know the relation


class Apart(NamedTuple):
    """A pair that gold leaves unrelated."""

    one: Entity
    other: Entity
    evidence: str


def check(sample: Sample) -> None:
    """Raises ConfigError for a pair one of whose arguments is a region: a plan is made of words."""
    if sample.task != "pair":
        return
    if not all(isinstance(sample.argument(role), Mention) for role in (sample.head, sample.tail)):
        raise ConfigError(
            f"teach.strategy = mimic plans over texts, and {sample.id} asks about a region of a picture; "
            "take stepwise or distill, which ask a teacher that sees it"
        )


def template(sample: Sample) -> str:
    """The student's template at length that fits the sample, whose steps, where it asks for any, no plan has."""
    return template_of(sample, PromptSettings())


def planner(samples: Sequence[Sample], spec: TaskSpec) -> Callable[[Sample], str]:
    """Sample -> completion, for those samples with gold; pairs are planned with words counted on all of them.

    Raises ConfigError as `check` does.
    """
    for sample in samples:
        check(sample)
    telling = mimic_pairs.telling_words([sample for sample in samples if sample.task == "pair"])

    def write(sample: Sample) -> str:
        return mimic_pairs.plan(sample, spec, telling) if sample.task == "pair" else plan(sample, spec)

    return write


def plan(sample: Sample, spec: TaskSpec) -> str:
    """A completion whose think part quotes, names the rule and decides, and whose answer is the gold extraction."""
    gold = extraction(sample)
    entities = sorted(gold.entities, key=lambda entity: (entity.start, entity.end))
    think = fill_file(
        WORDING,
        task=sample.task,
        kinds=_kinds(entities, spec),
        pairable=len(entities) > 1,
        related=_related(sample, gold, spec),
        apart=_apart(sample, gold, entities),
    )
    return render_completion(think, write_extraction(sample))


def evidence(sample: Sample, one: Entity, other: Entity) -> str:
    """The words of the text from the first to the last of two entities."""
    return sample.text[min(_start(one), _start(other)) : max(_end(one), _end(other))]


def _kinds(entities: list[Entity], spec: TaskSpec) -> list[Kind]:
    texts: dict[str, list[str]] = {}
    for entity in entities:
        texts.setdefault(entity.type, []).append(entity.text)
    known = {name: kind.definition for name, kind in spec.types.items()}
    return [Kind(name, known.get(name), named) for name, named in texts.items()]


def _related(sample: Sample, gold: Extraction, spec: TaskSpec) -> list[Related]:
    by_id = {entity.id: entity for entity in gold.entities}
    labels = {label.name: label for label in spec.labels}

    def look(relation: Relation) -> Related:
        head, tail = by_id[relation.head], by_id[relation.tail]
        return Related(head, tail, evidence(sample, head, tail), relation.label, labels.get(relation.label))

    return [look(relation) for relation in gold.relations]


def _apart(sample: Sample, gold: Extraction, entities: list[Entity]) -> list[Apart]:
    joined = {frozenset((relation.head, relation.tail)) for relation in gold.relations}
    pairs = [pair for pair in combinations(entities, 2) if frozenset(one.id for one in pair) not in joined]
    closest = sorted(pairs, key=lambda pair: _start(pair[1]) - _end(pair[0]))[:OTHERS]
    return [Apart(one, other, evidence(sample, one, other)) for one, other in closest]


def _start(entity: Entity) -> int:
    assert entity.start is not None, f"{entity.id} has no place"
    return entity.start


def _end(entity: Entity) -> int:
    assert entity.end is not None, f"{entity.id} has no place"
    return entity.end
