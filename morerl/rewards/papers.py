"""The papers' literal reward forms, as far as they are known, holes and all: to compare with, not to train with.

Which exploit pays under which is a table in tests/test_hacks.py. Sources: MORE-R1 section 2.4 (ungated length), R1-RE
section 2.2, the released code of R2GRPO as our note describes it, "Reinforcement Learning Meets NER" (I. Adewuyi 2025).
Carried over to this project's answer: think then answer, all types in one JSON object. Left out on purpose: R2GRPO's
points for keywords, and that one malformed triple zeroes its whole group.
"""

from __future__ import annotations

import json
import re

from morerl.prompts.extraction import write_extraction
from morerl.rewards.case import Case
from morerl.schema import Extraction, Gold
from morerl.scoring import spans

_DIRECTED = re.compile(r"[A-Za-z][\w-]*\(e[12],e[12]\)")
SCALE = 1 / 6  # of R2GRPO's reasoning term


def length_paper(case: Case) -> float:
    """MORE-R1: 1 for more characters than the threshold, whatever they are (its unit is not known); else 0."""
    return float(len(case.completion) > case.terms.length_threshold)


def r1_format_paper(case: Case) -> float:
    """R1-RE: +1 for the tags around an answer of the form Relation(e1,e2), -3 for anything else."""
    return 1.0 if _directed(case) is not None else -3.0


def r1_label_paper(case: Case) -> float:
    """R1-RE: +2 for gold's very characters, -1.5 for others, 0 without the form."""
    given = _directed(case)
    if given is None or not isinstance(case.sample.gold, Gold):
        return 0.0
    return 2.0 if given == case.sample.gold.label else -1.5


def _directed(case: Case) -> str | None:
    inner = case.completion.rpartition("<answer>")[2].partition("</answer>")[0].strip()
    return inner if case.well_formed and _DIRECTED.fullmatch(inner) else None


def r2_format_paper(case: Case) -> float:
    """R2GRPO: 0.5 if a think block and then an answer block stand anywhere; else 0."""
    closed = case.completion.partition("<think>")[2].partition("</think>")[2]
    return 0.5 * ("</answer>" in closed.partition("<answer>")[2])


def r2_ner_paper(case: Case) -> float:
    """R2GRPO: 0.7 of the F1 of (string, type) and 0.3 of the mean, over gold, of the best overlap; 0 without gold."""
    given, gold = case.given or spans.EMPTY, case.gold or spans.EMPTY
    if not gold.entities:
        return 0.0
    words = [set(one.text.split()) for one in given.entities]
    best = [max((_jaccard(set(one.text.split()), other) for other in words), default=0.0) for one in gold.entities]
    exact = spans.part(spans.entity_strings(given), spans.entity_strings(gold)).f1
    return 0.7 * exact + 0.3 * sum(best) / len(best)


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def r2_rel_paper(case: Case) -> float:
    """R2GRPO: twice the F1 of string triples; 2 where both are empty, and what cannot be parsed is empty."""
    given, gold = (spans.links(one or spans.EMPTY, by="words") for one in (case.given, case.gold))
    return 2.0 * spans.part(set(given), set(gold)).f1


def r2_reasons_paper(case: Case) -> float:
    """R2GRPO: quoted phrases that the sentence holds, and gold triples whose strings the reasoning holds.

    Without its third term, which counts keywords. 0 to 1.3 / 6.
    """
    text, think = case.sample.text, case.parsed.think
    held = {quote.words for quote in case.quotes}
    points = sum(0.1 + 0.1 * (1 - len(one) / len(text)) for one in held if one and one != text and one in text)
    return SCALE * (min(0.6, points) + _consistency(case, think))


def _consistency(case: Case, think: str) -> float:
    gold = case.gold or spans.EMPTY
    if not gold.relations:
        return 0.35 * ("no relation" in think)
    texts = {one.id: one.text for one in gold.entities}
    said = [all(part in think for part in (texts[r.head], r.label, texts[r.tail])) for r in gold.relations]
    return 0.7 * sum(said) / len(said)


def ner_format_paper(case: Case) -> float:
    """The blog: 0.5 if the completion starts with a think block and then an answer block, whatever follows; else 0."""
    rest = case.completion.partition("</think>")[2].lstrip()
    return 0.5 * (case.completion.startswith("<think>") and rest.startswith("<answer>") and "</answer>" in rest)


def ner_exact_paper(case: Case) -> float:
    """The blog: 2 if all after the last closed think tag is the target, character by character; else 0."""
    if case.gold is None:
        return 0.0
    after = case.completion.rpartition("</think>")[2].strip()
    return 2.0 * (after == f"<answer>{write_extraction(case.sample)}</answer>")


def ner_found_paper(case: Case) -> float:
    """The blog: +0.5 for each gold item that the list holds. Not bounded: it grows with gold."""
    listed = set(_listed(case))
    return 0.5 * sum(item in listed for item in _items(case.gold or spans.EMPTY))


def ner_wrong_paper(case: Case) -> float:
    """The blog: -0.5 for each listed item that gold does not hold. Not bounded."""
    gold = set(_items(case.gold or spans.EMPTY))
    return -0.5 * sum(item not in gold for item in _listed(case))


def _items(found: Extraction) -> list[tuple[str, str]]:
    return [(one.text, one.type) for one in found.entities]


def _listed(case: Case) -> list[tuple[str, str]]:
    """Items as written, of answer blocks on one line, which are joined; none where that is no JSON of items."""
    blocks = [piece.partition("</answer>") for piece in case.completion.rpartition("</think>")[2].split("<answer>")[1:]]
    try:
        value = json.loads("".join(inner for inner, closed, _ in blocks if closed and "\n" not in inner))
        rows = [(row["text"], row["type"]) for row in value["entities"]]
        return [row for row in rows if all(isinstance(one, str) for one in row)]
    except (ValueError, RecursionError, TypeError, KeyError):
        return []
