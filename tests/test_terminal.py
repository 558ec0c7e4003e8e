"""What a person reads while a stage runs and after it."""

import re

import pytest

from morerl.bars import training_bar
from morerl.corpora.prepare import Row
from morerl.schema import Metrics
from morerl.terminal import counts_table, show_metrics, trained


@pytest.mark.parametrize(
    ("columns", "bar", "told"), [("80", False, r" +\nsft: loss"), ("140", True, " loss")], ids=("narrow", "wide")
)
def test_the_bar_says_what_time_is_left_and_leaves_the_figures_room(columns, bar, told, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with training_bar("sft") as tell:
        tell(4, 4, {"loss": 0.0123, "reward": 0.951, "dev F1": 80.1, "zero spread": 0.656})
    shown = capsys.readouterr().err
    wanted = rf"4/4 0:00:0\d 0:00:00 left{told} 0.0123  reward 0.951  dev F1 80.1  zero spread 0.656"
    assert re.search(wanted, shown), shown
    assert ("\u2501" in shown) == bar


def test_the_table_of_per_cents_holds_no_counts_and_right_answers_are_no_errors(capsys):
    figures = {"accuracy": 92.5, "one_entity/n": 1080.0, "one_entity/micro_f1": 85.1}
    primary = {"name": "micro_f1", "value": 85.0}
    told = {"figures": figures, "errors": {"right_none": 699, "missed": 22}}
    told |= {"per_label": {}, "confusion": {}, "ci95": {}}
    show_metrics(Metrics.model_validate({"protocol": "more", "n": 1080, "primary": primary, **told}))
    shown = capsys.readouterr().out
    assert "accuracy" in shown and "one_entity/micro_f1" in shown and "/n" not in shown
    assert "samples in: one_entity 1080\noutcomes: right_none 699, missed 22\n" in shown and "errors" not in shown


def test_names_with_brackets_are_no_markup(capsys):
    row = Row(figure="a[/b] [none]", split="train", found=3, published=None)
    counts_table("m", [row])
    assert "a[/b] [none]" in capsys.readouterr().out


def test_a_model_that_training_did_not_change_is_kept_with_a_warning():
    result = {"steps": 4, "seconds": 4.2, "dev": {"step": 0, "value": 0.0}}
    assert "warning: no step had a better dev score than the start" in trained("sft", result)
    result["dev"]["step"] = 2
    assert trained("sft", result) == "sft: 4 steps in 4 s; kept step 2 with dev 0.00"
