"""Guidelines in the prompt, and relations never trained on: R1-RE's claim in small (assets/results/guidelines.md).

    python -m benchmarks.guidelines SEMEVAL_FOLDER --seeds 5 --parallel 2

Two relations are held out of training. For each way of asking (benchmarks/guideline_data.py) a model of random weights
is trained on the others, for the same number of steps on the same samples, and asked about all: with the guideline of
all relations in the prompt, and about the held-out ones also with a guideline of these alone, as R1-RE asks about
another corpus. The model of the last step is asked: dev, which has none of the held-out relations, can choose nothing
here, and among checkpoints that all score 0 it would keep the untrained one. Runs that are done are read, not run
again.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from benchmarks.guideline_data import (
    WAYS,
    Names,
    alike,
    apart,
    bare,
    chain,
    drawn,
    in_features,
    lines,
    naming,
    spec_of,
    told,
)
from benchmarks.seeds import CONFIG, Row, call, half_width, interval, made_by, parser_of, table, write
from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples, write_json, write_records
from morerl.prompts.parse import parse
from morerl.prompts.render import cut
from morerl.scenes.world import Scene
from morerl.schema import Prediction, Sample, label
from morerl.task import Label, TaskSpec
from morerl.teacher.scenes import reply

SPLITS = ("train", "dev", "test")
CONFIGS = {"scenes": CONFIG, "sem2010": "configs/sem2010/tiny.yaml"}
HELD = {
    "scenes": ("/org/misc/present_in", "/per/per/opponent"),
    "sem2010": ("Content-Container", "Message-Topic"),
}
TRAIN, DEV, TEST = 4000, 40, 400  # samples; of the held-out relations TEST at most
ALONE = "#alone"  # ends the id of a question whose guideline has the held-out relations alone
STEPS = 400
HOW = (
    *("data.max_prompt_tokens=512", "prompt.template=stepwise_brief"),
    *("model.tiny.vocab_size=2048", "model.tiny.attention_dropout=0.0", f"sft.dev.every_steps={STEPS}"),
    *(f"sft.trainer.max_steps={STEPS}", "sft.trainer.warmup_steps=40", "sft.trainer.per_device_train_batch_size=16"),
    *("sft.trainer.learning_rate=3.0e-3", "sft.trainer.train_sampling_strategy=random"),
)
Think = Callable[[Sample, str], str]  # a sample and the line that decides -> what is to be thought


def main() -> None:
    """Runs what is missing and writes the page, its figures and the picture."""
    parser = parser_of(__doc__, "runs/guidelines", "assets/results/guidelines.md")
    parser.add_argument("raw_dir", type=Path, help="SemEval-2010 Task 8: folder of the full release, unpacked")
    parser.add_argument("--corpora", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    sources(options)
    asked = [(corpus, seed, way) for corpus in options.corpora for seed in range(options.seeds) for way in options.ways]
    with ThreadPoolExecutor(options.parallel) as pool:
        rows = list(pool.map(lambda one: run(*one, options), asked))
    write(rows, page(rows, options), options, picture)


def sources(options: argparse.Namespace) -> None:
    """The samples that the questions are made of, if they are not there."""
    folder = options.runs / "sem2010"
    if "sem2010" in options.corpora and not folder.is_dir():
        call(options.parallel, "tools/prepare_corpus.py", "sem2010", str(options.raw_dir), "--out", str(folder))
    for seed in range(options.seeds if "scenes" in options.corpora else 0):
        home = options.starts / f"{seed}"
        if not (home / "raw" / "scenes.jsonl").is_file():
            call(options.parallel, "-m", "morerl", "demo", CONFIGS["scenes"], f"run.dir={home}", f"run.seed={seed}")


def run(corpus: str, seed: int, way: str, options: argparse.Namespace) -> Row:
    """One model's figures, in per cent."""
    here = options.runs / f"{corpus}-{seed}-{way}"
    answers = here / "predictions.jsonl"
    if not answers.is_file():
        prepare(corpus, seed, way, options)
        own = [f"run.dir={here}", f"run.seed={seed}", f"data.dir={here / 'data'}"]
        own.append(f"data.guidelines={here / 'guideline.yaml'}")
        own += [f"data.image_root={options.starts / str(seed) / 'raw'}"] if corpus == "scenes" else []
        own += [f"predict.model={here / 'sft' / 'checkpoints' / f'checkpoint-{STEPS}'}", f"predict.out={answers}"]
        for verb in ("sft", "predict"):
            call(options.parallel, "-m", "morerl", verb, CONFIGS[corpus], *own, *HOW)
    gold = {one.id: label(one) for one in read_samples(here / "data" / "test.jsonl")}
    names = json.loads((here / "names.json").read_text(encoding="utf-8"))
    given = {row.id: str(row.answer) for row in read_records(answers, Prediction)}
    return {"corpus": corpus, "seed": seed, "way": way, **figures(given, gold, names, HELD[corpus])}


