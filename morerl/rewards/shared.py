"""Parts for every task: form, answer, what the guideline allows, no hedging, no overlong text, no repetition.

Sources: MORE-R1 section 2.4 (format, answer); DAPO section 3.4, equation 13 (overlong; Yu et al. 2025,
arXiv 2503.14476); Demystifying Long Chain-of-Thought section 4.3 (repetition by n-grams; Yeo et al. 2025,
arXiv 2502.03373), here with half of them free; the rest is this project's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable

from morerl.rewards.case import Case
from morerl.schema import Extraction
from morerl.scoring import is_right

# a longer run without blanks is cut, so that text that never has one repeats itself like any other
LONG = 60
_WORD = re.compile(rf"\S{{1,{LONG}}}")


def format_(case: Case) -> float:
    """1 if think, then answer, each once, nothing outside, and every asked step in order; else 0."""
    steps = case.terms.steps
    return float(case.well_formed and (not steps or case.parsed.steps == tuple(range(1, steps + 1))))


def answer(case: Case) -> float:
    """1 if the one answer is the gold one, all of it; else 0."""
    return float(is_right(case.sample, case.parsed.answer, case.spec))


def schema(case: Case) -> float:
    """1 less 0.1 for each thing that the guideline does not know or allow, 0 at least; 0 for what cannot be parsed.

    Counted: types and labels unknown, entities not in the text, relations without their entities or between argument
    types that may not be joined. Soft, for gold itself breaks SciER's signatures in 1 to 2 % (r2grpo note, section 6).
    """
    if case.parsed.answer is None:
        return 0.0
    return max(0.0, 1.0 - 0.1 * (_wrong_label(case) if case.given is None else _violations(case, case.given)))


def _wrong_label(case: Case) -> int:
    sample = case.sample
    head, tail = sample.argument(sample.head).type, sample.argument(sample.tail).type
    return int(case.parsed.answer not in case.spec.allowed(head, tail))


def _violations(case: Case, given: Extraction) -> int:
    types = {entity.id: entity.type for entity in given.entities}
    known = case.sample.types or case.spec.types
    entities = sum(one.start is None or one.type not in known for one in given.entities)
    relations = sum(
        not (one.head in types and one.tail in types and one.label in case.allowed(types[one.head], types[one.tail]))
        for one in given.relations
    )
    return entities + relations


def coherent(case: Case) -> float:
    """1 unless the answer hedges or has loose ends; else 0. A pair's answer is one label: 1; what has no answer: 0.

    Hedged: a span listed a second time or with a second type, or two arguments joined a second time, in either order
    (where gold itself has several, as many may be given). Loose: a relation of what is no listed entity. Under F1
    alone a pair listed with every label earns more than one with the wrong label.
    """
    if case.given is None:
        return float(case.parsed.answer is not None)
    listed = {one.id for one in case.given.entities}
    if not all(one.head in listed and one.tail in listed for one in case.given.relations):
        return 0.0
    gold = _times(case.gold) if case.gold is not None else Counter()
    return float(all(count <= max(1, gold[what]) for what, count in _times(case.given).items()))


def _times(found: Extraction) -> Counter[Hashable]:
    """How often each place, and each pair of places without its order, is listed."""
    places = {one.id: (one.start, one.end) if one.start is not None else one.id for one in found.entities}
    spans = [place for place in places.values() if not isinstance(place, str)]
    pairs = [frozenset((places.get(r.head, r.head), places.get(r.tail, r.tail))) for r in found.relations]
    return Counter([*spans, *pairs])


def overlong(case: Case) -> float:
    """0 down to -1: falls in a line over the last `overlong_buffer` of the tokens a completion may have.

    In tokens, for the limit is one of tokens. 0 where their number or the limit is not known.
    """
    limit = case.terms.max_tokens
    if case.tokens is None or limit is None:
        return 0.0
    return -min(1.0, max(0.0, 1.0 - (limit - case.tokens) / (limit * case.terms.overlong_buffer)))


def repetition(case: Case) -> float:
    """0 while no more than half of the runs of four words are repeats, then in a line down to -1 where all are.

    Of the whole completion, split at blanks and every 60 characters. A plan goes over many pairs in like words, and
    JSON repeats its keys: half is free for their sake.
    """
    words = case.completion.split()
    if max(map(len, words), default=0) > LONG:
        words = _WORD.findall(case.completion)
    runs = len(words) - 3
    if runs < 1 or 2 * (len({*words}) - 3) >= runs:  # each word begins a run that no other word begins
        return 0.0
    unlike = set(zip(words, words[1:], words[2:], words[3:], strict=False))
    return min(0.0, 2.0 * len(unlike) / runs - 1.0)
