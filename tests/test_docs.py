"""Every command and example of README.md and docs/ does what it says, or at least is one that exists.

How a block is held to its word stands in doc_blocks.py. One corpus and one model, those of docs/own_corpus.md, serve
the pages that use a model.
"""

import os
import re
import runpy
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from doc_blocks import ROOT, blocks, run
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText

from benchmarks import scale
from morerl.errors import install
from morerl.rewards import REWARDS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TAUGHT, USING = "own_corpus.md", ("README.md", "use.md")
OTHERS = [page for page in PAGES if page.name not in (TAUGHT, *USING)]


def checkout(folder):
    """Makes a folder the working one, with what commands name of a checkout, and nothing else."""
    for name in ("tools", "configs", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    os.chdir(folder)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return checkout(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which docs/own_corpus.md was followed to the end."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(ROOT)  # put back afterwards
        folder = checkout(tmp_path_factory.mktemp("checkout"))
        run(blocks(ROOT / "docs" / TAUGHT))
    return folder


@pytest.mark.slow
def test_a_corpus_of_ones_own_becomes_a_scored_model(trained):
    left = {"reasoning.jsonl", "grpo.test.jsonl", "grpo.test.metrics.json", "report.html", "rated.jsonl"}
    assert left <= {path.name for path in trained.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize("page", USING)
def test_what_is_asked_of_a_model_is_answered(trained, page, tmp_path, monkeypatch, capsys):
    """With the paths of a demo run and MODEL standing for the model that was just trained."""
    shutil.copytree(trained / "runs" / "market" / "grpo", tmp_path / "runs" / "demo" / "grpo")
    shutil.copy(trained / "market.yaml", tmp_path)
    shutil.copy(tmp_path / "runs/demo/grpo/config.yaml", tmp_path)  # a model in a run is asked as the run says: briefly
    (tmp_path / "MODEL").symlink_to("runs/demo/grpo/model")
    (tmp_path / "runs/demo/raw/img_org/test").mkdir(parents=True)
    for name in ("runs/demo/raw/img_org/test/test000000.png", "0400.jpg"):
        shutil.copy(trained / "pictures" / "000.png", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    run(blocks(PAGES[0] if page == "README.md" else ROOT / "docs" / page))
    if page == "use.md":
        assert len(Path("results.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    else:
        assert "Duarte in purple blocks Lindqvist" in capsys.readouterr().out


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_the_commands_of_the_other_pages_run_or_exist(place, page, monkeypatch):
    monkeypatch.setitem(REWARDS, "brief", None)  # an example's own: gone again afterwards
    run(blocks(page))


WRONG = {
    "a verb": ("bash", "morerl trian CONFIG", "parse-only: x"),
    "an option": ("bash", "morerl report RUN_DIR --agianst OTHER", "parse-only: x"),
    "a setting": ("bash", "morerl sft configs/scenes/demo.yaml sft.dev.evry_steps=2", "parse-only: x"),
    "a config": ("bash", "morerl sft configs/scenes/dmeo.yaml", "parse-only: x"),
    "a tool's option": ("bash", "python tools/prepare_corpus.py more RAW --uot x", "parse-only: x"),
    "a launcher": (
        "bash",
        "accelerate launch --config_file configs/accelerate/zero9.yaml -m morerl sft C",
        "parse-only: x",
    ),
    "an extra": ("bash", "uv pip install '.[deepseed]'", "parse-only: x"),
    "a program": ("bash", "cmake all", "parse-only: x"),
    "a module": ("python", "from morerl.extractor import Extractor", "parse-only: x"),
    "no reason": ("bash", "make demo", "parse-only:"),
    "a mark": ("bash", "true", "skip"),
    "what fails": ("bash", "false", ""),
    "a verb that fails": ("bash", "morerl check nowhere.yaml", ""),
    "code that fails": ("python", "assert False", ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_block_that_is_wrong_is_found(place, what):
    language, text, mark = WRONG[what]
    Path("page.md").write_text(
        f"text\n\n<!-- test: {mark} -->\n```{language}\n{text}\n```\n" if mark else f"```{language}\n{text}\n```\n"
    )
    [block] = blocks(Path("page.md"))
    with pytest.raises(AssertionError, match=r"page\.md:"):
        run([block])


def test_an_extra_is_installed_in_one_way_wherever_it_is_told():
    """vLLM apart, which brings a torch of its own; the report keeps its own words."""
    files = [path for part in ("docs", "configs", "morerl") for path in (ROOT / part).rglob("*.*")]
    names = [path.relative_to(ROOT) for path in files if path.suffix in (".md", ".yaml", ".py")]
    told = [(ROOT / name).read_text("utf-8") for name in (Path("README.md"), *names) if "report" not in str(name)]
    found = [one for text in told for one in re.findall(r"(?:uv )?pip install[^\n]*?\[[\w{}]+\]", text)]
    assert len(found) > 4
    assert {one.partition("[")[0] for one in found if "[vllm]" not in one} == {install("NAME").partition("[")[0]}


def test_the_reference_of_the_settings_is_current_and_leaves_none_unexplained():
    made = runpy.run_path(str(ROOT / "tools" / "make_reference.py"))["page"]()
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == made, "run tools/make_reference.py"
    assert "|  |\n" not in made


def test_the_tables_of_scale_are_what_is_computed():
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert page.split(scale.BEGIN)[1].split(scale.END)[0] == f"\n{scale.tables()}\n", "python -m benchmarks.scale"


def test_the_size_of_lora_is_that_of_peft():
    """The adapter of configs/more on the published shape, built without memory."""
    lora = yaml.safe_load((ROOT / "configs/more/qwen2_5_vl_7b.yaml").read_text("utf-8"))["model"]["lora"]
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(scale.real_config("3B", scale.Tokens()))
        adapted = get_peft_model(model, LoraConfig(r=scale.RANK, target_modules=lora["target_modules"]))
    assert adapted.get_nb_trainable_parameters()[0] == scale.shape("3B").lora and lora["r"] == scale.RANK


def test_every_test_that_the_pages_name_is_there():
    named = {one for page in PAGES for one in re.findall(r"(tests/\w+\.py)(?:::(\w+))?", page.read_text("utf-8"))}
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and f"\ndef {name}(" not in (ROOT / file).read_text("utf-8"))
    ]
    assert len(named) > 30 and not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
