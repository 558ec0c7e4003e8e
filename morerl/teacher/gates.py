"""The gates a chain passes before anyone learns from it; each has a name, and rejects are counted.

MORE-R1 filters by one regular expression; these also catch what that lets through (more_r1 note, flaws 7 and 8).
Where a chain cannot be read with certainty a gate lets it pass. Left out on purpose: whether the reasoning is true of
the picture, and whether it names somebody from the face, which need a judge.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator

from morerl.prompts.parse import STEP, Parsed, parse
from morerl.prompts.render import STEPS
from morerl.schema import Extraction, Mention, Sample
from morerl.scoring import is_right
from morerl.settings import GateSettings
from morerl.task import TaskSpec
from morerl.teacher.candidates import concludes_other, contradicts, last_sentence
from morerl.teacher.copied import copied
from morerl.teacher.leaks import leaks
from morerl.teacher.quotes import held, unsupported, without_quotes_of

# what servers call the end of a reply, some nothing: OpenAI, vLLM, SGLang, Gemini stop; Together eos; TGI before 2.3
# eos_token, and stop_sequence, as Anthropic, whose own is end_turn
DONE = {"", "stop", "eos", "eos_token", "end_turn", "stop_sequence"}
# Anthropic max_tokens and the window's end; Mistral model_length; the others length
TRUNCATED = {"length", "max_tokens", "model_length", "model_context_window_exceeded"}
# Gemini's own names, by its OpenAI door also as "content_filter: SAFETY"; Anthropic refusal; GLM sensitive
FILTERED = {"content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal", "sensitive"}
LOOKING = (1, 2)  # the steps about the picture
LONGEST = 50_000  # characters of a completion; no chain is as long, and what goes on without end is not read
LINE = 10  # words; reasoning under that is a mimic's line, which quotes without marks, or too short anyway


def judge(
    completion: str, finish_reason: str, sample: Sample, spec: TaskSpec, template: str, gates: GateSettings
) -> str | None:
    """Why a chain is rejected, or None to keep it. Never raises, whatever the completion.

    Reasons, tried in order: truncated, content_filter, unfinished (any other end), the parser's first problem, steps
    (missing, out of order or empty), leak, wrong_answer, copied (an instruction of the prompt), candidates (see
    candidates.contradicts), other_conclusion (the reasoning on a pair settles on another answer), evidence (a quote
    the text does not hold), no_evidence (too few that it holds, where there is no picture and the answer names
    anything), too_short and too_long (in words, split at blanks, without the heads of steps; or over LONGEST). Those of
    `gates.skip` are passed over. Duplicates are told by `Repeats`. The sample must have gold.
    """
    if (reason := _unfinished(finish_reason)) is not None:
        return reason
    if len(completion) > LONGEST:
        return "too_long"
    parsed = parse(completion, spec, sample)
    if parsed.problems:
        return parsed.problems[0]
    steps = _steps(parsed.think) if template in STEPS else {}
    asked = tuple(range(1, STEPS.get(template, 0) + 1))
    if parsed.steps != asked or not all(any(map(str.isalnum, steps[number])) for number in asked):
        return "steps"
    found = _reasons(parsed, steps, sample, spec, gates)
    return next((reason for reason in found if reason not in gates.skip), None)


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


def _reasons(
    parsed: Parsed, steps: dict[int, str], sample: Sample, spec: TaskSpec, gates: GateSettings
) -> Iterator[str]:
    """Every reason against a chain whose form is right, one gate after the other."""
    own = without_quotes_of(sample.text, parsed.think)
    if leaks(own, spec):
        yield "leak"
    if not is_right(sample, parsed.answer, spec):
        yield "wrong_answer"
    if copied(own) is not None:
        yield "copied"
    if steps and contradicts(steps[4], steps[5], str(parsed.answer), spec):
        yield "candidates"
    end = steps[6] if steps else last_sentence(parsed.think)
    if sample.task == "pair" and concludes_other(end, str(parsed.answer), spec):
        yield "other_conclusion"
    yield from _evidence(parsed, steps, sample, spec, gates.quotes)
    words = len(STEP.sub("", parsed.think).split())
    if words < gates.min_words:
        yield "too_short"
    if words > gates.max_words:
        yield "too_long"


def _evidence(parsed: Parsed, steps: dict[int, str], sample: Sample, spec: TaskSpec, least: int) -> Iterator[str]:
    looking = LOOKING if sample.image is not None else ()
    seen = "\n".join(steps[number] for number in looking if steps)
    rest = "\n".join(text for number, text in steps.items() if number not in looking) if steps else parsed.think
    # without steps nothing tells what is read in the picture from what is read in the text
    if unsupported(rest, sample, spec, seen=seen, straight=bool(steps) or sample.image is None) is not None:
        yield "evidence"
    if least and sample.image is None and _asserts(parsed) and held(parsed.think, sample.text) < least:
        yield "no_evidence"


def _asserts(parsed: Parsed) -> bool:
    """Whether there is anything to quote for."""
    nothing = isinstance(parsed.answer, Extraction) and not parsed.answer.entities
    return not nothing and len(parsed.think.split()) >= LINE


def _steps(think: str) -> dict[int, str]:
    """The number of each step -> its text; 0: what stands before the first."""
    start, *pieces = STEP.split(think)
    steps, current = {0: start}, 0
    for number, text in zip(pieces[::2], pieces[1::2], strict=True):
        current = int(number) if len(number) < 5 else current  # as the parser: a longer one is no step
        steps[current] = steps.get(current, "") + text
    return steps
