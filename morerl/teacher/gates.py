"""The gates a chain passes before anyone learns from it; each has a name, and rejects are counted.

MORE-R1 filters by one regular expression; these also catch what that lets through (more_r1 note, flaws 7 and 8).
Where a chain cannot be read with certainty a gate lets it pass. Left out on purpose: whether the reasoning is true of
the picture, which needs a judge.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from morerl.prompts.parse import STEP, Parsed, parse
from morerl.prompts.render import STEPS
from morerl.schema import Mention, Sample
from morerl.scoring import is_right
from morerl.settings import GateSettings
from morerl.task import TaskSpec
from morerl.teacher.candidates import contradicts
from morerl.teacher.leaks import leaks
from morerl.teacher.quotes import unsupported, without_quotes_of

# what servers call the end of a reply: OpenAI, vLLM, SGLang, Gemini stop; Together eos; TGI before 2.3 eos_token, and
# stop_sequence, as Anthropic, whose own is end_turn
DONE = {"", "stop", "eos", "eos_token", "end_turn", "stop_sequence"}
# Anthropic max_tokens and the window's end; Mistral model_length; the others length
TRUNCATED = {"length", "max_tokens", "model_length", "model_context_window_exceeded"}
# Gemini's own names, by its OpenAI door also as "content_filter: SAFETY"; Anthropic refusal; GLM sensitive
FILTERED = {"content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal", "sensitive"}
LOOKING = (1, 2)  # the steps about the picture


def judge(
    completion: str, finish_reason: str, sample: Sample, spec: TaskSpec, template: str, gates: GateSettings
) -> str | None:
    """Why a chain is rejected, or None to keep it. Never raises, whatever the completion.

    Reasons, tried in order: truncated, content_filter, unfinished (any other end, an empty one too), the parser's first
    problem, steps (missing or out of order), leak, wrong_answer, candidates (Step 5 lacks the chain's own answer, or
    contradicts the types of Step 4), evidence (a quote the text does not hold), too_short and too_long (in words of the
    reasoning, split at blanks). Duplicates are told by `Repeats`. The sample must have gold.
    """
    if (reason := _unfinished(finish_reason)) is not None:
        return reason
    parsed = parse(completion, spec, sample)
    if parsed.problems:
        return parsed.problems[0]
    if parsed.steps != tuple(range(1, STEPS.get(template, 0) + 1)):
        return "steps"
    if leaks(without_quotes_of(sample.text, parsed.think)):
        return "leak"
    if not is_right(sample, parsed.answer, spec):
        return "wrong_answer"
    return _check_reasoning(parsed, sample, spec, template) or _check_length(parsed.think, gates)


class Repeats:
    """The duplicate gate: which reasoning was kept how often. The caller asks in corpus order.

    Compared is the think text without case, with blanks folded, digits as they are, and with the names of head and tail
    taken out: a chain that is a form filled in with two names teaches that form once, and LLM teachers fall into it.
    Of a region, which has no name, nothing is taken out. 16 bytes of digest are held a chain; two that differ
    collide with a chance of 2^-128.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._kept: Counter[bytes] = Counter()

    def seen(self, completion: str, sample: Sample) -> bool:
        """True if this reasoning is there `most` times already; otherwise counts it (None: any number may be)."""
        if self._most is None:
            return False
        words = nameless(completion, sample).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(words, digest_size=16).digest()
        if self._kept[digest] >= self._most:
            return True
        self._kept[digest] += 1
        return False


def nameless(completion: str, sample: Sample) -> str:
    """The reasoning folded, its head and tail by role instead of by name."""
    _, opened, after = completion.partition("<think>")
    words = _fold((after if opened else completion).partition("</think>")[0])
    roles = {_fold(item.text): f"<{role}>" for role, item in reversed(_named(sample))}
    if not roles:
        return words
    longest_first = "|".join(map(re.escape, sorted(roles, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{longest_first})(?!\w)", lambda name: roles[name[0]], words)


def _named(sample: Sample) -> list[tuple[str, Mention]]:
    if sample.task != "pair":
        return []
    items = (("head", sample.argument(sample.head)), ("tail", sample.argument(sample.tail)))
    return [(role, item) for role, item in items if isinstance(item, Mention) and item.text.strip()]


def _fold(words: str) -> str:
    return " ".join(words.casefold().split())


def _unfinished(finish_reason: str) -> str | None:
    name = finish_reason.strip().lower()
    if name in DONE:
        return None
    if name in TRUNCATED:
        return "truncated"
    return "content_filter" if name.partition(":")[0] in FILTERED else "unfinished"


def _check_reasoning(parsed: Parsed, sample: Sample, spec: TaskSpec, template: str) -> str | None:
    if template not in STEPS:
        # without steps nothing tells what is read in the picture from what is read in the text
        missing = unsupported(parsed.think, sample, spec, straight=sample.image is None)
        return None if missing is None else "evidence"
    steps = _steps(parsed.think)
    if contradicts(steps[4], steps[5], str(parsed.answer), spec):
        return "candidates"
    looking = LOOKING if sample.image is not None else ()
    seen = "\n".join(steps[number] for number in looking)
    rest = "\n".join(text for number, text in steps.items() if number not in looking)
    return None if unsupported(rest, sample, spec, seen=seen) is None else "evidence"


def _steps(think: str) -> dict[int, str]:
    """The number of each step -> its text; 0: what stands before the first."""
    start, *pieces = STEP.split(think)
    steps, current = {0: start}, 0
    for number, text in zip(pieces[::2], pieces[1::2], strict=True):
        current = int(number) if len(number) < 5 else current  # as the parser: a longer one is no step
        steps[current] = steps.get(current, "") + text
    return steps


def _check_length(think: str, gates: GateSettings) -> str | None:
    words = len(think.split())
    if words < gates.min_words:
        return "too_short"
    return "too_long" if words > gates.max_words else None
