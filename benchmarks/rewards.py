"""Completions a second that the rewards judge on one core, all parts together: assets/results/rewards.md.

    OMP_NUM_THREADS=1 python -m benchmarks.rewards

Timed by the process's own CPU time, the middle of several rounds, through the very functions TRL calls: samples read
from their JSON, completions parsed, every part of the preset asked in turn. Groups of 8 completions of a sample; a
pair's reasoning has about 1,100 characters, an extraction's plan of 5 entities and up to 3 relations
about 1,600 (SciER has 3.2 and 1.6 a sentence).
"""

from __future__ import annotations

import argparse
import cProfile
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from morerl.guidelines import load_spec
from morerl.prompts.render import render_completion
from morerl.schema import Entity, Extraction, Gold, Mention, Region, Relation, Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.tasks import load_tasks
from morerl.teacher.strategies import mimic
from morerl.training.grpo import reward_functions

GROUP = 8
NAMES = ("LeafNet", "BarkSet", "TwigFormer", "leaf counting", "OrchardBench")
TYPES = ("Method", "Dataset", "Method", "Task", "Dataset")

SAID = (
    "The whole picture shows a stage with three people in dark suits, behind them a blue curtain and a coat of arms; "
    "the crop holds the man on the left, who receives a folder from a woman.",
    "The title says that an economics prize goes to several pioneers; such a scene is what a ceremony looks like, "
    "so picture and title belong together.",
    "No name in the title stands for the man himself, but 'pioneers' may well include him; the other argument is the "
    "prize, which is handed over here.",
    "The object is a human being, hence per; the entity is neither a body nor a place but the name of an award: misc.",
    "Between per and misc may stand present_in, awarded, party, nationality and president; none is always possible.",
    "A party or nationality makes no sense for a prize, a presidency neither; he is not merely present at it, as the "
    "folder is given to him while others applaud, which speaks for awarded. The other doubt is small: he could be a "
    "member of the committee, yet then he would give and not take.",
)


def main() -> None:
    """Writes and prints a line a preset; with --profile where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=100, help="a round, 8 completions each")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("assets/results/rewards.md"))
    asked = parser.parse_args()
    lines = []
    for preset, guidelines, make in (
        ("more_r1", "more", pair),
        ("r1_re", "more", pair),
        ("r2grpo", "scier", extract),
        ("ner_rl", "scier", extract),
    ):
        judge, count = batch(preset, guidelines, make, asked.samples)
        rates = sorted(count / seconds(judge) for _ in range(asked.rounds))
        wanted = WANTED[make]
        lines.append(
            f"| {preset} | {make.__name__} | {statistics.median(rates):,.0f} | {rates[0]:,.0f} to {rates[-1]:,.0f} "
            f"| {wanted:,} |"
        )
        if asked.profile:
            profile = cProfile.Profile()
            profile.runcall(judge)
            pstats.Stats(profile).sort_stats("tottime").print_stats(18)
    asked.out.write_text(page(lines, asked.rounds, asked.samples), encoding="utf-8")
    print(asked.out.read_text(encoding="utf-8"))


def page(lines: list[str], rounds: int, samples: int) -> str:
    """The markdown page."""
    return "\n".join(
        [
            "# Completions judged a second, on one core",
            "",
            "All parts of a preset together, through the functions the trainer calls: samples read from their JSON,",
            f"completions parsed, each part asked in turn. CPU time of {rounds} rounds of {samples * GROUP}.",
            "",
            "| preset | task | median | range | wanted |",
            "|---|---|---|---|---|",
            *lines,
            "",
            f"By `OMP_NUM_THREADS=1 python -m benchmarks.rewards --rounds {rounds} --samples {samples}` on a CPU "
            f"({platform.machine()}), Python {platform.python_version()}.",
            "",
        ]
    )


def seconds(run: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def batch(
    preset: str, guidelines: str, make: Callable[[int, TaskSpec], tuple[Sample, list[str]]], samples: int
) -> tuple[Callable[[], None], int]:
    """What judges a fresh batch of the preset's parts as TRL would, and how many completions it holds."""
    tree = {"run": {"dir": "."}, "data": {"dir": ".", "guidelines": guidelines}, "grpo": {"rewards": preset}}
    settings = Settings.model_validate(tree)
    made = [make(number, load_spec(guidelines)) for number in range(samples)]
    texts = [[{"role": "assistant", "content": text}] for _, each in made for text in each]
    rows = [sample.model_dump_json() for sample, each in made for _ in each]
    ids: list[Any] = [range(300)] * len(rows)

    def judge() -> None:
        functions, _ = reward_functions(settings, load_tasks(settings))
        for function in functions:
            function(completions=texts, completion_ids=ids, sample=rows)

    return judge, len(rows)


def pair(number: int, spec: TaskSpec) -> tuple[Sample, list[str]]:
    """A pair with a picture and eight completions, half of them right."""
    text = f"Economics Prize number {number} goes to pioneers in reducing poverty"
    sample = Sample(
        id=f"pair/{number}",
        corpus="more",
        split="train",
        text=text,
        image="a.jpg",
        mentions=(Mention(id="m0", start=0, end=15, text="Economics Prize"),),
        regions=(Region(id="r0", box=(0.1, 0.1, 0.5, 0.5)),),
        head="r0",
        tail="m0",
        gold=Gold(label=spec.answers[1 + number % 20]),
    )
    think = "\n".join(f"Step {step}: {line}" for step, line in enumerate(SAID, 1))
    return sample, [render_completion(think, spec.answers[(number + row % 2) % 21]) for row in range(GROUP)]


def extract(number: int, spec: TaskSpec) -> tuple[Sample, list[str]]:
    """A sentence of five entities and three relations, and eight completions with none of them to all."""
    text, entities = "", []
    for place, (name, kind) in enumerate(zip(NAMES, TYPES, strict=True)):
        text += f"in case {number} of {place} "
        entities.append(Entity(id=f"g{place}", text=name, type=kind, start=len(text), end=len(text) + len(name)))
        text += f"{name} "
    links = ((0, "Trained-With", 1), (2, "Used-For", 3), (4, "Benchmark-For", 3))
    relations = tuple(Relation(head=f"g{head}", label=label, tail=f"g{tail}") for head, label, tail in links)
    gold = Extraction(entities=tuple(entities), relations=relations)
    sample = Sample(id=f"extract/{number}", corpus="scier", split="train", text=text, task="extract", gold=gold)
    answers = [gold.model_copy(update={"relations": relations[: row % 4]}) for row in range(GROUP)]
    return sample, [mimic.plan(sample.model_copy(update={"gold": answer}), spec) for answer in answers]


WANTED = {pair: 20_000, extract: 3_000}  # completions a second

if __name__ == "__main__":
    main()
