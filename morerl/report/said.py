"""What was answered and why, as a page shows it: an answer in lines, reasoning in steps."""

from __future__ import annotations

import re
from typing import Any

from morerl.schema import Extraction, Gold, Sample

MAX_CHARACTERS = 20_000  # of a text or a completion; a model that never stops must not fill the page
Told = tuple[list[list[str]], str]  # the steps of a completion's reasoning, and what stands outside it
STEP = re.compile(r"(?:^|(?<=[\s>*#]))(Step\s*\d+)\s*:\s*", re.IGNORECASE)


def stated(answer: Gold | Extraction | str | dict[str, Any]) -> list[str]:
    """What an answer states, a line each: a label, or an extraction's entities with their types, then its relations."""
    if isinstance(answer, Gold | str):
        return [answer.label if isinstance(answer, Gold) else answer]
    found = answer if isinstance(answer, Extraction) else Extraction.model_validate(answer)
    names = {entity.id: entity.text for entity in found.entities}
    entities = [f"{entity.text} [{entity.type}]" for entity in found.entities]
    relations = [f"{names.get(r.head, r.head)} -{r.label}-> {names.get(r.tail, r.tail)}" for r in found.relations]
    return [*sorted(entities), *sorted(relations)]


def role(sample: Sample, id_: str) -> str:
    """head, tail, or empty for what the question is not about."""
    return "head" if id_ == sample.head else "tail" if id_ == sample.tail else ""


def split_thought(completion: str) -> tuple[str, str]:
    """(inside <think>, everything else); all of it is "else" where the tags are not a pair."""
    start = completion.find("<think>")
    end = completion.find("</think>", start)
    if start < 0 or end < 0:
        return "", completion.strip()
    thought = completion[start + len("<think>") : end]
    return thought.strip(), (completion[:start] + completion[end + len("</think>") :]).strip()


def told(text: str, cap: int = MAX_CHARACTERS) -> Told:
    """The steps in the first `cap` characters, be the reasoning ended there or not, and what stands outside it."""
    text = text[:cap]
    whole = text if "</think>" in text or "<think>" not in text else text + "</think>"
    thought, rest = split_thought(whole)
    return steps(thought), rest


def steps(thought: str) -> list[list[str]]:
    """[title, body] of every "Step n:" of the reasoning; text before the first has an empty title."""
    lead, *rest = STEP.split(thought)
    found = [["", lead.strip()]] if lead.strip() else []
    return found + [[title, body.strip()] for title, body in zip(rest[::2], rest[1::2], strict=True)]
