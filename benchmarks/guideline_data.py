"""The samples of benchmarks/guidelines.py: relations held out, and a guideline in the prompt, a definition a line.

The guideline stands in the sample's text, before the sentence or title, so that every stage runs as it is. Three ways:
`none` (no guideline), `names` (definitions and names, in the guideline's order) and `codes`, after GoLLIE's guideline
regularisation (Sainz et al., ICLR 2024, https://arxiv.org/abs/2310.03668): the lines of each sample are shuffled and
the names replaced by letters, so that the answer can only be had by reading. The label for no relation keeps its name
and stands last. What is learnt quotes the line that decides; it is the same in all three ways but for the name.
Left out: GoLLIE's dropout of classes and its paraphrases.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from morerl.prompts.render import render_completion
from morerl.schema import Gold, Reasoning, Sample, label
from morerl.task import Label, TaskSpec

WAYS = ("none", "names", "codes")
CODES = "ABCDEFGHIJKL"
FEATURES = {
    "none": "none",
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

Names = dict[str, str]  # a label's name -> what stands for it in this sample's prompt, in the order of the lines


def in_features(spec: TaskSpec) -> TaskSpec:
    """The drawn world's task: its labels alone, each defined by FEATURES."""
    kept = [one.model_copy(update={"definition": FEATURES[one.name]}) for one in spec.labels if one.name in FEATURES]
    return _asking(spec, kept)


def _asking(spec: TaskSpec, labels: Sequence[Label]) -> TaskSpec:
    """The task with other labels; a copy would keep the spellings that the old ones left in its cache."""
    return TaskSpec.model_validate({**spec.model_dump(), "labels": [one.model_dump() for one in labels]})


def alike(spec: TaskSpec) -> TaskSpec:
    """SemEval's task with a definition of no relation that begins as the others do.

    Greedy decoding takes one word after the other: where one line in eight begins with None and all others with X, the
    first word is X even where None is the likeliest line.
    """
    same = {"definition": "X has none of these relations to Y, nor Y to X."}
    return _asking(spec, [one.model_copy(update=same) if one.name == spec.none else one for one in spec.labels])


def bare(answer: str) -> str:
    """The label of an answer, its argument order taken off."""
    return answer.partition("(")[0]


def apart(samples: Iterable[Sample], held: Sequence[str]) -> tuple[list[Sample], list[Sample]]:
    """The samples whose gold label is not held out, and those whose is."""
    rows = list(samples)
    return [one for one in rows if bare(label(one)) not in held], [one for one in rows if bare(label(one)) in held]


def drawn(samples: Sequence[Sample], none: str, limit: int, rng: random.Random) -> list[Sample]:
    """At most so many at random, a quarter of them without a relation."""
    mixed = rng.sample(samples, len(samples))
    related = [one for one in mixed if label(one) != none][: limit * 3 // 4]
    chosen = related + [one for one in mixed if label(one) == none][: len(related) // 3]
    return rng.sample(chosen, len(chosen))


def naming(sample: Sample, labels: Sequence[Label], none: str, way: str, *, seed: int) -> Names:
    """What each label is called in a sample's prompt. The same sample, labels and seed give the same."""
    names = [one.name for one in labels if one.name != none]
    if way != "codes":
        return {name: name for name in (*names, none)}
    rng = random.Random(f"{seed}/{sample.id}")
    codes = rng.sample(CODES, len(names))
    return dict(zip(rng.sample(names, len(names)), codes, strict=True)) | {none: none}


def lines(labels: Sequence[Label], names: Names) -> dict[str, str]:
    """A label's name -> its line of the guideline, in their order. The name ends it: what is quoted leads to it."""
    of = {one.name: one.definition for one in labels}
    return {name: f"{of[name]}: {said}" for name, said in names.items()}


def told(sample: Sample, guide: Iterable[str], names: Names) -> Sample:
    """The sample with a guideline's lines before its text, and its gold label as it is called there."""
    before = "".join(f"- {line}\n" for line in guide)
    moved = tuple(
        one.model_copy(update={"start": one.start + len(before), "end": one.end + len(before)})
        for one in sample.mentions
    )
    gold = Gold(label=called(label(sample), names))
    return sample.model_copy(update={"text": before + sample.text, "mentions": moved, "gold": gold})


def called(answer: str, names: Names) -> str:
    """An answer under the name that its label has in the prompt; its own where the prompt has none for it."""
    name, order, end = answer.partition("(")
    return names.get(name, name) + order + end


def chain(sample: Sample, think: str, names: Names) -> Reasoning:
    """What is learnt for a sample."""
    text = render_completion(think, called(label(sample), names))
    return Reasoning(id=sample.id, completion=text, model="benchmark", prompt_hash="")


def spec_of(spec: TaskSpec, way: str) -> TaskSpec:
    """The task as it is asked: of `codes` every letter is a label."""
    if way != "codes":
        return spec
    none = next(one for one in spec.labels if one.name == spec.none)
    directed = any(one.directed for one in spec.labels)
    coded = [Label(name=code, definition="the line of this letter", directed=directed) for code in CODES]
    return _asking(spec, [*coded, none])
