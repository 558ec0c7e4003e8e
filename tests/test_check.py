"""`morerl check`: every shipped config is dry-run with it, and each fault is named."""

from pathlib import Path

import pytest
from trl import GRPOConfig, SFTConfig

from morerl.check import _check_schedule, run_check
from morerl.config import load_settings
from morerl.corpora import sem2010
from morerl.errors import MorerlError
from morerl.jsonl import read_samples, write_records
from morerl.schema import Gold, Rated, Sample
from morerl.tasks import load_tasks
from morerl.training.arguments import trainer_arguments
from morerl.training.kinds import check_kinds

CONFIGS = Path(__file__).parents[1] / "configs"
SEM = Path(__file__).parents[1].parent / "shared/data/sem2010"


def lines(settings):
    return list(run_check(settings))


def test_a_good_run_is_described(make_settings):
    text = "\n".join(lines(make_settings()))
    assert "micro_f1 100.00" in text and "every one opens" in text and "tokens in the middle" in text


@pytest.mark.parametrize("path", sorted((CONFIGS / "more").glob("*.yaml")), ids=lambda p: p.name)
def test_the_configs_for_more_pass_on_a_release_of_its_form(path, world, narrow_model):
    overrides = [f"data.dir={world / 'data'}", f"data.image_root={world / 'raw'}", f"model.path={narrow_model}"]
    overrides.append("data.max_prompt_tokens=20000")  # the narrow tokenizer has not learnt the prompt's words
    assert any("none" in line for line in lines(load_settings(path, overrides)))


@pytest.mark.parametrize("path", sorted((CONFIGS / "sem2010").glob("*.yaml")), ids=lambda p: p.name)
def test_the_configs_for_sem2010_pass_on_the_official_files(path, tmp_path, narrow_model):
    if not SEM.is_dir():
        pytest.skip("the SemEval-2010 files are not on this machine")
    for split in ("train", "dev", "test"):
        write_records(tmp_path / f"{split}.jsonl", sem2010.read(SEM, split))
    overrides = [f"data.dir={tmp_path}", f"model.path={narrow_model}", "data.max_prompt_tokens=20000"]
    text = "\n".join(lines(load_settings(path, overrides)))
    assert "test: 2717 samples, gold comes back with macro_f1 100.00" in text and "a text-only corpus" in text


def broken(world, folder, split, change):
    for name in ("train", "dev", "test"):
        samples = read_samples(world / "data" / f"{name}.jsonl")
        if name == split:
            samples[0] = Sample.model_validate({**samples[0].model_dump(), **change})
        write_records(folder / f"{name}.jsonl", samples)
    return {"dir": str(folder)}


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("dev", {"gold": Gold(label="/per/org/unheard_of")}, "/per/org/unheard_of.* is no answer of the guidelines"),
        ("test", {"image": "img_org/test/gone.png"}, r"\[missing\]"),
        ("train", {"image": "../../etc/passwd"}, r"\[outside_root\]"),
        ("dev", {"id": "more/train/000002"}, "more than one split"),
        ("dev", {"gold": None}, "dev: .* has no gold answer, so that no checkpoint can be chosen"),
    ],
)
def test_a_fault_is_named(make_settings, world, tmp_path, split, change, message):
    with pytest.raises(MorerlError, match=message):
        lines(make_settings(data=broken(world, tmp_path / "data", split, change)))


def test_a_picture_and_a_sample_that_two_splits_share_are_advice(make_settings, world, tmp_path):
    leak = read_samples(world / "data" / "train.jsonl")[0].model_dump(exclude={"split"}) | {"id": "again"}
    found = lines(make_settings(data=broken(world, tmp_path / "data", "test", leak)))
    told = [line for line in found if "stand in both" in line]
    assert told[0].startswith("advice: 1 pictures stand in both train and test, e.g. img_org/train/")
    assert told[1].startswith("advice: 1 samples stand in both train and test, alike but for their id")
    assert len(told) == 2


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        (2, "advice: the schedule has 4 windows, and grpo.trainer.max_steps = 2 trains 2 windows, 4 prompts: the rest"),
        (5, "advice: the schedule has 4 windows, and grpo.trainer.max_steps = 5 trains 5 windows, 10 prompts: goes on"),
        (4, None),
        (-1, None),
    ],
)
def test_a_schedule_that_max_steps_cuts_or_outlasts_is_said(make_settings, steps, verdict):
    trainer = {"max_steps": steps, "num_generations": 2, "per_device_train_batch_size": 4}
    settings = make_settings(grpo={"trainer": trainer, "mixing": {"epochs": 2, "strategy": "hard_only"}})
    tasks, samples = load_tasks(settings), load_tasks(settings).read("train")
    arguments = trainer_arguments(GRPOConfig, trainer, settings.run.dir, settings, settings.grpo.dev)
    if steps > 0:
        (line,) = _check_schedule(settings, tasks, samples, arguments)
        assert "known when" in line and "`morerl rate`" in line
    write_records(settings.run.dir / "rated.jsonl", [Rated(id=one.id, n=1, n_correct=0) for one in samples[:4]])
    said = list(_check_schedule(settings, tasks, samples, arguments))
    assert said == [] if verdict is None else said[0].startswith(verdict)


def test_missing_reasoning_and_missing_samples_are_said_with_what_makes_them(make_settings):
    reasoning = {"reasoning": "nowhere/reasoning.jsonl"}
    (told,) = [line for line in lines(make_settings(sft=reasoning)) if "nowhere/reasoning.jsonl" in line]
    assert told.startswith("advice: ") and "tools/build_reasoning.py" in told
    with pytest.raises(MorerlError, match=r"nowhere/train\.jsonl: no such file; .*prepare_corpus\.py FORMAT RAW"):
        lines(make_settings(data={"dir": "nowhere"}))


@pytest.mark.parametrize(
    ("section", "option", "message"),
    [
        ("sft", {"max_steps": "abc"}, "trainer.max_steps: want int, found 'abc'"),
        ("grpo", {"learning_rate": "5e-5x"}, "trainer.learning_rate: want float, found '5e-5x'"),
        ("grpo", {"report_to": 1}, r"trainer.report_to: want "),
    ],
)
def test_an_option_of_trl_of_another_kind_is_refused(make_settings, section, option, message):
    with pytest.raises(MorerlError, match=message):
        lines(make_settings(**{section: {"trainer": option}}))


def test_every_shipped_trainer_section_is_of_the_kinds_that_trl_declares():
    paths = [path for path in sorted(CONFIGS.glob("*/*.yaml")) if path.parent.name != "accelerate"]
    for settings in map(load_settings, paths):
        check_kinds(SFTConfig, settings.sft.trainer)
        check_kinds(GRPOConfig, settings.grpo.trainer)
    check_kinds(GRPOConfig, {"scale_rewards": False, "report_to": ["wandb"], "learning_rate": 1})
    assert len(paths) > 8


def test_prompts_that_cannot_fit_are_said_before_training(make_settings):
    with pytest.raises(MorerlError, match="every prompt is longer"):
        lines(make_settings(data={"max_prompt_tokens": 5}))
