"""The sample browser's data: which samples are shown, and each as plain JSON for the page's script.

The script only places what is here: spans are cut into pieces in Python, because JavaScript counts
UTF-16 units where our offsets count characters.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from morerl.report.pictures import Picture, thumbnail
from morerl.report.read import Run
from morerl.schema import Extraction, Gold, Prediction, Sample

MAX_CHARACTERS = 20_000  # of a text or a completion; a model that never stops must not fill the page
STEP = re.compile(r"(?:^|(?<=[\s>*#]))(Step\s*\d+)\s*:\s*", re.IGNORECASE)
THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)

Outcome = str  # right, wrong, fixed, broken, unknown


def outcome(sample: Sample, before: Prediction | None, after: Prediction | None) -> Outcome:
    """What the last stage made of a sample, against the stage before it where there is one.

    fixed: wrong before, right now; broken: right before, wrong now; unknown: no gold or no prediction.
    """
    if sample.gold is None or after is None:
        return "unknown"
    right = is_gold(sample, after)
    if before is None or is_gold(sample, before) == right:
        return "right" if right else "wrong"
    return "fixed" if right else "broken"


def is_gold(sample: Sample, prediction: Prediction) -> bool:
    """Whether the answer is the gold one, as the page shows both."""
    return sample.gold is not None and written(prediction.answer) == written(sample.gold)


def written(answer: Gold | Extraction | str | dict[str, Any] | None) -> str | None:
    """A label, or an extraction as one line (see `stated`); None where there is no answer."""
    return None if answer is None else "; ".join(stated(answer) or ["(nothing)"])


def stated(answer: Gold | Extraction | str | dict[str, Any]) -> list[str]:
    """What an answer states, a line each: a label, or an extraction's entities with their types, then its relations."""
    if isinstance(answer, Gold | str):
        return [answer.label if isinstance(answer, Gold) else answer]
    found = answer if isinstance(answer, Extraction) else Extraction.model_validate(answer)
    names = {entity.id: entity.text for entity in found.entities}
    entities = [f"{entity.text} [{entity.type}]" for entity in found.entities]
    relations = [f"{names.get(r.head, r.head)} -{r.label}-> {names.get(r.tail, r.tail)}" for r in found.relations]
    return [*sorted(entities), *sorted(relations)]


def outcomes(run: Run) -> dict[str, Outcome]:
    """Sample id -> outcome, for every test sample that some stage answered (all of them, if none did)."""
    answered = {id_ for stage in run.predictions.values() for id_ in stage}
    *_, before, after = [{}, {}, *run.predictions.values()]
    return {
        sample.id: outcome(sample, before.get(sample.id), after.get(sample.id))
        for sample in run.samples
        if not answered or sample.id in answered
    }


def choose(found: dict[str, Outcome], limit: int, seed: int) -> list[str]:
    """At most `limit` ids, drawn with `seed`, in the order of the file.

    Two thirds are telling ones (not plainly right); where either kind is too few, the other takes its places.
    """
    ids = list(found)
    if len(ids) <= limit:
        return ids
    random.Random(seed).shuffle(ids)
    telling = [id_ for id_ in ids if found[id_] != "right"]
    plain = [id_ for id_ in ids if found[id_] == "right"]
    room = max(limit * 2 // 3, limit - len(plain))
    chosen = set(telling[:room])
    chosen.update(plain[: limit - len(chosen)])
    return [id_ for id_ in found if id_ in chosen]


def browser(run: Run, limit: int) -> dict[str, Any]:
    """Everything the script needs: stages, pictures (each once), samples, and how they were chosen."""
    found = outcomes(run)
    chosen = set(choose(found, limit, run.seed))
    samples = [sample for sample in run.samples if sample.id in chosen]
    shown = dict.fromkeys((run.image_root(sample), sample.image) for sample in samples if sample.image is not None)
    place = {one: index for index, one in enumerate(shown)}
    return {
        "stages": list(run.predictions),
        "pictures": [picture(root, name).as_json() for root, name in shown],
        "samples": [sample_json(sample, run, found[sample.id], place) for sample in samples],
        "total": dict(Counter(found.values())),
        "seed": run.seed,
    }


def picture(root: Path | None, name: str) -> Picture:
    """The picture's thumbnail, or why there is none."""
    if root is None:
        return Picture(reason="data.image_root is not set in config.yaml")
    return thumbnail(root, name)


def sample_json(sample: Sample, run: Run, state: Outcome, place: dict[tuple[Path | None, str], int]) -> dict[str, Any]:
    """One sample as the script draws it."""
    return {
        "id": sample.id,
        "state": state,
        "gold": written(sample.gold),
        "pieces": pieces(sample),
        "picture": place[run.image_root(sample), sample.image] if sample.image is not None else None,
        "boxes": [
            {"id": region.id, "box": region.box, "type": region.type, "role": role(sample, region.id)}
            for region in sample.regions
        ],
        "answers": [answer_json(stage.get(sample.id), sample) for stage in run.predictions.values()],
    }


def role(sample: Sample, id_: str) -> str:
    """head, tail, or empty for what the question is not about."""
    return "head" if id_ == sample.head else "tail" if id_ == sample.tail else ""


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


def answer_json(prediction: Prediction | None, sample: Sample) -> dict[str, Any] | None:
    """A stage's answer, its reasoning by steps, and what was written outside the reasoning."""
    if prediction is None:
        return None
    completion = prediction.completions[0] if prediction.completions else ""
    thought, rest = split_thought(completion[:MAX_CHARACTERS])
    return {
        "answer": written(prediction.answer),
        "right": is_gold(sample, prediction),
        "problems": list(prediction.problems),
        "steps": steps(thought),
        "rest": rest + (" …" if len(completion) > MAX_CHARACTERS else ""),
        "drawn": len(prediction.completions),
    }


def split_thought(completion: str) -> tuple[str, str]:
    """(inside <think>, everything else); all of it is "else" where the tags are not a pair."""
    match = THINK.search(completion)
    if match is None:
        return "", completion.strip()
    return match[1].strip(), (completion[: match.start()] + completion[match.end() :]).strip()


def steps(thought: str) -> list[list[str]]:
    """[title, body] of every "Step n:" of the reasoning; text before the first has an empty title."""
    lead, *rest = STEP.split(thought)
    found = [["", lead.strip()]] if lead.strip() else []
    return found + [[title, body.strip()] for title, body in zip(rest[::2], rest[1::2], strict=True)]
