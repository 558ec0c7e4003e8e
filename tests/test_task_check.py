"""A task of one's own: `morerl check --guidelines mine.yaml --samples samples.jsonl` says what is wrong, all of it."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from morerl.cli import app
from morerl.task_check import check_task

GUIDELINE = """
corpus: mine
protocol: {protocol}
question: What does the text say?
none: {none}
types:
  bird: An animal that flies.
  lake: A body of water.
labels:
  - {{name: lives_on, definition: The bird lives on the lake., head: [bird], tail: [lake], positive: p, near_miss: n}}
  - {{name: shuns, definition: The bird keeps away from it., head: [bird], tail: [lake]}}
  {none_label}
"""
PAIRS = GUIDELINE.format(protocol="more", none="nothing", none_label="- {name: nothing, definition: No link.}")
EXTRACTS = GUIDELINE.format(protocol="scier", none="null", none_label="")
PIXELS = {"id": "r0", "box": [10, 20, 50, 90]}
TEXT = "The heron lives on Mirror Lake"


def pair(label="lives_on", **fields):
    mentions = [
        {"id": "m0", "start": 4, "end": 9, "text": "heron"},
        {"id": "m1", "start": 19, "end": 30, "text": TEXT[19:]},
    ]
    base = {"id": "mine/1", "corpus": "mine", "split": "train", "text": TEXT, "mentions": mentions}
    return base | {"head": "m0", "tail": "m1", "gold": {"label": label}} | fields


def extract(head="bird", tail="lake", label="lives_on"):
    entities = [{"id": "a", "start": 4, "end": 9, "text": "heron", "type": head}]
    entities += [{"id": "b", "start": 19, "end": 30, "text": TEXT[19:], "type": tail}]
    gold = {"entities": entities, "relations": [{"head": "a", "tail": "b", "label": label}]}
    return {"id": "mine/1", "corpus": "mine", "split": "train", "text": TEXT, "task": "extract", "gold": gold}


@pytest.fixture
def check(tmp_path):
    def make(guideline, *rows, name="samples.jsonl"):
        own = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"  # a file is read once per process
        own.write_text(guideline)
        (tmp_path / name).write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        return check_task(str(own), [tmp_path / name], tmp_path)

    return make


def test_a_good_task_is_described_and_its_gaps_are_advice(check):
    found = check(PAIRS, pair())
    assert found.problems == () and "3 answers, 'nothing' for no relation, 2 types, protocol more" in found.facts[0]
    assert found.facts[1].endswith("1 samples of the task pair, 1 with gold")
    assert [line for line in found.advice if "shuns" in line] == [
        "the label 'shuns' occurs in no gold answer",
        "the label 'shuns' lacks an example: give a positive and a near_miss",
    ]
    assert check(EXTRACTS, extract()).problems == ()


@pytest.mark.parametrize(
    ("guideline", "row", "message"),
    [
        (
            PAIRS,
            pair("lives on"),
            r"mine/1: the gold label 'lives on' is not in the guideline; did you mean 'lives_on'\?",
        ),
        (PAIRS, pair("xyz"), r"the gold label 'xyz' is not in the guideline \(it has 3\)"),
        (PAIRS, pair(head="m7"), r"samples.jsonl:1: .*head/tail 'm7' is none of"),
        (PAIRS, "{\n", r"samples.jsonl:1: "),
        (PAIRS, pair(image="a.png", regions=[PIXELS]), r"regions.0.box.0: .*; boxes are x1, y1, x2, y2 as fractions"),
        (PAIRS, pair(image="gone.png"), r"the picture gone.png cannot be used: .*\[missing\]"),
        (PAIRS, pair(image="../x.png"), r"\[outside_root\]"),
        (PAIRS, extract(), r"asks 'extract', which the guideline's protocol 'more' does not score"),
        (EXTRACTS, pair(), r"asks 'pair', which the guideline's protocol 'scier' does not score"),
        (EXTRACTS, extract(head="brid"), r"the type 'brid' is not in the guideline; did you mean 'bird'\?"),
        (EXTRACTS, extract(label="eats"), r"the relation 'eats' is not in the guideline"),
    ],
)
def test_every_problem_is_said_in_plain_words(check, guideline, row, message):
    import re

    (problem,) = check(guideline, row).problems
    assert re.search(message, problem), problem


def test_all_problems_are_said_at_once_and_good_lines_still_count(check):
    rows = [pair("a", id="1"), "{\n", pair(id="2"), pair("b", id="3")]
    found = check(PAIRS, *rows)
    assert len(found.problems) == 3 and found.facts[1].endswith("3 samples of the task pair, 3 with gold")


def test_relations_between_other_types_are_advice_for_gold_may_break_them(check):
    found = check(EXTRACTS, extract(head="lake", tail="bird"))
    assert found.problems == ()
    assert "1 gold relations 'lives_on' join argument types that the guideline does not allow for it" in found.advice


def test_what_two_files_share_is_said(check, tmp_path):
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    (tmp_path / "mine.yaml").write_text(PAIRS)
    files = {"train": [pair(id="1", image="a.png"), pair(id="2")], "test": [pair(id="1"), pair("shuns", image="a.png")]}
    for name, rows in files.items():
        (tmp_path / name).write_text("".join(json.dumps(row | {"split": name}) + "\n" for row in rows))
    found = check_task(str(tmp_path / "mine.yaml"), [tmp_path / "train", tmp_path / "test"], tmp_path)
    between = f"stand in both {tmp_path / 'train'} and {tmp_path / 'test'}"
    assert [line.partition(",")[0] for line in found.problems] == [f"1 sample ids {between}"]
    assert [line.partition(",")[0] for line in found.advice[:2]] == [f"1 pictures {between}", f"1 samples {between}"]


def test_pictures_are_opened_under_their_root(check, tmp_path):
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    found = check(PAIRS, pair(image="a.png"), pair(image="gone.png", id="2"))
    assert f"pictures: 1 of 2 can be used, under {tmp_path}" in found.facts


def test_the_verb_ends_with_2_on_problems(tmp_path):
    (tmp_path / "mine.yaml").write_text(PAIRS)
    (tmp_path / "train.jsonl").write_text(json.dumps(pair("a")) + "\n")
    arguments = ["check", "--guidelines", str(tmp_path / "mine.yaml"), "--samples", str(tmp_path / "train.jsonl")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and "problem: " in done.output and "error 1 problem\n" in done.output
    (tmp_path / "train.jsonl").write_text(json.dumps(pair()) + "\n")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "no problems" in done.output
    assert CliRunner().invoke(app, ["check"]).exit_code == 2
