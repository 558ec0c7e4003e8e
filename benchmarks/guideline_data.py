"""The questions of benchmarks/guidelines.py: does this relation hold? Told by its name, or by its definition.

What is asked about stands in the sample's text, a line before the sentence or title, so that every stage runs as it
is. The answers are `holds`, with the order of the arguments where relations have one, and the corpus's own label for
no relation. What is learnt is the same in all ways. In the drawn world the definition is held against what was seen,
word by word; who is told the name alone has to know it by heart. In SemEval's sentences what does hold is thought, in
the words of its definition. `varied`, in the drawn world, asks half of
its training questions about made-up relations instead, of the same words in other combinations: a handful of
definitions can be learnt by heart too, and then nobody reads them. No definition of FEATURES is ever made up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples
from morerl.prompts.parse import parse
from morerl.prompts.render import cut, render_completion
from morerl.scenes.world import Scene
from morerl.schema import Gold, Reasoning, Sample, label
from morerl.task import Label, TaskSpec
from morerl.teacher.scenes import reply

SPLITS = ("train", "dev", "test")
HOLDS = "holds"
FEATURES = {
    "/per/per/alternate_names": "person, both, per and per",
    "/per/per/opponent": "clash, asked, per and per",
    "/per/per/partner": "alliance, asked, per and per",
    "/per/org/member_of": "person, both, per and org",
    "/per/org/leader_of": "coach, both, per and org",
    "/per/org/opposed_to": "match, asked, per and org",
    "/per/misc/present_in": "event, asked, per and misc",
    "/per/misc/awarded": "prize, asked, per and misc",
    "/org/org/alternate_names": "flag, both, org and org",
    "/org/misc/present_in": "event, asked, org and misc",
}
"""The drawn world's relations in the words of its teacher's first four steps: what decides, of whom, which types."""
WORDS, ROLES, PAIRS = (sorted({one.split(", ")[at] for one in FEATURES.values()}) for at in range(3))


class Question(NamedTuple):
    """A sample that is asked whether a relation holds."""

    sample: Sample
    asked: str  # the relation's name
    holds: bool
    true: str  # the label that the sample has


def in_features(spec: TaskSpec) -> TaskSpec:
    """The drawn world's task: its relations alone, each defined by FEATURES, and no relation."""
    kept = [one.model_copy(update={"definition": FEATURES.get(one.name, one.definition)}) for one in spec.labels]
    return _asking(spec, [one for one in kept if one.name in FEATURES or one.name == spec.none])


def yes_or_no(spec: TaskSpec) -> TaskSpec:
    """The task as it is asked: one label says that the relation holds."""
    directed = any(one.directed for one in spec.labels)
    none = next(one for one in spec.labels if one.name == spec.none)
    return _asking(spec, [Label(name=HOLDS, definition="the relation asked about holds", directed=directed), none])


def _asking(spec: TaskSpec, labels: Sequence[Label]) -> TaskSpec:
    """The task with other labels; a copy would keep the spellings that the old ones left in its cache."""
    return TaskSpec.model_validate({**spec.model_dump(), "labels": [one.model_dump() for one in labels]})


def bare(answer: str) -> str:
    """The label of an answer, its argument order taken off."""
    return answer.partition("(")[0]


def questions(
    samples: Iterable[Sample], relations: Sequence[Label], none: str, way: str, limit: int, rng: random.Random
) -> list[Question]:
    """At most `limit` questions about `relations`, half of them about what holds, each of a sample of its own."""
    names = {one.name: one for one in relations}
    right, wrong = [], []
    for sample in samples:
        true = bare(label(sample))
        if true in names and len(right) < limit // 2:
            right.append(_question(sample, names[true], way, HOLDS + label(sample)[len(true) :]))
        elif len(wrong) < limit // 2:
            other = rng.choice([name for name in names if name != true])
            wrong.append(_question(sample, names[other], way, none))
    return rng.sample(right + wrong, len(right) + len(wrong))


def _question(sample: Sample, asked: Label, way: str, answer: str) -> Question:
    before = f"{asked.name if way == 'names' else asked.definition}\n"
    moved = tuple(
        one.model_copy(update={"start": one.start + len(before), "end": one.end + len(before)})
        for one in sample.mentions
    )
    changed = {"id": f"{sample.id}#{asked.name}", "text": before + sample.text, "mentions": moved}
    made = sample.model_copy(update={**changed, "gold": Gold(label=answer)})
    return Question(made, asked.name, holds=bare(answer) == HOLDS, true=bare(label(sample)))


