"""mimic's plan for a pair of a text: one line filled in from the gold.

`were imported into: Entity-Destination, e1 first`: words (and signs) from between the two mentions that
speak for some label, then the decision. Which words speak is counted on the samples that are taught; the
gold of the sample itself does not choose them, so a plan may quote what speaks against its decision.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from morerl.prompts.render import render_completion
from morerl.schema import Mention, Sample, label
from morerl.task import DIRECTIONS, TaskSpec

WORD = re.compile(r"[\w'-]+|[^\w\s]")
CUES = 3  # at most so many words are quoted
RARE = 3  # a word in fewer samples is no evidence
PRIOR = 5.0  # samples' worth of the labels' own shares that a word's counts are smoothed with
TELLING = 0.7  # in nats: a word that makes some label about twice as likely


def plan(sample: Sample, spec: TaskSpec, telling: dict[str, float]) -> str:
    """A completion of one line, quoting up to CUES words of `telling` (see `telling_words`) in their order.

    Only for text pairs: both arguments must be mentions.
    """
    answer = label(sample)
    words = _between(sample)
    strength = [telling.get(word.lower(), 0.0) for word in words]
    best = sorted(range(len(words)), key=lambda i: -strength[i])[:CUES]
    cues = " ".join(words[i] for i in sorted(best) if strength[i])
    # why the space in front: words within a sentence are other tokens than those that follow a bracket
    return render_completion(f" {cues or 'no cue'}: {_decision(answer, spec)}", answer)


def telling_words(samples: Sequence[Sample]) -> dict[str, float]:
    """Lower-cased words between the arguments -> nats of evidence for the label each speaks for most.

    The evidence is log P(label | word) / P(label), smoothed. Words under TELLING nats or in fewer
    than RARE of the samples, which must have gold, are left out.
    """
    labels = Counter(map(label, samples))
    share = {name: n / len(samples) for name, n in labels.items()}
    beside: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        for word in {word.lower() for word in _between(sample)}:
            beside[word][label(sample)] += 1

    def evidence(seen: Counter[str]) -> float:
        n = seen.total() + PRIOR
        return max(math.log((seen[name] + PRIOR * p) / n / p) for name, p in share.items())

    strength = {word: evidence(seen) for word, seen in beside.items() if seen.total() >= RARE}
    return {word: nats for word, nats in strength.items() if nats >= TELLING}


def _between(sample: Sample) -> list[str]:
    head, tail = sample.argument(sample.head), sample.argument(sample.tail)
    assert isinstance(head, Mention) and isinstance(tail, Mention)
    first, second = sorted((head, tail), key=lambda mention: mention.start)
    return WORD.findall(sample.text[first.end : second.start])


def _decision(answer: str, spec: TaskSpec) -> str:
    for order in DIRECTIONS:
        if answer.endswith(order):
            return f"{answer.removesuffix(order)}, {order[1:3]} first"
    return "no listed relation" if answer == spec.none else answer
