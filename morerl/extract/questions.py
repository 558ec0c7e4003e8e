"""A record -> the questions it is asked: one a window of its text, or one a pair of the things that were given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations, product
from typing import NamedTuple

from morerl.extract.record import Record, Unfit
from morerl.extract.wanted import Wanted
from morerl.extract.windows import Window, windows
from morerl.schema import Mention, Region, Sample, Task
from morerl.task import TaskSpec

Thing = Mention | Region


class Question(NamedTuple):
    """A sample about a window of the record's text; `sample` is None where no window holds both of a pair."""

    window: Window
    head: str | None
    tail: str | None
    sample: Sample | None


def questions(record: Record, wanted: Wanted, size: int) -> tuple[TaskSpec, list[Question]]:
    """The task and its questions. Raises Unfit where the schema cannot ask about such a record."""
    cut = [(start, end) for start, end in windows(record.text, size) if record.text[start:end].strip()]
    things = (*record.mentions, *record.regions)
    if not things:
        if wanted.joint is None:
            raise Unfit(
                "no_arguments",
                "the schema asks how given things are related: "
                "give mentions= and regions= (in the shell --mention and --region)",
            )
        return wanted.joint, [_joint(record, window, wanted.joint) for window in cut]
    if wanted.pair is None:
        raise Unfit("no_relations", "mentions or regions are given, but the schema has no relations to ask about")
    if len(things) < 2:
        raise Unfit("one_argument", "one mention or region alone is no pair; give a second one")
    spec = wanted.pair
    return spec, [_pair(record, cut, head, tail) for head, tail in pairs(record, spec)]


def pairs(record: Record, spec: TaskSpec) -> list[tuple[Thing, Thing]]:
    """Each region with each mention, the region as head, as in MORE; all pairs of one kind where only that is given.

    Of one kind in both orders, unless the answer itself names the order, or the order means nothing.
    """
    mentions = sorted(record.mentions, key=lambda mention: (mention.start, mention.end))
    if mentions and record.regions:
        return list(product(record.regions, mentions))
    things: Sequence[Thing] = mentions or record.regions
    once = all(label.directed or label.symmetric for label in spec.labels if label.name != spec.none)
    return list((combinations if once else permutations)(things, 2))


def _joint(record: Record, window: Window, spec: TaskSpec) -> Question:
    task: Task = "extract" if spec.labels else "entities"
    start, end = window
    sample = Sample(id=str(start), corpus="", split="", text=record.text[start:end], image=record.image, task=task)
    return Question(window, None, None, sample)


def _pair(record: Record, cut: Sequence[Window], head: Thing, tail: Thing) -> Question:
    """About the first window that holds what the text has of the two."""
    mentions = [thing for thing in (head, tail) if isinstance(thing, Mention)]
    holds = (w for w in cut if all(w[0] <= mention.start and mention.end <= w[1] for mention in mentions))
    window = next(holds, None)
    if window is None:
        return Question((0, len(record.text)), head.id, tail.id, None)
    start, end = window
    moved = [m.model_copy(update={"start": m.start - start, "end": m.end - start}) for m in mentions]
    sample = Sample(
        id=f"{head.id} {tail.id}",
        corpus="",
        split="",
        text=record.text[start:end],
        image=record.image,
        mentions=tuple(moved),
        regions=tuple(thing for thing in (head, tail) if isinstance(thing, Region)),
        head=head.id,
        tail=tail.id,
    )
    return Question(window, head.id, tail.id, sample)