def chain(asked: Question, think: str) -> Reasoning:
    """What is learnt for a question."""
    said = render_completion(think, label(asked.sample))
    return Reasoning(id=asked.sample.id, completion=said, model="benchmark", prompt_hash="")


def made_up(sample: Sample, steps: str, none: str, rng: random.Random) -> Question:
    """A question about a relation of no name, which holds in half of the samples of which one could."""
    seen = _seen(steps)
    right = [
        definition
        for word in WORDS
        for role in ROLES
        for pair in PAIRS
        if all(_fits(definition := f"{word}, {role}, {pair}", seen)) and definition not in FEATURES.values()
    ]
    if right and rng.random() < 0.5:
        return _question(sample, Label(name=(said := rng.choice(right)), definition=said), "varied", HOLDS)
    while True:
        said = ", ".join(map(rng.choice, (WORDS, ROLES, PAIRS)))
        if said not in FEATURES.values() and not all(_fits(said, seen)):
            return _question(sample, Label(name=said, definition=said), "varied", none)


def held_against(definition: str, steps: str, answer: str) -> str:
    """The teacher's first four steps, the words of a definition held against them, and the answer."""
    seen, parts = _seen(steps), definition.split(", ")
    verdicts = ("yes" if fit else "no" for fit in _fits(definition, seen))
    compared = ", ".join(f"{part} {verdict}" for part, verdict in zip(parts, verdicts, strict=True))
    return f"{seen.steps}Step 5: {compared}.\nStep 6: {answer}."


class _Seen(NamedTuple):
    """What the teacher's first four steps say."""

    steps: str
    shape: str
    event: str
    roles: set[str]
    pair: str


def _seen(steps: str) -> _Seen:
    found = re.match(r"Step 1: a (\w+) in .*\nStep 2: an? (\w+).*\nStep 3: (.*)\.\nStep 4: (.*)\.\n", steps)
    if found is None:
        raise ValueError(f"not the teacher's steps: {steps!r}")
    shape, event, actors, pair = found.groups()
    return _Seen(found[0], shape, event, {one.rpartition(" ")[2] for one in actors.split(", ")}, pair)


def _fits(definition: str, seen: _Seen) -> tuple[bool, bool, bool]:
    """Do the word that decides, the role and the types agree with what was seen?"""
    word, role, pair = definition.split(", ")
    # of the one asked about: it is what is seen, or it is not and another one is
    wanted = {"both": {"both"}, "asked": {"asked", "seen"}}[role]
    return word in (seen.shape, seen.event), wanted <= seen.roles, pair == seen.pair


class Corpus(NamedTuple):
    """A task and its samples; what is thought of a question; the teacher's steps for a sample where there are any."""

    spec: TaskSpec
    splits: dict[str, list[Sample]]
    think: Callable[[Question], str]
    steps: Callable[[Sample], str] = lambda sample: ""


def sentences(home: Path) -> Corpus:
    """SemEval-2010, each sentence from one entity to the other; the true definition is all that is thought."""
    spec = load_spec("sem2010")
    splits = {split: list(map(cut, read_samples(home / "data" / f"{split}.jsonl"))) for split in SPLITS}
    # begun as the others are: greedy decoding takes X for a first word wherever all of them together are likelier
    of = {one.name: one.definition for one in spec.labels} | {spec.none: "X has none of these relations to Y."}
    return Corpus(spec, splits, lambda question: f" {of[question.true]}")


def scenes(home: Path, seed: int) -> Corpus:
    """The drawn world in the words of its teacher, whose first four steps are thought before the definition."""
    full = load_spec("more")
    record = {scene.id: scene for scene in read_records(home / "raw" / "scenes.jsonl", Scene)}
    splits = {split: read_samples(home / "data" / f"{split}.jsonl") for split in SPLITS}

    def steps(sample: Sample) -> str:
        first = sample.model_copy(update={"id": sample.id.partition("#")[0]})  # as it was before it became a question
        return parse(reply(first, record, full, seed=seed), full, first).think

    def think(question: Question) -> str:
        answer = HOLDS if question.holds else str(full.none)
        return held_against(FEATURES.get(question.asked, question.asked), steps(question.sample), answer)

    # the few chains in which the teacher leaves the step out
    splits["train"] = [one for one in splits["train"] if "Step 4: " in steps(one)]
    return Corpus(in_features(full), splits, think, steps)
