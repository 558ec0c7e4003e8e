"""What a person reads while a stage runs and after it."""

import re

import pytest

from morerl.bars import training_bar


@pytest.mark.parametrize(("columns", "bar"), [("80", False), ("140", True)])
def test_the_bar_says_what_time_is_left_and_leaves_the_figures_room(columns, bar, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with training_bar("sft") as tell:
        tell(4, 4, {"loss": 0.0123, "reward": 0.951, "dev F1": 80.1})
    shown = capsys.readouterr().err
    assert re.search(r"4/4 0:00:0\d 0:00:00 left loss 0.0123  reward 0.951  dev F1 80.1", shown), shown
    assert ("\u2501" in shown) == bar
