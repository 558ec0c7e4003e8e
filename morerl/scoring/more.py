"""The protocol of MORE (and MNRE): micro precision, recall and F1 over the facts that have a relation.

Source: the evaluation of https://github.com/NJUNLP/MORE, written anew. The negative class counts in
accuracy only. An unparseable completion is a predicted relation that is never right, whatever the
gold label: it lowers precision, and recall where there was a relation to find.
"""

from __future__ import annotations

import numpy as np

from morerl.schema import Sample
from morerl.scoring.counts import Counts, Rates, precision_recall_f1, rate
from morerl.scoring.pairs import hits
from morerl.task import TaskSpec

PRIMARY = "micro_f1"
Scene = tuple[str, str]


def figures(table: Counts, spec: TaskSpec) -> dict[str, Rates]:
    """Every figure in per cent, from tables [..., answers, answers + 1] to values [...].

    Macro figures are plain means over all answers but `spec.none`, those that never occur included
    (as 0), as in the report by class of the official evaluation.
    """
    none = spec.answers.index(spec.none)
    right, given, gold = hits(table), table.sum(-2), table.sum(-1)
    total = gold.sum(-1)
    related = right.sum(-1) - right[..., none]
    return {
        "accuracy": rate(right.sum(-1), total),
        **precision_recall_f1(related, given=total - given[..., none], gold=total - gold[..., none], prefix="micro_"),
        **_macro(right, given=given[..., :-1], gold=gold, none=none),
    }


def _macro(right: Counts, *, given: Counts, gold: Counts, none: int) -> dict[str, Rates]:
    by_class = precision_recall_f1(right, given=given, gold=gold, prefix="macro_")
    others = {name: np.delete(values, none, axis=-1) for name, values in by_class.items()}
    return {name: values.mean(-1) if values.shape[-1] else values.sum(-1) for name, values in others.items()}


def per_label(table: Counts, spec: TaskSpec) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (per cent), gold and predicted (counts) of each answer, `none` included."""
    right, given, gold = hits(table), table.sum(-2)[:-1], table.sum(-1)
    rates = precision_recall_f1(right, given=given, gold=gold, prefix="")
    columns = rates | {"gold": gold, "predicted": given}
    return {
        answer: {name: float(values[i]) for name, values in columns.items()} for i, answer in enumerate(spec.answers)
    }


class Groups:
    """The four groups of the MORE paper: how many entities and objects a picture and its title hold.

    Counted over all samples of the picture and title; mentions and boxes are told apart by their place, since
    ids are unique within a sample only.
    """

    def __init__(self) -> None:
        self.places: dict[Scene, tuple[set[tuple[int, int]], set[tuple[float, ...]]]] = {}

    def add(self, sample: Sample) -> Scene | None:
        """The sample's picture and title; None for a sample without boxes."""
        if sample.image is None or not sample.regions:
            return None
        scene = (sample.image, sample.text)
        spans, boxes = self.places.setdefault(scene, (set(), set()))
        spans.update((mention.start, mention.end) for mention in sample.mentions)
        boxes.update(region.box for region in sample.regions)
        return scene

    def name(self, scene: Scene) -> str:
        """one_entity_several_objects and so on."""
        spans, boxes = self.places[scene]
        entity = "several_entities" if len(spans) > 1 else "one_entity"
        return entity + ("_several_objects" if len(boxes) > 1 else "_one_object")
