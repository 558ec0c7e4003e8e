"""Settings: what is read, what is refused, and that the message says where and what to do."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from morerl.config import dump_settings, load_settings
from morerl.errors import ConfigError
from morerl.settings import Settings

CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "accelerate")
MINIMAL = "run: {dir: runs/x}\ndata: {dir: data/x, guidelines: more}\n"


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_home_and_the_runs_folder_are_filled_in_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "c.yaml"
    path.write_text(
        "run: {dir: ~/runs/x}\ndata: {dir: '~/data', guidelines: more}\n"
        "sft: {reasoning: ['${run.dir}/a.jsonl', '~/b.jsonl']}\n"
    )
    settings = load_settings(path)
    assert (settings.run.dir, settings.data.dir) == (tmp_path / "runs" / "x", tmp_path / "data")
    with pytest.raises(ConfigError, match="home directory"):
        load_settings(path, ["run.dir=~nobody_at_all/x"])
    assert list(settings.sft.reasoning) == [tmp_path / "runs" / "x" / "a.jsonl", tmp_path / "b.jsonl"]


def test_a_minimal_file_gets_the_papers_defaults(config):
    settings = load_settings(config(MINIMAL))
    assert settings.run.dir == Path("runs/x") and settings.run.seed == 0
    assert settings.images.views == ("full", "crop")
    assert settings.grpo.mixing.alpha == 0.5 and settings.grpo.mixing.epochs == 4
    assert settings.teach.share == 0.25 and settings.model.freeze_vision


def test_settings_cannot_be_changed_after_loading(config):
    with pytest.raises(ValidationError, match="frozen"):
        load_settings(config(MINIMAL)).run.seed = 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("imagse: {}", "imagse: unknown key; did you mean 'images'"),
        ("sft: {triner: {}}", "sft.triner: unknown key; did you mean 'trainer'"),
        ("model: {tiny: {hiden_size: 64}}", "model.tiny.hiden_size: unknown key; did you mean 'hidden_size'"),
        ("grpo: {mixing: {alhpa: 1}}", "grpo.mixing.alhpa: unknown key; did you mean 'alpha'"),
        ("generate: {n: 2}", "n = 2 at temperature 0 would be one completion 2 times"),
        ("rate: {n: 4, temperature: 0}", "n = 4 at temperature 0"),
        ("prompt: {zzz: 1}", "prompt.zzz: unknown key; known: template, examples"),
        ("images: {views: [full, side]}", "images.views.1: Input should be 'full' or 'crop' (found 'side')"),
        ("grpo: {mixing: {alpha: -1}}", "grpo.mixing.alpha: Input should be greater than"),
        ("grpo: {mixing: {alpha: 1e200}}", "grpo.mixing.alpha: Input should be less than"),
        ("grpo: {rewards: {answer: {stages: [1, .nan]}}}", "grpo.rewards.answer.stages.1: Input should be a finite"),
        ("generate: {temperature: .inf}", "generate.temperature: Input should be a finite number"),
        ("teach: {share: 0}", "teach.share: "),
        ("grpo: {rewards: {}}", "grpo.rewards: "),
        ("sft: [1]", "sft: "),
        ("1: 2", "1: "),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_place(config, extra, message):
    path = config(MINIMAL + extra)
    with pytest.raises(ConfigError) as error:
        load_settings(path)
    assert str(error.value).startswith(f"{path}: 1 problem in the settings")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("predict.endpoint=http://me:hunter2@host/v1", "predict.endpoint"),
        ("grpo.trainer={vllm_server_base_url: 'http://hunter2@host:1'}", "grpo.trainer.vllm_server_base_url"),
        ("model.lora={target_modules: ['https://me:hunter2@x']}", "model.lora.target_modules.0"),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(config, override, where):
    with pytest.raises(ConfigError, match=f"{re.escape(where)} is an address with a user or password") as refused:
        load_settings(config(MINIMAL), [override])
    assert "hunter2" not in str(refused.value)


def test_every_problem_is_reported_at_once(config):
    with pytest.raises(ConfigError, match="3 problems") as error:
        load_settings(config("run: {sed: 1}\ndata: {dir: d, guidelines: more}\n"), ["images.min_side=0"])
    assert all(key in str(error.value) for key in ("run.dir", "run.sed", "images.min_side"))


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("run.seed=3", lambda s: s.run.seed, 3),
        ("run.dir=elsewhere/y", lambda s: s.run.dir, Path("elsewhere/y")),
        ("images.views=[full]", lambda s: s.images.views, ("full",)),
        ("data.image_root=", lambda s: s.data.image_root, None),
        ("grpo.mixing.alpha=1", lambda s: s.grpo.mixing.alpha, 1.0),
        ("sft.trainer.learning_rate=5e-5", lambda s: s.sft.trainer["learning_rate"], 5e-5),
        ("sft.trainer.optim=a=b", lambda s: s.sft.trainer["optim"], "a=b"),
    ],
)
def test_overrides_win_and_are_read_as_yaml(config, override, read, value):
    settings = load_settings(config(MINIMAL + "sft: {trainer: }\n" * ("sft" in override)), [override])
    assert read(settings) == value and type(read(settings)) is type(value)


@pytest.mark.parametrize("text", ["1e-6", "1E-6", "1.e-6", "1.0e-6", "+1e-6"])
def test_exponents_without_a_point_are_numbers_in_passed_through_options(config, text):
    settings = load_settings(config(MINIMAL + f"grpo: {{trainer: {{learning_rate: {text}}}}}"))
    assert settings.grpo.trainer["learning_rate"] == 1e-6


@pytest.mark.parametrize("text", ["e5", "1e", "0e1f", "e-5", "v1e5"])
def test_what_only_looks_like_an_exponent_stays_text(config, text):
    settings = load_settings(config(MINIMAL + f"grpo: {{trainer: {{run_name: {text}}}}}"))
    assert settings.grpo.trainer["run_name"] == text


@pytest.mark.parametrize(
    "override",
    [
        "run.seed",
        "=1",
        "run.=1",
        "run..seed=1",
        ".seed=1",
        "",
        "run.seed=[1",
        "run.seed=2020-13-45",
        "run.dir.x=1",
        pytest.param("run.seed=" + "[" * 5000, id="deep"),
    ],
)
def test_a_bad_override_is_named(config, override):
    with pytest.raises(ConfigError, match="override"):
        load_settings(config(MINIMAL), [override])


def test_run_dir_is_filled_in_everywhere_and_follows_an_override(config):
    text = MINIMAL.replace("data/x", "'${run.dir}/data'") + "sft: {reasoning: '${run.dir}/r.jsonl'}\n"
    assert load_settings(config(text)).data.dir == Path("runs/x/data")
    moved = load_settings(config(text), ["run.dir=b", "rate.model=${run.dir}/m"])
    assert (moved.data.dir, moved.sft.reasoning, moved.rate.model) == (
        Path("b/data"),
        Path("b/r.jsonl"),
        Path("b/m"),
    )


@pytest.mark.parametrize(
    "text",
    [
        b"\x80\x81\xff",
        b"run: \0",
        b"run: [1",
        b"run: {seed: 2020-13-45}",
        b"a: " + b"[" * 5000,
        b"!!python/object/apply:os.getcwd []",
        b"- run",
        b"run",
        b"",
    ],
    ids=["binary", "nul", "open", "date", "deep", "python", "list", "word", "empty"],
)
def test_a_file_that_is_no_settings_is_one_clear_message(config, text):
    path = config(text)
    with pytest.raises(ConfigError) as error:
        load_settings(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read the config") as error:
            load_settings(path)
        assert str(path) in str(error.value)


def test_there_are_shipped_configs():
    assert {path.parent.name for path in SHIPPED} >= {"more", "sem2010", "unified"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_config_loads_and_survives_dumping(path):
    settings = load_settings(path)
    assert Settings.model_validate(yaml.safe_load(dump_settings(settings))) == settings
    for stage in (settings.sft.trainer, settings.grpo.trainer):
        assert isinstance(stage.get("learning_rate", 0.0), float)


def test_a_guideline_beside_the_config_is_found_there_and_an_override_is_from_here(config, tmp_path):
    (tmp_path / "mine.yaml").write_text("")
    path = config("run: {dir: x}\ndata: {dir: y, guidelines: mine.yaml}\n")
    assert load_settings(path).data.guidelines == str(tmp_path / "mine.yaml")
    assert load_settings(path, ["data.guidelines=mine.yaml"]).data.guidelines == "mine.yaml"
    several = "{a: {dir: y, guidelines: mine.yaml}, b: {dir: z, guidelines: other.yaml}}"
    corpora = load_settings(config(f"run: {{dir: x}}\ndata: {{corpora: {several}}}\n")).data.each
    assert [one.guidelines for one in corpora.values()] == [str(tmp_path / "mine.yaml"), "other.yaml"]
