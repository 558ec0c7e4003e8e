"""Reasoning with no teacher: a short plan instantiated from the gold (MimicSFT's idea, for pair tasks)."""

from __future__ import annotations

from morerl.prompts.render import render_completion
from morerl.schema import DIRECTIONS, Mention, Sample, TaskSpec


def plan(sample: Sample, spec: TaskSpec) -> str:
    """A completion of one line: the arguments, the words between them, the decision.

    Only for text pairs: both arguments must be mentions.
    """
    head, tail = sample.argument(sample.head), sample.argument(sample.tail)
    assert isinstance(head, Mention) and isinstance(tail, Mention) and sample.gold is not None
    first, second = sorted((head, tail), key=lambda mention: mention.start)
    between = sample.text[first.end : second.start].strip()
    answer = sample.gold.label
    return render_completion(f"{head.text} ... {between} ... {tail.text}: {_decision(answer, spec)}", answer)


def _decision(answer: str, spec: TaskSpec) -> str:
    for order in DIRECTIONS:
        if answer.endswith(order):
            return f"{answer.removesuffix(order)}, {order[1:3]} first"
    return "no listed relation" if answer == spec.none else answer