def prepare(corpus: str, seed: int, way: str, options: argparse.Namespace) -> None:
    """Writes a run's samples, what is to be learnt, its guideline, and what each label is called in each question."""
    here, held = options.runs / f"{corpus}-{seed}-{way}", HELD[corpus]
    spec, splits, think = scenes(options.starts / f"{seed}", seed) if corpus == "scenes" else sentences(options)
    kept = [one for one in spec.labels if one.name not in held]
    alone = [one for one in spec.labels if one.name in (*held, spec.none)]
    rng, none = random.Random(seed), str(spec.none)
    known = {split: apart(splits[split], held)[0] for split in SPLITS}
    # what is never trained on may be asked about, whichever split it is of
    new = [one for split in ("test", "train") for one in apart(splits[split], held)[1]][:TEST]

    def ask(samples: Sequence[Sample], labels: Sequence[Label], end: str = "") -> Iterator[tuple[Sample, Names]]:
        for one in samples:
            names = naming(one, labels, none, way, seed=seed)
            guide = lines(labels, names).values() if way != "none" else ()
            yield told(one, guide, names).model_copy(update={"id": one.id + end}), names

    train = drawn(known["train"], none, TRAIN, rng)
    asked = list(ask(train, kept))
    learnt = [
        chain(one, think(one, lines(kept, names)[bare(label(one))]), names)
        for one, (_, names) in zip(train, asked, strict=True)
    ]
    dev = ask(drawn(known["dev"], none, DEV, rng), kept)
    test = [*ask(drawn(known["test"], none, TEST, rng), spec.labels), *ask(new, spec.labels), *ask(new, alone, ALONE)]
    (here / "data").mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", asked), ("dev", dev), ("test", test)):
        write_records(here / "data" / f"{split}.jsonl", [one for one, _ in rows])
    write_records(here / "reasoning.jsonl", learnt)
    write_json(here / "names.json", {one.id: names for one, names in test})
    made = spec_of(spec, way).model_dump(mode="json")
    (here / "guideline.yaml").write_text(yaml.safe_dump(made), encoding="utf-8")


def sentences(options: argparse.Namespace) -> tuple[TaskSpec, dict[str, list[Sample]], Think]:
    """SemEval-2010, each sentence from one entity to the other; the line that decides is all that is thought."""
    folder = options.runs / "sem2010"
    splits = {split: list(map(cut, read_samples(folder / f"{split}.jsonl"))) for split in SPLITS}
    return alike(load_spec("sem2010")), splits, lambda sample, line: f" {line}"


def scenes(home: Path, seed: int) -> tuple[TaskSpec, dict[str, list[Sample]], Think]:
    """The drawn world in the words of its teacher; his first four steps are thought before the line that decides."""
    full = load_spec("more")
    record = {scene.id: scene for scene in read_records(home / "raw" / "scenes.jsonl", Scene)}
    splits = {split: read_samples(home / "data" / f"{split}.jsonl") for split in SPLITS}

    def steps(sample: Sample) -> str:
        return parse(reply(sample, record, full, seed=seed), full, sample).think

    def think(sample: Sample, line: str) -> str:
        return f"{steps(sample).partition('Step 5: ')[0]}Step 5: {line}.\nStep 6: {line.rpartition(': ')[2]}."

    # the few chains in which the teacher leaves the step out
    splits["train"] = [one for one in splits["train"] if "Step 4: " in steps(one)]
    return in_features(full), splits, think


def figures(
    given: dict[str, str], gold: dict[str, str], names: dict[str, Names], held: Sequence[str]
) -> dict[str, float]:
    """Per cent right of each kind of question, and of the held-out relations how often any of them is answered.

    given, gold: a question's id -> the answer, as labels are called in it; names: id -> label -> what it is called.
    """
    right: dict[str, list[bool]] = {"seen": [], "no relation": [], "held out": [], "alone": []}
    named = []
    for id_, answer in gold.items():
        back = {said: name for name, said in names[id_].items()}
        name, said = back[bare(answer)], back.get(bare(given[id_]))
        new = "alone" if id_.endswith(ALONE) else "held out"
        kind = new if name in held else "no relation" if name == list(names[id_])[-1] else "seen"
        right[kind].append(given[id_] == answer)
        named += [said in held] if kind == "held out" else []
    return {kind: 100 * statistics.mean(rows) for kind, rows in {**right, "named": named}.items()}


COLUMNS = {
    "seen": "trained relations",
    "no relation": "no relation",
    "held out": "held out",
    "named": "one of the held-out answered",
    "alone": "held out, guideline of these alone",
}


def summary(rows: list[Row], corpus: str) -> list[list[str]]:
    """A line a way: means and intervals over seeds."""
    of = {way: [row for row in rows if (row["corpus"], row["way"]) == (corpus, way)] for way in WAYS}
    return [[way, *(interval([row[kind] for row in mine]) for kind in COLUMNS)] for way, mine in of.items() if mine]


def page(rows: list[Row], options: argparse.Namespace) -> str:
    """The markdown page."""
    text = []
    for corpus in options.corpora:
        text += [f"## {corpus}: {' and '.join(HELD[corpus])} held out", ""]
        text += [*table(["in the prompt", *COLUMNS.values()], summary(rows, corpus)), ""]
    return "\n".join(
        [
            "# Guidelines in the prompt, and relations never trained on",
            "",
            "Per cent right, direction included, mean and 95 % t interval over seeds; models of random weights, the "
            "same steps and samples in every line. none: no guideline; names: a definition a line, the label's name at "
            "its end; codes: the lines shuffled and the names replaced by letters, anew for each sample. All relations "
            "are open in test but in the last column.",
            "",
            *text,
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
        for number, kind in enumerate(("seen", "held out", "alone")):
            for place, way in enumerate(WAYS):
                values = [row[kind] for row in rows if (row["corpus"], row["way"]) == (corpus, way)]
                at, colour = place + 0.2 * (number - 1), f"C{number}"
                axes.plot([at] * len(values), values, ".", color=colour, ms=3, alpha=0.5)
                if values:
                    half, name = half_width(values), COLUMNS[kind] if place == 0 else None
                    axes.errorbar(at, statistics.mean(values), half, fmt="o", color=colour, capsize=3, label=name)
        axes.set_xticks(range(len(WAYS)), WAYS)
        axes.set_title(corpus)
        axes.set_ylim(-3, 103)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("per cent right; mean and 95 % t interval")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
