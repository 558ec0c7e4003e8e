"""Builds reasoning.jsonl: choose samples, ask, judge, keep; rejects go beside with their reason."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from morerl.errors import ConfigError
from morerl.guidelines import load_spec
from morerl.jsonl import read_samples, write_records
from morerl.prompts.extraction import write_extraction
from morerl.prompts.render import Messages, fill, render, template_of
from morerl.runs import begin, finish
from morerl.schema import Reasoning, Sample, extraction, label
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.teacher.gates import judge
from morerl.teacher.mimic import mimic_teacher
from morerl.teacher.reply import Teacher
from morerl.teacher.scenes import SceneTeacher


def choose(samples: Sequence[Sample], share: float, *, seed: int) -> list[Sample]:
    """A share of each label's samples, at least one, in corpus order (MORE-R1 section 2.3).

    Of extractions: of the samples that hold the same labels (relations, or types where none are asked for).
    Half is rounded up. Seeded; a label's draw does not depend on the other labels.
    """
    by_label: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.gold is not None:
            by_label[_stratum(sample)].append(sample)
    chosen = {
        sample.id
        for name, members in by_label.items()
        for sample in random.Random(f"{seed}/{name}").sample(members, max(1, math.floor(share * len(members) + 0.5)))
    }
    return [sample for sample in samples if sample.id in chosen]


def _stratum(sample: Sample) -> str:
    if sample.task == "pair":
        return label(sample)
    gold = extraction(sample)
    names = {one.label for one in gold.relations} if sample.task == "extract" else {one.type for one in gold.entities}
    return " ".join(sorted(names))


def run_teach(settings: Settings, *, listener: Callable[[int, int], object] = lambda done, total: None) -> Path:
    """Writes <run.dir>/reasoning.jsonl and rejected.jsonl with the chosen teacher.

    Raises ConfigError, DataError.
    """
    out = settings.run.dir / "reasoning.jsonl"
    if begin(settings, "teach", [settings.data.dir / "train.jsonl"]) is not None:
        return out
    spec = load_spec(settings.data.guidelines)
    train = read_samples(settings.data.dir / "train.jsonl", limit=settings.data.limit)
    chosen = choose(train, settings.teach.share, seed=settings.run.seed)
    done = iter(range(1, len(chosen) + 1))
    counts = build(
        chosen,
        teacher(settings, spec, chosen),
        spec,
        settings,
        out,
        on_sample=lambda: listener(next(done), len(chosen)),
    )
    finish(settings, "teach", {"asked": len(chosen), **dict(counts)})
    return out


def teacher(settings: Settings, spec: TaskSpec, samples: Sequence[Sample]) -> Teacher:
    """The teacher the settings name, for those samples. Raises ConfigError if its material is missing."""
    if settings.teach.teacher == "mimic":
        return mimic_teacher(samples, spec)
    root = settings.data.image_root
    if root is None or not (root / "scenes.jsonl").is_file():
        raise ConfigError("teach.teacher = scenes needs data.image_root to be a folder made by tools/draw_scenes.py")
    return SceneTeacher(root, spec, seed=settings.run.seed)


def build(
    samples: Sequence[Sample],
    teacher: Teacher,
    spec: TaskSpec,
    settings: Settings,
    out: Path,
    *,
    on_sample: Callable[[], object] = lambda: None,
) -> Counter[str]:
    """Asks the teacher for every sample; writes `out` and rejected.jsonl beside it.

    Returns counts: "kept" and every reject reason.
    """
    rows = []
    for sample in samples:
        rows.append(_ask(sample, teacher, spec, settings))
        on_sample()
    write_records(out, (row for row in rows if row.reason is None))
    write_records(out.with_name("rejected.jsonl"), (row for row in rows if row.reason is not None))
    return Counter(row.reason or "kept" for row in rows)


def _ask(sample: Sample, teacher: Teacher, spec: TaskSpec, settings: Settings) -> Reasoning:
    messages = teacher_messages(sample, spec, settings)
    reply = teacher(sample, messages)
    return Reasoning(
        id=sample.id,
        completion=reply.text,
        model=reply.model,
        prompt_hash=hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest(),
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        reason=judge(reply.text, reply.finish_reason, sample, spec, template_of(sample, settings.prompt)),
    )


def teacher_messages(sample: Sample, spec: TaskSpec, settings: Settings) -> Messages:
    """The student's prompt with the gold block after it (MORE-R1's block (c)): only a teacher sees gold."""
    teacher_prompt = settings.prompt.model_copy(
        update={"template": "stepwise" if settings.teach.teacher != "mimic" else settings.prompt.template}
    )
    messages = render(sample, spec, teacher_prompt, settings.images)
    written = "" if sample.task == "pair" else write_extraction(sample)
    gold = fill("gold_block", sample, spec, settings.images, gold=sample.gold, written=written)
    return [{**messages[0], "content": [*messages[0]["content"], {"type": "text", "text": gold}]}]
