"""Definitions in the prompt, and relations never trained on: R1-RE's claim in small (assets/results/guidelines.md).

    python -m benchmarks.guidelines SEMEVAL_FOLDER --seeds 5 --parallel 2

Two relations are held out of training. A model of random weights learns to say whether a relation holds, of the other
relations, told by their names or by their definitions (the ways of benchmarks/guideline_data.py), for the same number
of steps on as many questions. Then it is asked about all. The model of the last step is asked: dev, which has none of
the held-out relations, can choose nothing here. Runs that are done are read, not run again.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.guideline_data import (
    SPLITS,
    Question,
    bare,
    chain,
    made_up,
    questions,
    scenes,
    sentences,
    yes_or_no,
)
from benchmarks.seeds import CONFIG, Row, call, half_width, interval, made_by, parser_of, table, write
from morerl.jsonl import read_records, read_samples, write_json, write_records
from morerl.schema import Prediction, Sample, label
from morerl.task import Label

WAYS = {"scenes": ("names", "definitions", "varied"), "sem2010": ("names", "definitions")}
CONFIGS = {"scenes": CONFIG, "sem2010": "configs/sem2010/tiny.yaml"}
HELD = {
    "scenes": ("/org/misc/present_in", "/per/per/opponent"),
    "sem2010": ("Content-Container", "Message-Topic"),
}
TRAIN, DEV, TEST = 4000, 40, 400  # questions; of the trained and of the held-out relations TEST each
SCENES = ("--train", "2400", "--dev", "50", "--test", "120")
STEPS = {"scenes": 400, "sem2010": 800}
HOW = (
    *("data.max_prompt_tokens=192", "prompt.template=stepwise_brief"),
    *("model.tiny.vocab_size=2048", "model.tiny.attention_dropout=0.0"),
    *("sft.trainer.warmup_steps=40", "sft.trainer.per_device_train_batch_size=16"),
    *("sft.trainer.learning_rate=3.0e-3", "sft.trainer.train_sampling_strategy=random"),
)


def main() -> None:
    """Runs what is missing and writes the page, its figures and the picture."""
    parser = parser_of(__doc__, "runs/guidelines", "assets/results/guidelines.md")
    parser.add_argument("raw_dir", type=Path, help="SemEval-2010 Task 8: folder of the full release, unpacked")
    parser.add_argument("--corpora", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    options = parser.parse_args()
    sources(options)
    asked = [(corpus, seed, way) for corpus in options.corpora for seed in range(options.seeds) for way in WAYS[corpus]]
    with ThreadPoolExecutor(options.parallel) as pool:
        rows = list(pool.map(lambda one: run(*one, options), asked))
    write(rows, page(rows, options), options, picture)


def sources(options: argparse.Namespace) -> None:
    """The samples that the questions are made of, if they are not there."""
    told = {"sem2010": ("sem2010", str(options.raw_dir))} if "sem2010" in options.corpora else {}
    for seed in range(options.seeds if "scenes" in options.corpora else 0):
        raw = options.runs / f"scenes-{seed}" / "raw"
        if not (raw / "scenes.jsonl").is_file():
            call(options.parallel, "tools/draw_scenes.py", "--out", str(raw), "--seed", str(seed), *SCENES)
        told[f"scenes-{seed}"] = ("more", str(raw))
    for name, source in told.items():
        folder = options.runs / name / "data"
        if not (folder / "corpus.json").is_file():  # written last
            call(options.parallel, "tools/prepare_corpus.py", *source, "--out", str(folder))


def run(corpus: str, seed: int, way: str, options: argparse.Namespace) -> Row:
    """One model's figures, in per cent."""
    here = options.runs / f"{corpus}-{seed}-{way}"
    answers = here / "predictions.jsonl"
    if not answers.is_file():
        prepare(corpus, seed, way, options)
        own = [f"run.dir={here}", f"run.seed={seed}", f"data.dir={here / 'data'}"]
        own.append(f"data.guidelines={here / 'guideline.yaml'}")
        own += [f"data.image_root={options.runs / f'scenes-{seed}' / 'raw'}"] if corpus == "scenes" else []
        own += [f"sft.trainer.max_steps={STEPS[corpus]}", f"sft.dev.every_steps={STEPS[corpus]}"]
        last = here / "sft" / "checkpoints" / f"checkpoint-{STEPS[corpus]}"
        own += [f"predict.model={last}", f"predict.out={answers}"]
        for verb in ("sft", "predict"):
            call(options.parallel, "-m", "morerl", verb, CONFIGS[corpus], *own, *HOW)
    gold = {one.id: label(one) for one in read_samples(here / "data" / "test.jsonl")}
    given = {row.id: str(row.answer) for row in read_records(answers, Prediction)}
    asked = json.loads((here / "asked.json").read_text(encoding="utf-8"))
    right = [Answer(*asked[id_], right=given[id_] == answer) for id_, answer in gold.items()]
    return {"corpus": corpus, "seed": seed, "way": way, **figures(right, HELD[corpus])}


