"""How much of a gold extraction was found: F1 of spans and of relations, and the forms between.

Sources: R2GRPO (Li et al. 2025, arXiv 2505.22068: F1 of entities and relations, boundary overlap), "Reinforcement
Learning Meets NER" (I. Adewuyi 2025: half a point an item). All by place in the text, as the official scores count,
and 0 for what cannot be parsed, which is never an empty answer.
"""

from __future__ import annotations

from collections import Counter

from morerl.rewards.case import Case
from morerl.schema import Extraction
from morerl.scoring import spans

ITEMS = 20  # that `ner_items` counts at most, either way


def ner_f1(case: Case) -> float:
    """F1 of typed spans, 0 to 1; 1 where there is nothing and nothing is given."""
    return case.entities.f1


def rel_f1(case: Case) -> float:
    """F1 of directed relations between spans, 0 to 1; 1 where there is none and none is given."""
    return case.relations.f1


def ner_grounded(case: Case) -> float:
    """`ner_f1` less 0.1 for each string that the text does not hold, 0 at least (they cost precision as well)."""
    lost = sum(one.start is None for one in case.given.entities) if case.given is not None else 0
    return max(0.0, case.entities.f1 - 0.1 * lost)


def ner_items(case: Case) -> float:
    """+0.5 for each gold entity that is listed, -0.5 for each listed one that gold has not; within -10 and 10.

    By string and type; order and blanks do not count, and what gold has twice counts twice.
    """
    if case.given is None or case.gold is None:
        return 0.0
    given, gold = _items(case.given), _items(case.gold)
    points = (given & gold).total() - (given - gold).total()
    return 0.5 * max(-ITEMS, min(ITEMS, points))


def _items(found: Extraction) -> Counter[tuple[str, str]]:
    return Counter(("".join(one.text.split()), one.type) for one in found.entities)


def boundary(case: Case) -> float:
    """F1 of characters under entities of each type, 0 to 1: pays for near spans, and junk costs as it does in F1.

    Blanks do not count. In no preset (r2grpo note, section 6: off by default).
    """
    if case.given is None or case.gold is None:
        return 0.0
    return spans.part(_covered(case, case.given), _covered(case, case.gold)).f1


def _covered(case: Case, found: Extraction) -> set[spans.Key]:
    """(character, type); an entity that stands nowhere covers characters of its own."""
    text = case.sample.text
    keys: set[spans.Key] = set()
    for start, end, type_ in {(one.start, one.end, one.type) for one in found.entities if one.start is not None}:
        keys.update((place, type_) for place in range(start, end or start) if not text[place].isspace())
    lost = ((number, one) for number, one in enumerate(found.entities) if one.start is None)
    keys.update(("nowhere", number, place) for number, one in lost for place in range(max(1, len(one.text))))
    return keys
