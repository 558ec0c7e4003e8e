"""One chain of a teacher as the audit page shows it: plain values, cut to a length a page can bear."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from morerl.prompts.parse import parse
from morerl.prompts.render import describe
from morerl.report.pictures import NO_ROOT, Picture, thumbnail
from morerl.report.quotes import Pieces, quoted, text_forms
from morerl.report.reasons import NO_REPLY, REASONS
from morerl.report.said import MAX_CHARACTERS, role, stated, steps
from morerl.schema import Extraction, Gold, Mention, Reasoning, Sample
from morerl.scoring import is_right
from morerl.task import TaskSpec

MAX_NAME = 200  # characters of a name that is listed beside others


class Line(NamedTuple):
    """One line of an answer; right: the other answer (gold, or the chain's) states it too, None: not to be judged."""

    text: str
    right: bool | None


class Box(NamedTuple):
    """A region in pixels of the thumbnail; role is head, tail or empty."""

    x: float
    y: float
    width: float
    height: float
    role: str
    title: str


class Asked(NamedTuple):
    """What a sample shows and asks."""

    corpus: str
    question: str
    head: str
    tail: str
    types: str
    pieces: list[list[str]]
    picture: Picture | None
    boxes: list[Box]
    gold: list[Line]


class Chain(NamedTuple):
    """One chain; asked is None where the samples do not have its id, answer is empty where none can be read."""

    id: str
    kept: bool
    reason: str
    why: str
    asked: Asked | None
    steps: list[tuple[str, Pieces]]
    answer: list[Line]
    right: bool | None
    problems: tuple[str, ...]
    written: str
    facts: list[tuple[str, str]]
    labels: list[str]


def show(row: Reasoning, sample: Sample | None, kept: bool, spec: TaskSpec, guide: str, root: Path | None) -> Chain:
    """A row with its sample; the answer is read and judged anew, not taken from the row."""
    read = parse(row.completion, spec, sample) if sample else None
    known = sample is not None and sample.gold is not None
    reason = "" if kept else reason_of(row)
    return Chain(
        id=cut(row.id),
        kept=kept,
        reason=reason,
        why=REASONS.get(reason, "") if row.completion or kept else NO_REPLY,
        asked=_asked(sample, read.answer if read else None, spec, root) if sample else None,
        steps=_steps(read.think, sample, guide) if read and sample else [],
        answer=_lines(read.answer, sample.gold) if read and sample and read.answer is not None else [],
        right=is_right(sample, read.answer, spec) if read and sample and known else None,
        problems=read.problems if read else (),
        written=cut(row.completion),
        facts=_facts(row),
        labels=labels(sample) if sample else [],
    )


def reason_of(row: Reasoning) -> str:
    """The name of a rejected row's reason."""
    return (row.reason or "no reason given")[:MAX_NAME]


def cut(text: str) -> str:
    """At most MAX_CHARACTERS of a text, and how many it has where it has more."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]} … (the first {MAX_CHARACTERS:,} of {len(text):,} characters)"


def labels(sample: Sample) -> list[str]:
    """The labels of a sample's gold: its own, those of its relations, or its entities' types where none are asked."""
    if sample.gold is None or isinstance(sample.gold, Gold):
        return [sample.gold.label] if sample.gold else []
    if sample.task == "extract":
        return sorted({relation.label for relation in sample.gold.relations})
    return sorted({entity.type for entity in sample.gold.entities})


def _steps(think: str, sample: Sample, guide: str) -> list[tuple[str, Pieces]]:
    text = text_forms(sample.text)
    return [(title, quoted(body, text, guide)) for title, body in steps(cut(think))]


def _asked(sample: Sample, answer: str | Extraction | None, spec: TaskSpec, root: Path | None) -> Asked:
    pair = sample.task == "pair"
    shown = _picture(root, sample.image) if sample.image is not None else None
    return Asked(
        corpus=f"{sample.corpus}, {sample.split}",
        question=spec.question,
        head=cut(describe(sample, sample.head)) if pair else "",
        tail=cut(describe(sample, sample.tail)) if pair else "",
        types=", ".join(sample.types),
        pieces=pieces(_with_entities(sample)),
        picture=shown,
        boxes=_boxes(sample, shown) if shown and not shown.reason else [],
        # of a pair the answer's own mark says it all
        gold=_lines(sample.gold, None if pair else answer) if sample.gold is not None else [],
    )


def _picture(root: Path | None, name: str) -> Picture:
    if root is None:
        return Picture(reason=NO_ROOT)
    return thumbnail(root, name)


def pieces(sample: Sample) -> list[list[str]]:
    """The text cut where a mention starts or ends: [piece, kind], kind one of "", other, head, tail.

    A piece inside several mentions takes the most telling kind.
    """
    text = sample.text[:MAX_CHARACTERS]
    cuts = sorted({0, len(text), *(min(end, len(text)) for m in sample.mentions for end in (m.start, m.end))})
    cut = [[text[a:b], _kind(sample, a, b)] for a, b in pairwise(cuts)]
    return cut + ([[" …", ""]] if len(sample.text) > len(text) else [])


def _kind(sample: Sample, start: int, end: int) -> str:
    roles = [role(sample, m.id) or "other" for m in sample.mentions if m.start <= start and end <= m.end]
    return next((kind for kind in ("head", "tail", "other") if kind in roles), "")


def _with_entities(sample: Sample) -> Sample:
    """The sample with its gold entities as mentions, so that they are marked in the text."""
    if not isinstance(sample.gold, Extraction):
        return sample
    fields = [entity.model_dump() for entity in sample.gold.entities]
    return sample.model_copy(update={"mentions": tuple(Mention.model_validate(entity) for entity in fields)})


def _boxes(sample: Sample, shown: Picture) -> list[Box]:
    """The regions, those the question is about last, so that they lie on top."""
    boxes = []
    for region in sample.regions:
        (x1, y1, x2, y2), asked = region.box, role(sample, region.id)
        title = " · ".join(filter(None, (region.id, region.type, asked)))
        size = (round((x2 - x1) * shown.width, 1), round((y2 - y1) * shown.height, 1))
        boxes.append(Box(round(x1 * shown.width, 1), round(y1 * shown.height, 1), *size, asked, title))
    return sorted(boxes, key=lambda box: bool(box.role))


def _lines(answer: Gold | Extraction | str, other: Gold | Extraction | str | None) -> list[Line]:
    """An answer's lines, each with whether the other answer has it; cut where they are more than a page can bear."""
    known, lines, room = set(stated(other)) if other is not None else None, [], MAX_CHARACTERS
    for text in stated(answer) or ["(nothing)"]:
        room -= len(text)
        if room < 0:
            return [*lines, Line("… (cut)", None)]
        lines.append(Line(text, None if known is None else text in (known or {"(nothing)"})))
    return lines


def _facts(row: Reasoning) -> list[tuple[str, str]]:
    """Provenance, name and value; what was not recorded is left out."""
    found: dict[str, object] = {
        "model": row.model,
        "strategy": row.strategy,
        "draw": row.draw,
        "temperature": row.temperature,
        "seed": row.seed,
        "finish reason": row.finish_reason,
        "usage": ", ".join(f"{name} {n:,}" for name, n in row.usage.items()),
        "requests sent": row.attempts,
        "time": row.time,
        "pass rate": row.pass_rate,
        "prompt, SHA-256": row.prompt_hash,
        "pictures, SHA-256": " ".join(row.pictures),
    }
    return [(name, cut(str(value))) for name, value in found.items() if value not in (None, "")]
