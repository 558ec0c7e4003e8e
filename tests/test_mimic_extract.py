"""MimicSFT's plan for entities and relations: filled in from gold, quoting the sentence, deciding for each pair."""

import re
from pathlib import Path

import pytest

from morerl.corpora import bio, scier
from morerl.guidelines import load_spec
from morerl.jsonl import read_records, read_samples, write_records
from morerl.prompts.parse import parse
from morerl.schema import Reasoning, Sample
from morerl.scoring import is_right
from morerl.settings import Settings
from morerl.teacher.build import run_teach
from morerl.teacher.gates import judge
from morerl.teacher.mimic import mimic_teacher
from morerl.teacher.mimic_extract import OTHERS, plan

SHARED = Path(__file__).parents[1].parent / "shared/data"
SCIER = load_spec("scier")
TEXT = "LeafNet and OakNet are trained on BarkSet for the gold label task"


def entity(id_, text, type_):
    start = TEXT.index(text)
    return {"id": id_, "start": start, "end": start + len(text), "text": text, "type": type_}


def asked(relations=(("b", "Trained-With", "c"),), **fields):
    entities = [entity("a", "LeafNet", "Method"), entity("b", "OakNet", "Method"), entity("c", "BarkSet", "Dataset")]
    gold = {"entities": entities, "relations": [{"head": h, "label": x, "tail": t} for h, x, t in relations]}
    base = {"id": "s", "corpus": "scier", "split": "train", "text": TEXT, "task": "extract", "gold": gold}
    return Sample.model_validate(base | fields)


def test_a_plan_names_the_entities_the_evidence_the_rule_and_the_decision():
    think = parse(plan(asked(), SCIER), SCIER, asked()).think
    assert f"- Method ({SCIER.types['Method'].definition}): “LeafNet”, “OakNet”" in think
    rule = next(label.definition for label in SCIER.labels if label.name == "Trained-With")
    assert (
        f"- “OakNet” and “BarkSet”: the text says “OakNet are trained on BarkSet”. {rule} It joins Method to" in think
    )
    assert "Method to Dataset here: Trained-With." in think
    assert "“LeafNet” and “OakNet”: the text says “LeafNet and OakNet” states no relation of the list." in think


def test_unrelated_pairs_are_looked_at_but_not_all_of_them():
    think = plan(asked(relations=()), SCIER)
    assert think.count("states no relation") == OTHERS == 3
    nothing = asked(gold={"entities": []})
    assert "the text names none" in plan(nothing, SCIER) and "no two entities" in plan(nothing, SCIER)
    assert is_right(nothing, parse(plan(nothing, SCIER), SCIER, nothing).answer, SCIER)


def test_words_of_the_text_are_no_leak_and_words_of_the_chain_are():
    one = asked(gold={"entities": [entity("a", "gold label task", "Task")]})
    assert judge(plan(one, SCIER), "stop", one, SCIER, "extract") is None
    told = plan(one, SCIER).replace("</think>", " “the gold label is this”</think>")
    assert judge(told, "stop", one, SCIER, "extract") == "leak"


@pytest.mark.parametrize(("name", "reader", "folder"), [("scier", scier, "scier"), ("wnut17", bio, "wnut17")])
def test_every_plan_of_a_real_train_split_parses_to_its_gold_and_quotes_its_sentence(name, reader, folder):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"needs the corpus {folder} beside the repository")
    spec = load_spec(name)
    samples = [row for row in reader.read(SHARED / folder, "train", corpus=name) if isinstance(row, Sample)]
    teacher = mimic_teacher(samples, spec)
    for sample in samples:
        text = teacher(sample, []).text
        parsed = parse(text, spec, sample)
        assert is_right(sample, parsed.answer, spec) and judge(text, "stop", sample, spec, "extract") is None, sample.id
        assert all(quote in sample.text for quote in re.findall("“([^”]*)”", parsed.think)), sample.id


def test_the_teach_stage_takes_extractions(tmp_path):
    samples = [asked(id=f"scier/train/{n}") for n in range(8)]
    write_records(tmp_path / "data/train.jsonl", samples)
    run = {"run": {"dir": str(tmp_path / "run")}, "data": {"dir": str(tmp_path / "data"), "guidelines": "scier"}}
    out = run_teach(Settings.model_validate(run | {"teach": {"teacher": "mimic", "share": 0.5}}))
    kept = list(read_records(out, Reasoning))
    assert len(kept) == 4 and {row.id for row in kept} <= {
        one.id for one in read_samples(tmp_path / "data/train.jsonl")
    }
    assert kept[0].completion == plan(samples[0], SCIER)
