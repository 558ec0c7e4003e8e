"""The sample browser's data: which samples are shown, and each as plain JSON for the page's script.

Offsets count UTF-16 units, as JavaScript does, where ours count characters. Names of keys are short because there
may be thousands of samples.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from morerl.report.judged import Outcome, Reward, Verdict, Verdicts, labels_of, outcomes
from morerl.report.said import MAX_CHARACTERS, Told, role, told
from morerl.report.sets import Answered
from morerl.schema import Extraction, Gold, Rated, Sample

CAPS = (MAX_CHARACTERS, 10_000, 6_000, 4_000, 2_500, 1_500, 1_000)  # characters of one completion
ROOM = 24_000_000  # characters of all completions: what a browser unpacks well within two seconds
Scorer = Callable[[str, Sample], list[Reward]]


class Shown(NamedTuple):
    """One set as the browser shows it: samples, what each stage wrote of each, and the pictures, each once."""

    total: Counter[Outcome]
    samples: list[dict[str, Any]]
    told: list[list[Told | None]]
    pictures: list[tuple[Path | None, str]]


class Judged(NamedTuple):
    """A set with its verdicts, and who says what an answer earns."""

    answered: Answered
    verdicts: Verdicts
    score: Scorer


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


def show_set(judged: Judged, rated: list[Rated], *, number: int, limit: int, seed: int, first_picture: int) -> Shown:
    """The samples of set `number` that the page holds; its pictures count from `first_picture`."""
    answered = judged.answered
    found = outcomes(answered, judged.verdicts)
    chosen = set(choose(found, limit, seed))
    samples = [sample for sample in answered.samples if sample.id in chosen]
    names = list(dict.fromkeys(sample.image for sample in samples if sample.image is not None))
    place = {name: first_picture + index for index, name in enumerate(names)}
    rates = {record.id: record.pass_rate for record in rated}
    cap = _cap(judged.verdicts, chosen)
    shown, told = [], []
    for sample in samples:
        one = sample_json(sample, judged) | {"set": number, "state": found[sample.id]}
        one["pic"] = None if sample.image is None else place[sample.image]
        one["rate"] = rates.get(sample.id, one["rate"])
        shown.append(one)
        told.append([_told(stage.get(sample.id), cap) for stage in judged.verdicts.values()])
    return Shown(Counter(found.values()), shown, told, [(answered.image_root, name) for name in names])


def _cap(verdicts: Verdicts, chosen: set[str]) -> int:
    """How many characters of a completion are shown, so that all of them together fit the page."""
    lengths = [
        len(one.completions[0])
        for stage in verdicts.values()
        for id_, one in stage.items()
        if id_ in chosen and one.completions
    ]
    fits = (cap for cap in CAPS if sum(min(length, cap) for length in lengths) <= ROOM)
    return next(fits, CAPS[-1])


def sample_json(sample: Sample, judged: Judged) -> dict[str, Any]:
    """One sample as the script draws it, but for its place among the others."""
    found = [stage.get(sample.id) for stage in judged.verdicts.values()]
    drawn = sum(max(len(one.completions), 1) for one in found if one is not None and one.right is not None)
    passed = sum(one.passed for one in found if one is not None)
    unit = units(sample.text)
    return {
        "id": sample.id,
        "text": sample.text[:MAX_CHARACTERS] + (" …" if len(sample.text) > MAX_CHARACTERS else ""),
        "task": sample.task,
        "marks": [[unit(m.start), unit(m.end), role(sample, m.id) or "other"] for m in sample.mentions],
        "boxes": [
            [*_rounded(r.box), " · ".join(filter(None, (r.id, r.type))), role(sample, r.id)] for r in sample.regions
        ],
        "gold": sample.gold.label if isinstance(sample.gold, Gold) else _found_json(sample.gold, unit),
        "labels": labels_of(sample.gold),
        "rate": round(passed / drawn, 3) if drawn else None,
        "answers": [one and answer_json(one, sample, judged.score, unit) for one in found],
    }


def _rounded(box: tuple[float, ...]) -> list[float]:
    return [round(value, 4) for value in box]


def units(text: str) -> Callable[[int], int]:
    """Character offset -> UTF-16 offset; offsets past what is shown become its end."""
    shown = text[:MAX_CHARACTERS]
    if shown.isascii() or max(shown) <= "\uffff":
        return lambda at: min(at, len(shown))
    places = [0]
    for character in shown:
        places.append(places[-1] + (2 if character > "\uffff" else 1))
    return lambda at: places[min(at, len(shown))]


def _found_json(found: Extraction | None, unit: Callable[[int], int]) -> dict[str, Any] | None:
    """Entities as [start, end, type, text], null where they stand nowhere; relations as [head, tail, label].

    Head and tail are places in the list of entities, or a name that is none of theirs.
    """
    if found is None:
        return None
    place = {entity.id: number for number, entity in enumerate(found.entities)}
    entities = [
        [*((None, None) if e.start is None or e.end is None else (unit(e.start), unit(e.end))), e.type, e.text]
        for e in found.entities
    ]
    relations = [[place.get(r.head, r.head), place.get(r.tail, r.tail), r.label] for r in found.relations]
    return {"entities": entities, "relations": relations}


def answer_json(one: Verdict, sample: Sample, score: Scorer, unit: Callable[[int], int]) -> dict[str, Any]:
    """A stage's answer, what is wrong with it, and what it earns."""
    answer, completion = one.parsed.answer, one.completions[0] if one.completions else ""
    return {
        "answer": None if answer is None else answer if isinstance(answer, str) else "",
        "found": _found_json(answer, unit) if isinstance(answer, Extraction) else None,
        "labels": labels_of(answer),
        "right": one.right,
        "errors": list(one.errors),
        "problems": list(one.parsed.problems),
        "rewards": [[name, round(value, 4), weight] for name, value, weight in score(completion, sample)],
        "drawn": len(one.completions),
        "passed": one.passed,
    }


def _told(one: Verdict | None, cap: int) -> Told | None:
    if one is None:
        return None
    completion = one.completions[0] if one.completions else ""
    said, rest = told(completion, cap)
    more = f" … (the first {cap:,} of {len(completion):,} characters)" if len(completion) > cap else ""
    return said, rest + more
