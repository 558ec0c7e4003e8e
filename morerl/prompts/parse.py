"""What a model wrote -> an answer, or none, and a list of named problems. Never raises.

The form is `<think> ... </think> <answer> ... </answer>`, for every task. The answer is taken from
the only answer tag outside the think block; a completion that breaks the form elsewhere keeps its
answer and names the problem, so that scoring and the format reward can judge apart.
"""

from __future__ import annotations

import re

from morerl.prompts.extraction import read_extraction
from morerl.schema import Extraction, Frozen, Sample
from morerl.task import TaskSpec, fold

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
STEP = re.compile(r"^[ \t]*Step (\d+):", re.MULTILINE)
# what may be wrong with an answer whose form is right
CONTENT = {
    *("unknown_label", "unknown_type", "unknown_argument", "unknown_key", "not_in_text", "bad_place", "repeated_id"),
}


class Parsed(Frozen):
    """One completion as the parser sees it."""

    answer: str | Extraction | None = None
    think: str = ""
    steps: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def well_formed(self) -> bool:
        """One think block, then one answer of the task's form, each tag once, nothing outside.

        What the answer says may still be unknown to the guideline or the text.
        """
        return not set(self.problems) - CONTENT


def parse(completion: str, spec: TaskSpec, sample: Sample) -> Parsed:
    """The answer to a sample's question, or None with the reason among `problems`.

    Of a `pair` one of `spec.answers`; else an Extraction, whose own problems are those of
    `morerl.prompts.extraction.read_extraction`. Problems of the form: no_think_tag, unclosed_think, no_answer_tag,
    repeated_tag, answer_in_think, text_outside, empty_think, empty_answer; of a pair's answer: unknown_label.
    """
    form = _form(completion)
    if form is not None:
        (think, inner), problems = form, []
        if not think.strip():
            problems.append("empty_think")
    else:
        think, inner, problems = _salvage(completion)
    answer, wrong = (None, []) if inner is None else _answer(inner, spec, sample)
    problems += wrong
    return Parsed(answer=answer, think=think.strip(), steps=_steps(think), problems=tuple(problems))


def _form(completion: str) -> tuple[str, str] | None:
    """Think text and answer text where every tag stands once, in order, and nothing but blanks outside."""
    pieces, rest = [], completion
    for tag in TAGS:
        piece, sign, rest = rest.partition(tag)
        if not sign:
            return None
        pieces.append(piece)
    before, think, between, inner = pieces
    if before.strip() or between.strip() or rest.strip() or any(completion.count(tag) > 1 for tag in TAGS):
        return None
    return think, inner


def _steps(think: str) -> tuple[int, ...]:
    """The numbers of the lines that begin a step, up to four digits."""
    found = [STEP.match(line) for line in think.split("\n") if "Step " in line]
    return tuple(int(step[1]) for step in found if step is not None and len(step[1]) < 5)


def _answer(inner: str, spec: TaskSpec, sample: Sample) -> tuple[str | Extraction | None, list[str]]:
    if not inner.strip():
        return None, ["empty_answer"]
    if sample.task != "pair":
        return read_extraction(inner, spec, sample)
    label = normalise(inner, spec)
    return label, [] if label is not None else ["unknown_label"]


def _salvage(completion: str) -> tuple[str, str | None, list[str]]:
    """Think text, answer text (None where there is no single answer tag after the thinking), problems."""
    problems = []
    before, closed, after = completion.rpartition("</think>")
    if not closed and "<think>" in after:  # it goes on thinking to the end, whatever tags it writes there
        return after.replace("<think>", ""), None, ["unclosed_think"]
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

    Blanks and case do not count, nor does a missing leading slash (more_r1 note, flaw 4), and an alias of the
    guideline stands for its label; nothing else is repaired, and an unknown label never becomes the none label.
    """
    return spec.spellings.get(fold(answer))
