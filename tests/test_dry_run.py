"""`morerl check --dry-run`: every shipped config runs through every stage, and what only a run can find is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from morerl.check import run_check
from morerl.config import dump_settings, load_settings
from morerl.dry_run import FOLDER, MARK, run_dry, shrunk
from morerl.errors import ConfigError, DataError
from morerl.guidelines import load_spec
from morerl.jsonl import write_records
from morerl.rewards import check_rewards
from morerl.schema import Entity, Gold, Mention, Relation, Sample
from morerl.schema import Extraction as Found

HOME = Path(__file__).parents[1]
CONFIGS = HOME / "configs"
SHIPPED = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "accelerate")
UNIFIED = CONFIGS / "unified" / "qwen2_5_vl_7b.yaml"
SIZES = {  # trainer options that a dry run may change
    *("max_steps", "save_steps", "logging_steps", "logging_strategy", "report_to", "push_to_hub", "log_completions"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "num_generations", "max_completion_length"),
}

TRAINING = [path for path in SHIPPED if "trainer:" in path.read_text(encoding="utf-8")]  # the others are teachers'
every_config = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")


def text_of(number):
    return f"Quill{number} wires the Lattice{number} to the Harbour."


def pair(corpus, split, number, label):
    text = text_of(number)
    words = [(text.index(word), word) for word in (f"Quill{number}", f"Lattice{number}")]
    mentions = [Mention(id=f"m{n}", start=at, end=at + len(word), text=word) for n, (at, word) in enumerate(words)]
    named = {"id": f"{corpus}/{split}/{number}", "corpus": corpus, "split": split, "text": text}
    return Sample(**named, mentions=tuple(mentions), head="m0", tail="m1", gold=Gold(label=label))


def extraction(corpus, split, number, spec, relate):
    """Every third text holds nothing."""
    text = text_of(number)
    kinds = list(spec.types)
    words = [f"Quill{number}", f"Lattice{number}"] if number % 3 else []
    entities = [
        Entity(id=f"e{n}", start=text.index(word), end=text.index(word) + len(word), text=word, type=kinds[n])
        for n, word in enumerate(words)
    ]
    joined = [Relation(head="e0", tail="e1", label="Used-For")] if relate and entities else []
    named = {"id": f"{corpus}/{split}/{number}", "corpus": corpus, "split": split, "text": text}
    gold = Found(entities=tuple(entities), relations=tuple(joined))
    return Sample(**named, task="extract" if relate else "entities", gold=gold)


@pytest.fixture(scope="session")
def few(world, tmp_path_factory):
    """Guidelines -> where tiny data for them are."""
    root, found = tmp_path_factory.mktemp("few"), {"more": {"dir": world / "data", "image_root": world / "raw"}}
    for name in ("sem2010", "scier", "wnut17", "conll2003"):
        spec = load_spec(name)
        for split in ("train", "dev", "test"):
            if name == "sem2010":
                rows = [pair(name, split, n, spec.answers[n % len(spec.answers)]) for n in range(20)]
            else:
                rows = [extraction(name, split, n, spec, name == "scier") for n in range(20)]
            write_records(root / name / f"{split}.jsonl", rows)
        found[name] = {"dir": root / name}
    return found


def with_few(path, few, *overrides):
    """The settings of a config, for tiny data."""
    corpora = load_settings(path).data.each
    places = {
        (f"corpora.{name}." if name else "") + key: at
        for name in corpora
        for key, at in few[corpora[name].guidelines].items()
    }
    return load_settings(path, [*(f"data.{key}={at}" for key, at in places.items()), *overrides])


@every_config
def test_every_config_parses_and_its_guideline_and_rewards_hold(path):
    settings = load_settings(path)
    tasks = {"more": "pair", "sem2010": "pair", "scier": "extract"}
    asked = {name: tasks.get(load_spec(one.guidelines).corpus, "entities") for name, one in settings.data.each.items()}
    check_rewards(settings.grpo, {name: [task] for name, task in asked.items() if path in TRAINING})


@every_config
def test_what_is_shrunk_is_size_alone(path):
    settings = load_settings(path)
    before = dump_settings(settings)
    small = shrunk(settings)
    assert dump_settings(settings) == before and small.run.dir == settings.run.dir / FOLDER
    for kept in ("prompt", "teach"):
        assert getattr(small, kept) == getattr(settings, kept)
    assert (small.model.lora, small.model.freeze_vision) == (settings.model.lora, settings.model.freeze_vision)
    assert (small.grpo.rewards, small.grpo.mixing) == (settings.grpo.rewards, settings.grpo.mixing)
    assert small.images.views == settings.images.views and small.sft.labels_only == settings.sft.labels_only
    for mine, theirs in ((small.sft.trainer, settings.sft.trainer), (small.grpo.trainer, settings.grpo.trainer)):
        assert {key for key in mine.keys() | theirs if mine.get(key) != theirs.get(key)} <= SIZES
        assert mine["max_steps"] == 2 and mine["report_to"] == "none"
    assert type(small).model_validate(small.model_dump()) == small


def test_what_names_models_servers_and_sizes_is_not_taken_along(make_settings):
    options = {"use_vllm": True, "generation_batch_size": 64, "steps_per_generation": 8, "num_iterations": 3}
    settings = make_settings(
        model={"path": "big/model", "dtype": "bfloat16", "attention": "flash_attention_2"},
        predict={"endpoint": "http://127.0.0.1:1/v1", "model": "x", "split": "test"},
        rate={"model": "big/model", "n": 8, "temperature": 0.7, "limit": 900, "taught": True},
        grpo={"model": "big/model", "rated": "r.jsonl", "trainer": options, "length_threshold": 2000},
    )
    small = shrunk(settings)
    assert (small.model.path, small.model.dtype, small.model.attention) == (None, "bfloat16", "sdpa")
    assert (small.predict.endpoint, small.predict.model, small.predict.split) == (None, None, "dev")
    assert (small.rate.model, small.rate.n, small.rate.temperature, small.rate.taught) == (None, 2, 0.7, True)
    assert small.grpo.model == str(settings.run.dir / FOLDER / "tiny") and small.grpo.rated is None
    assert not {"use_vllm", "generation_batch_size"} & small.grpo.trainer.keys()
    assert (small.grpo.trainer["steps_per_generation"], small.grpo.trainer["num_iterations"]) == (2, 2)
    check_rewards(small.grpo)  # the length it asks for can be reached


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    TRAINING,
    ids=[f"{path.parent.name}/{path.stem}" for path in TRAINING],
)
def test_every_config_runs_through_every_stage_and_leaves_nothing(path, few, narrow_model, tmp_path):
    run = tmp_path / "runs" / "one"
    checks = [f"model.path={narrow_model}", "data.max_prompt_tokens=20000"]  # its tokenizer has not learnt these words
    settings = with_few(path, few, f"run.dir={run}", *checks)
    list(run_check(settings))
    lines = list(run_dry(settings))
    assert [line.split(",")[0] for line in lines[::2]] == ["dry run: SFT 2 steps", "dry run: GRPO 2 steps"]
    assert (
        "loss" in lines[0]
        and "not logged" not in "".join(lines)
        and f"predicted {16 * len(settings.data.each)} of dev" in lines[3]
    )
    assert not (tmp_path / "runs").exists()


def test_lora_modules_that_match_nothing_are_found_and_the_folder_is_gone(make_settings):
    lora = {"r": 4, "target_modules": r".*language_model.*\.(q_prj|v_prj)"}
    settings = make_settings(model={"lora": lora})
    settings.run.dir.mkdir()
    with pytest.raises(ConfigError, match=r"dry run, SFT: .*q_prj"):
        list(run_dry(settings))
    assert settings.run.dir.is_dir() and not (settings.run.dir / FOLDER).exists()


def test_a_folder_of_somebody_elses_is_not_touched_and_what_a_kill_left_is_cleared(make_settings):
    settings = make_settings(data={"dir": "/nonexistent", "guidelines": "more"})
    folder = settings.run.dir / FOLDER
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="was not made by a dry run"):
        list(run_dry(settings))
    assert (folder / "thesis.txt").read_text() == "years of work"
    (folder / MARK).write_text("{}")
    with pytest.raises(DataError, match=r"cannot read .*train\.jsonl"):
        list(run_dry(settings))
    assert not folder.exists()


def test_a_link_in_its_place_is_not_followed(make_settings, tmp_path):
    settings = make_settings()
    settings.run.dir.mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / MARK).write_text("{}")
    (settings.run.dir / FOLDER).symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigError, match="was not made by a dry run"):
        list(run_dry(settings))
    assert (tmp_path / "mine" / MARK).is_file()


@pytest.mark.slow
def test_two_ranks_dry_run_several_corpora_and_one_of_them_speaks(few, narrow_model, tmp_path):
    checks = [f"model.path={narrow_model}", "data.max_prompt_tokens=20000"]
    settings = with_few(UNIFIED, few, f"run.dir={tmp_path / 'run'}", *checks)
    (tmp_path / "run.yaml").write_text(dump_settings(settings))
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--main_process_port", "0"]
    command = [*launch, "--config_file", str(CONFIGS / "accelerate" / "ddp_cpu.yaml"), "-m", "morerl", "check"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, str(tmp_path / "run.yaml"), "--dry-run"],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=HOME,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = [line for line in done.stdout.splitlines() if line.startswith("dry run:")]
    assert len(said) == 4 and "SFT 2 steps" in said[0] and "GRPO 2 steps" in said[2]
    assert done.stdout.count("more: guidelines more:") == 1 and not settings.run.dir.exists()
