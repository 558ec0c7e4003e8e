"""A task of one's own, a guideline and its samples: everything that is wrong with them, in plain words."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from morerl.corpora import jsonl
from morerl.corpora.prepare import Pictures
from morerl.corpora.shared import Seen, Shared, shared
from morerl.guidelines import load_spec
from morerl.prompts.parse import parse
from morerl.prompts.render import render, render_gold, template_of
from morerl.schema import Entity, Extraction, Frozen, Gold, Reject, Sample, extraction
from morerl.scoring import is_right
from morerl.scoring.protocols import PAIRED
from morerl.settings import ImageSettings, PromptSettings
from morerl.task import TaskSpec, fold


class Findings(Frozen):
    """What was found: facts that are in order, advice that may be ignored, problems that may not."""

    facts: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check_task(guidelines: str, samples: Sequence[Path], image_root: Path | None) -> Findings:
    """Reads a guideline and files of samples, each line on its own, and says what does not fit together.

    Raises ConfigError or DataError for a guideline or a file that cannot be read at all.
    """
    spec = load_spec(guidelines)
    pictures = Pictures(image_root or Path(), skip=image_root is None)
    facts, problems, used = [_described(guidelines, spec)], list[str](), Counter[str]()
    misfits, seen = Counter[str](), dict[str, Seen]()
    for path in samples:
        counts = Counter[str]()
        holds = seen.setdefault(str(path), Seen())
        golden = 0
        said = len(problems)
        for row in jsonl.read_file(path):
            problems += _problems(row, spec, pictures, path)
            if isinstance(row, Sample):
                counts[row.task] += 1
                holds.add(row)
                golden += row.gold is not None
                used.update(_names(row))
                misfits.update(_misfits(row, spec))
        if not counts and len(problems) == said:
            problems.append(f"{path}: no sample in it")
        kinds = ", ".join(f"{n} samples of the task {task}" for task, n in counts.items())
        facts.append(f"{path}: {kinds or 'nothing'}, {golden} with gold")
    common = list(shared(seen))
    problems += [line for both in common for line in both.problems()]
    if pictures.opened:
        facts.append(f"pictures: {pictures.usable} of {pictures.opened} can be used, under {image_root}")
    elif pictures.seen:
        facts.append("pictures: not checked; give --image-root")
    return Findings(facts=tuple(facts), advice=tuple(_advice(spec, used, misfits, common)), problems=tuple(problems))


def _described(name: str, spec: TaskSpec) -> str:
    size = (
        f"{len(spec.answers)} answers, {spec.none!r} for no relation" if spec.none else f"{len(spec.labels)} relations"
    )
    return f"{name}: corpus {spec.corpus}, {size}, {len(spec.types)} types, protocol {spec.protocol}"


def _problems(row: Sample | Reject, spec: TaskSpec, pictures: Pictures, path: Path) -> Iterator[str]:
    if isinstance(row, Reject):
        yield f"{path}:{row.line}: {row.detail or row.reason}"
        return
    where = f"{path}: {row.id}"
    if (row.task == "pair") != (spec.protocol in PAIRED):
        yield f"{where}: asks {row.task!r}, which the guideline's protocol {spec.protocol!r} does not score"
        return
    kept = pictures.check(row)
    if isinstance(kept, Reject):
        yield f"{where}: the picture {row.image} cannot be used: {kept.detail.partition(': ')[2]} [{kept.reason}]"
    unknown = list(_unknown(row, spec))
    yield from (f"{where}: {one}" for one in unknown)
    if row.gold is not None and not unknown:
        yield from _comes_back(row, spec, where)


def _unknown(sample: Sample, spec: TaskSpec) -> Iterator[str]:
    """Labels and types that the guideline does not have, with the nearest it has."""
    if isinstance(sample.gold, Gold) and fold(sample.gold.label) not in spec.spellings:
        yield _nearest("gold label", sample.gold.label, spec.answers)
    if isinstance(sample.gold, Extraction):
        for type_ in sorted({entity.type for entity in sample.gold.entities} - set(spec.types)):
            yield _nearest("type", type_, tuple(spec.types))
        known = tuple(label.name for label in spec.labels)
        for label in sorted({relation.label for relation in sample.gold.relations} - set(known)):
            yield _nearest("relation", label, known)
    for type_ in sorted(set(sample.types) - set(spec.types)):
        yield _nearest("type asked for", type_, tuple(spec.types))


def _nearest(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    hint = f"; did you mean {near[0]!r}?" if near and difflib.SequenceMatcher(None, name, near[0]).ratio() > 0.6 else ""
    return f"the {what} {name!r} is not in the guideline{hint or f' (it has {len(known)})'}"


def _comes_back(sample: Sample, spec: TaskSpec, where: str) -> Iterator[str]:
    prompt = PromptSettings()
    render(sample, spec, prompt, ImageSettings())
    parsed = parse(render_gold(sample, template_of(sample, prompt)), spec, sample)
    if parsed.problems or not is_right(sample, parsed.answer, spec):
        reason = ", ".join(parsed.problems) or "it comes back as another"
        yield f"{where}: the gold answer does not come back through render, parse and score: {reason}"


def _names(sample: Sample) -> Iterator[str]:
    if isinstance(sample.gold, Gold):
        yield sample.gold.label
    elif isinstance(sample.gold, Extraction):
        yield from (entity.type for entity in sample.gold.entities)
        yield from (relation.label for relation in sample.gold.relations)


def _misfits(sample: Sample, spec: TaskSpec) -> Iterator[str]:
    """Labels of gold relations between argument types that the guideline does not let them join."""
    if not isinstance(sample.gold, Extraction):
        return
    entities: dict[str, Entity] = {entity.id: entity for entity in extraction(sample).entities}
    for relation in sample.gold.relations:
        head, tail = entities[relation.head].type, entities[relation.tail].type
        if relation.label not in spec.allowed(head, tail):
            yield relation.label


def _advice(spec: TaskSpec, used: Counter[str], misfits: Counter[str], common: Sequence[Shared]) -> Iterator[str]:
    for both in common:
        yield from both.advice()
    names = {fold(name) for name in used}
    directed = {fold(name.partition("(")[0]) for name in used}
    for label in spec.labels:
        if not names & {fold(one) for one in (label.name, *label.aliases)} and fold(label.name) not in directed:
            yield f"the label {label.name!r} occurs in no gold answer"
        if label.name != spec.none and not (label.positive and label.near_miss):
            yield f"the label {label.name!r} lacks an example: give a positive and a near_miss"
    if spec.protocol not in PAIRED:
        yield from (f"the type {name!r} occurs in no gold answer" for name in spec.types if name not in used)
    for name, count in misfits.most_common():
        yield f"{count} gold relations {name!r} join argument types that the guideline does not allow for it"
