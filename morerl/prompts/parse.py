"""What a model wrote -> an answer, or none, and a list of named problems. Never raises.

The form is `<think> ... </think> <answer> ... </answer>`, for every task. The answer is taken from
the only answer tag outside the think block; a completion that breaks the form elsewhere keeps its
answer and names the problem, so that scoring and the format reward can judge apart.
"""

from __future__ import annotations

import re

from morerl.schema import Frozen, TaskSpec

FORM = re.compile(r"\s*<think>(?P<think>.*?)</think>\s*<answer>(?P<answer>.*?)</answer>\s*", re.DOTALL)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
STEP = re.compile(r"^[ \t]*Step (\d+):", re.MULTILINE)


class Parsed(Frozen):
    """One completion as the parser sees it."""

    answer: str | None = None
    think: str = ""
    steps: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def well_formed(self) -> bool:
        """One think block, then one answer, each tag once, nothing outside; the label may be unknown."""
        return not set(self.problems) - {"unknown_label"}


def parse(completion: str, spec: TaskSpec) -> Parsed:
    """The answer as one of `spec.answers`, or None with the reason among `problems`.

    Problems: no_think_tag, no_answer_tag, repeated_tag, answer_in_think, text_outside, empty_think,
    empty_answer, unknown_label.
    """
    # counted first: with many tags the expression would take time in the square of the length
    form = FORM.fullmatch(completion) if all(completion.count(tag) == 1 for tag in TAGS) else None
    if form is not None:
        think, inner, problems = form["think"], form["answer"], []
        if not think.strip():
            problems.append("empty_think")
    else:
        think, inner, problems = _salvage(completion)
    answer = None
    if inner is not None:
        answer = normalise(inner, spec)
        if answer is None:
            problems.append("unknown_label" if inner.strip() else "empty_answer")
    steps = tuple(int(number) for number in STEP.findall(think) if len(number) < 5)
    return Parsed(answer=answer, think=think.strip(), steps=steps, problems=tuple(problems))


def _salvage(completion: str) -> tuple[str, str | None, list[str]]:
    """Think text, answer text (None where there is no single answer tag after the thinking), problems."""
    problems = []
    before, _, after = completion.rpartition("</think>")
    if "<think>" not in before:
        problems.append("no_think_tag")
    if any(completion.count(tag) > 1 for tag in TAGS):
        problems.append("repeated_tag")
    if "<answer>" in before:
        problems.append("answer_in_think")
    opened, sign, rest = after.partition("<answer>")
    inner, closed, tail = rest.partition("</answer>")
    if not (sign and closed):
        return before.replace("<think>", ""), None, [*problems, "no_answer_tag"]
    if opened.strip() or tail.strip() or before.partition("<think>")[0].strip():
        problems.append("text_outside")
    usable = "repeated_tag" not in problems and "answer_in_think" not in problems
    return before.replace("<think>", ""), inner if usable else None, problems


def normalise(answer: str, spec: TaskSpec) -> str | None:
    """The legal answer meant by `answer`, or None.

    Blanks and case do not count, nor does a missing leading slash (more_r1 note, flaw 4); nothing
    else is repaired, and an unknown label never becomes the none label.
    """
    key = _key(answer)
    return _legal(spec).get(key)


def _key(answer: str) -> str:
    return re.sub(r"\s+", "", answer).casefold().removeprefix("/")


_LEGAL: dict[tuple[str, ...], dict[str, str]] = {}


def _legal(spec: TaskSpec) -> dict[str, str]:
    answers = spec.answers
    if answers not in _LEGAL:
        _LEGAL[answers] = {_key(answer): answer for answer in answers}
    return _LEGAL[answers]
