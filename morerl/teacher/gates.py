"""The gates a chain passes before anyone learns from it; each has a name, and rejects are counted.

MORE-R1 filters by one regular expression; these also catch what that lets through (more_r1 note,
flaws 7 and 8): leaked gold, and a Step 5 set that excludes the chain's own answer.
"""

from __future__ import annotations

import re

from morerl.prompts.parse import Parsed, parse
from morerl.prompts.render import STEPS
from morerl.schema import Sample
from morerl.scoring import is_right
from morerl.task import TaskSpec

LEAKS = re.compile(
    r"\b(gold(en)?|ground[- ]truth|reference)\b.{0,20}\b(answer|label|relation|type)|"
    r"\b(given|provided|correct|known|expected) (answer|label|relation)\b|"
    r"\bas (given|told|provided|instructed)\b|\bI (was|am) (told|given)\b",
    re.IGNORECASE | re.DOTALL,
)
QUOTE = re.compile("“([^”]*)”")
STEP_TEXT = re.compile(r"^[ \t]*Step 5:(?P<text>.*?)(?=^[ \t]*Step \d+:|\Z)", re.MULTILINE | re.DOTALL)


def judge(completion: str, finish_reason: str, sample: Sample, spec: TaskSpec, template: str) -> str | None:
    """Why a chain is rejected, or None to keep it.

    Reasons, tried in order: truncated, a parser problem, steps, leak, wrong_answer, candidates (the
    answer is not in the chain's own Step 5).
    """
    if finish_reason != "stop":
        return "truncated"
    parsed = parse(completion, spec, sample)
    if parsed.problems:
        return parsed.problems[0]
    if parsed.steps != tuple(range(1, STEPS.get(template, 0) + 1)):
        return "steps"
    if LEAKS.search(_own_words(parsed.think, sample)):
        return "leak"
    if not is_right(sample, parsed.answer, spec):
        return "wrong_answer"
    return _check_candidates(parsed) if template in STEPS else None


def _own_words(think: str, sample: Sample) -> str:
    """The reasoning without what it quotes from the text: that may well speak of gold labels."""
    return QUOTE.sub(lambda quote: "" if quote[1] in sample.text else quote[0], think)


def _check_candidates(parsed: Parsed) -> str | None:
    match = STEP_TEXT.search(parsed.think)
    listed = match["text"] if match else ""
    name = str(parsed.answer).rpartition("/")[2]
    if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", listed):
        return "candidates"
    return None
