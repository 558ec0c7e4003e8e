"""Every command and example of README.md and docs/ does what it says, or at least is one that exists."""

import re
import runpy

import pytest
from doc_blocks import ROOT, blocks, run

from benchmarks import scale
from morerl.rewards import REWARDS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what a checkout has that commands name, and nothing else."""
    for name in ("tools", "configs", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.mark.slow
def test_a_corpus_of_ones_own_becomes_a_scored_model(place, capsys):
    run(blocks(ROOT / "docs" / "own_corpus.md"))
    assert (place / "runs/market/predictions/grpo.test.metrics.json").is_file()
    assert "micro_f1" in capsys.readouterr().out


def test_the_examples_of_a_new_corpus_reward_and_model_family_run(place, monkeypatch):
    monkeypatch.setitem(REWARDS, "brief", None)  # the example's own: gone again afterwards
    monkeypatch.syspath_prepend(place)
    run(blocks(ROOT / "docs" / "extend.md"))


def test_the_reference_of_the_settings_is_current_and_leaves_none_unexplained():
    made = runpy.run_path(str(ROOT / "tools" / "make_reference.py"))["page"]()
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == made, "run tools/make_reference.py"
    assert "|  |\n" not in made


def test_every_test_that_the_docs_name_is_there():
    named = {one for page in PAGES for one in re.findall(r"(tests/\w+\.py)(?:::(\w+))?", page.read_text("utf-8"))}
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and f"\ndef {name}(" not in (ROOT / file).read_text("utf-8"))
    ]
    assert len(named) > 30 and not missing


def test_the_tables_of_scale_are_what_is_computed():
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    assert page.split(scale.BEGIN)[1].split(scale.END)[0] == f"\n{scale.tables()}\n", "python -m benchmarks.scale"


def test_the_page_on_protocols_scores_and_compares(place):
    run(blocks(ROOT / "docs" / "protocols.md"))