def prepare(corpus: str, seed: int, way: str, options: argparse.Namespace) -> None:
    """Writes a run's questions, what is to be learnt, its task, and what each question asks about."""
    here, held = options.runs / f"{corpus}-{seed}-{way}", HELD[corpus]
    of = scenes(options.runs / f"scenes-{seed}", seed) if corpus == "scenes" else sentences(options.runs / "sem2010")
    rng, none = random.Random(seed), str(of.spec.none)
    relations = [one for one in of.spec.labels if one.name != none]
    kept = [one for one in relations if one.name not in held]
    new = [one for one in relations if one.name in held]
    # what is never trained on may be asked about, whichever split it is of
    unseen = [one for split in ("test", "train") for one in of.splits[split] if bare(label(one)) in held]
    known = {split: [one for one in of.splits[split] if bare(label(one)) not in held] for split in SPLITS}
    known["train"] = rng.sample(known["train"], len(known["train"]))

    def ask(samples: Sequence[Sample], about: Sequence[Label], limit: int) -> list[Question]:
        return questions(rng.sample(samples, len(samples)), about, none, way, limit, rng)

    test = [*ask(known["test"], kept, TEST), *ask([*unseen, *known["test"]], new, TEST)]
    dev, train = ask(known["dev"], kept, DEV), ask(known["train"], kept, TRAIN)
    if way == "varied":
        other = [made_up(one, of.steps(one), none, rng) for one in known["train"][: TRAIN // 2]]
        train = rng.sample([*train[: TRAIN // 2], *other], TRAIN)
    (here / "data").mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("dev", dev), ("test", test)):
        write_records(here / "data" / f"{split}.jsonl", [one.sample for one in rows])
    write_records(here / "reasoning.jsonl", [chain(one, of.think(one)) for one in train])
    write_json(here / "asked.json", {one.sample.id: [one.asked, one.holds] for one in test})
    made = yes_or_no(of.spec).model_dump(mode="json")
    (here / "guideline.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")


PARTS = {", holds": "where it holds", ", does not": "where it does not"}  # of a figure


class Answer(NamedTuple):
    """The relation asked about, whether it holds, and whether the model said so."""

    asked: str
    holds: bool
    right: bool


def figures(answers: Sequence[Answer], held: Sequence[str]) -> dict[str, float]:
    """Per cent right where the relation holds, where it does not, and the mean of both (who always says no has 50)."""
    found = {}
    for name in ("trained", *held):
        mine = [one for one in answers if one.asked == name or (name == "trained" and one.asked not in held)]
        parts = [100 * statistics.mean(one.right for one in mine if one.holds == holds) for holds in (True, False)]
        found |= {name: statistics.mean(parts), **{name + part: of for part, of in zip(PARTS, parts, strict=True)}}
    return found


def summary(rows: list[Row], corpus: str) -> list[list[str]]:
    """A line for each way and group of relations: mean and interval over seeds, and the mean of either part."""
    lines = []
    for name in ("trained", *HELD[corpus]):
        for way in WAYS[corpus]:
            mine = [row for row in rows if (row["corpus"], row["way"]) == (corpus, way)]
            if mine:
                parts = [f"{statistics.mean(row[name + part] for row in mine):.1f}" for part in PARTS]
                lines.append([name, way, interval([row[name] for row in mine]), *parts])
    return lines


def paired(rows: list[Row]) -> str:
    """How much more of each held-out relation of the drawn world is right with varied definitions, seed by seed."""
    right = {(row["way"], row["seed"]): row for row in rows if row["corpus"] == "scenes"}
    seeds = sorted({seed for way, seed in right if ("varied", seed) in right and ("definitions", seed) in right})
    told = [
        f"{name} {interval([right['varied', seed][name] - right['definitions', seed][name] for seed in seeds])}"
        for name in HELD["scenes"]
        if seeds
    ]
    return f"varied less definitions, paired by seed: {'; '.join(told)}." if told else ""


def page(rows: list[Row], options: argparse.Namespace) -> str:
    """The markdown page."""
    text = []
    for corpus in options.corpora:
        text += [f"## {corpus}: {' and '.join(HELD[corpus])} held out", ""]
        text += [*table(["relations", "in the prompt", "right", *PARTS.values()], summary(rows, corpus)), ""]
    return "\n".join(
        [
            "# Definitions in the prompt, and relations never trained on",
            "",
            "Does this relation hold? Per cent right, argument order included: the mean of where it holds and where it "
            "does not (who always says no has 50), with its 95 % t interval over seeds, and both. Models of random "
            "weights, the same number of steps and questions in every line. names: the relation's name in the prompt; "
            "definitions: its definition; varied: definitions, and half of the training questions are about made-up "
            "relations, of the same words in other combinations.",
            "",
            *text,
            paired(rows),
            "",
            made_by("guidelines", options, before="SEMEVAL_FOLDER "),
            "",
        ]
    )


def picture(rows: list[Row], path: Path) -> None:
    """A panel a corpus: trained and held-out relations for each way, mean and interval, each seed a small dot."""
    from matplotlib.figure import Figure

    corpora = sorted({row["corpus"] for row in rows})
    figure = Figure(figsize=(4.2 * len(corpora), 3.6), layout="constrained")
    for axes, corpus in zip(figure.subplots(1, len(corpora), squeeze=False)[0], corpora, strict=True):
        for number, kind in enumerate(("trained", *HELD[corpus])):
            for place, way in enumerate(WAYS[corpus]):
                values = [row[kind] for row in rows if (row["corpus"], row["way"]) == (corpus, way)]
                at, colour = place + 0.2 * (number - 1), f"C{number}"
                axes.plot([at] * len(values), values, ".", color=colour, ms=3, alpha=0.5)
                if values:
                    half, name = half_width(values), kind if place == 0 else None
                    axes.errorbar(at, statistics.mean(values), half, fmt="o", color=colour, capsize=3, label=name)
        axes.set_xticks(range(len(WAYS[corpus])), WAYS[corpus])
        axes.set_title(corpus)
        axes.set_ylim(-3, 103)
        axes.axhline(50, color="grey", lw=0.8, ls=":")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.axes[0].set_ylabel("per cent right; mean and 95 % t interval")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
