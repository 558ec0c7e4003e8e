"""What a model wrote to a record's questions -> the record's result."""

from __future__ import annotations

from collections.abc import Sequence

from morerl.extract.merge import merge
from morerl.extract.questions import Question
from morerl.extract.record import Record
from morerl.extract.result import Answer, FoundEntity, FoundRelation, Result
from morerl.prompts.parse import Parsed, parse
from morerl.task import DIRECTIONS, TaskSpec

TOO_FAR = "too_far_apart"
NOTHING = "no_completion"


def result_of(record: Record, spec: TaskSpec, asked: Sequence[Question], said: Sequence[str | None]) -> Result:
    """The record's result; `said`: what the model wrote to each question, None where it was not asked."""
    parsed = [_parsed(question, text, spec) for question, text in zip(asked, said, strict=True)]
    answers = [_answer(q, p, text) for q, p, text in zip(asked, parsed, said, strict=True)]
    if record.mentions or record.regions:
        entities, relations = _given(record), _related(answers, spec)
    else:
        entities, relations = merge(record.text, spec, [question.window for question in asked], parsed)
    return Result(
        id=record.id,
        text=record.text,
        image=record.image,
        entities=tuple(entities),
        regions=record.regions,
        relations=tuple(relations),
        answers=tuple(answers),
    )


def _parsed(question: Question, text: str | None, spec: TaskSpec) -> Parsed:
    if question.sample is None:
        return Parsed(problems=(TOO_FAR,))
    return parse(text, spec, question.sample) if text else Parsed(problems=(NOTHING,))


def _answer(question: Question, parsed: Parsed, text: str | None) -> Answer:
    return Answer(
        start=question.window[0],
        end=question.window[1],
        head=question.head,
        tail=question.tail,
        label=parsed.answer if isinstance(parsed.answer, str) else None,
        reasoning=parsed.think,
        problems=parsed.problems,
        completion=text if parsed.problems else None,
    )


def _given(record: Record) -> list[FoundEntity]:
    return [FoundEntity(**mention.model_dump(), status="exact") for mention in record.mentions]


def _related(answers: Sequence[Answer], spec: TaskSpec) -> list[FoundRelation]:
    """The pairs between which there is a relation, in the order that the answer names."""
    named = {label.name + order: (label.name, order) for label in spec.labels for order in ("", *DIRECTIONS)}
    out = []
    for one in answers:
        if one.label is None or one.label == spec.none or one.head is None or one.tail is None:
            continue
        label, order = named[one.label]
        head, tail = (one.tail, one.head) if order == DIRECTIONS[1] else (one.head, one.tail)
        out.append(FoundRelation(head=head, tail=tail, label=label, status="exact"))
    return out
