"""The protocol of MORE (and MNRE): micro precision, recall and F1 over the facts that have a relation.

Source: the evaluation of https://github.com/NJUNLP/MORE, written anew. The negative class counts in
accuracy only. An unparseable completion is a predicted relation that is never right, whatever the
gold label: it lowers precision, and recall where there was a relation to find.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from morerl.schema import Sample, TaskSpec
from morerl.scoring.bootstrap import Counts, Rates, hits, precision_recall_f1, rate

PRIMARY = "micro_f1"


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
    return {name: np.delete(values, none, axis=-1).mean(-1) for name, values in by_class.items()}


def per_label(table: Counts, spec: TaskSpec) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (per cent), gold and predicted (counts) of each answer, `none` included."""
    right, given, gold = hits(table), table.sum(-2)[:-1], table.sum(-1)
    rates = precision_recall_f1(right, given=given, gold=gold, prefix="")
    columns = rates | {"gold": gold, "predicted": given}
    return {
        answer: {name: float(values[i]) for name, values in columns.items()} for i, answer in enumerate(spec.answers)
    }


def groups(samples: Sequence[Sample]) -> list[str] | None:
    """For each sample, how many entities and objects its picture and title hold in all samples together.

    `one_entity_several_objects` and so on, the four groups of the MORE paper; None without pictures.
    Mentions and boxes are told apart by their place, since ids are unique within a sample only.
    """
    if not all(sample.regions for sample in samples):
        return None
    spans: dict[tuple[str | None, str], set[tuple[int, int]]] = {}
    boxes: dict[tuple[str | None, str], set[tuple[float, ...]]] = {}
    for sample in samples:
        scene = _scene(sample)
        spans.setdefault(scene, set()).update((mention.start, mention.end) for mention in sample.mentions)
        boxes.setdefault(scene, set()).update(region.box for region in sample.regions)
    return [_group(len(spans[scene]), len(boxes[scene])) for scene in map(_scene, samples)]


def _scene(sample: Sample) -> tuple[str | None, str]:
    return sample.image, sample.text


def _group(entities: int, objects: int) -> str:
    entity = "several_entities" if entities > 1 else "one_entity"
    return entity + ("_several_objects" if objects > 1 else "_one_object")
