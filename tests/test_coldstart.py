"""The cold-start benchmark's table: made-up rows give the differences, intervals and counts they hold."""

import argparse

from benchmarks.coldstart import ARMS, LAST, listed, page, summary
from benchmarks.seeds import half_width
from morerl.jsonl import read_records, write_records
from morerl.schema import Reasoning

ROWS = [
    {"seed": 0, "cold": 0.0, "labels": 20.0, "labels_all": 30.0, "chains": 70.0, "grpo": 80.0},
    {"seed": 1, "cold": 0.0, "labels": 22.0, "labels_all": 50.0, "chains": 50.0, "grpo": 64.0},
]
for one in ROWS:
    one["samples"] = {"labels": 200, "labels_all": 1000 + one["seed"]}


def test_every_arm_has_a_line_and_is_paired_with_the_last_by_seed():
    lines = {line[0]: line[1:] for line in summary(ROWS)}
    assert list(lines) == list(ARMS.values())
    # differences -10 and -14: mean -12, and t(0.975, 1) = 12.706 times their standard error of 2
    assert lines[ARMS["chains"]][1:] == ["-12.0 (-37.4 to 13.4)", "70.0, 50.0"]
    assert lines[ARMS["cold"]][0] == "0.0" and lines[ARMS[LAST]][1] == ""


def test_one_seed_has_no_interval():
    assert half_width([3.0]) == 0.0
    assert [line[1] for line in summary(ROWS[:1])] == ["0.0", "20.0", "30.0", "70.0", "80.0"]


def test_the_page_says_how_many_samples_and_which_command():
    text = page(ROWS, argparse.Namespace(seeds=2, parallel=2))
    assert "chains for 200 samples" in text and "rated samples, whose labels GRPO is checked against, 1000" in text
    assert "--seeds 2 --parallel 2" in text and text.count("\n| ") == 1 + 1 + len(ARMS)


def test_the_list_of_samples_is_read_back_as_reasoning(tmp_path):
    write_records(tmp_path / "labels.jsonl", map(listed, ["a", "b"]))
    assert [row.id for row in read_records(tmp_path / "labels.jsonl", Reasoning)] == ["a", "b"]
