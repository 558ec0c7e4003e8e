"""A run folder: a done stage is not done twice, an interrupted one goes on, another one's is refused."""

from pathlib import Path

import pytest

from morerl.config import load_settings
from morerl.errors import ConfigError, DataError
from morerl.runs import begin, finish, flatten, read_json, sha256


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "run.yaml").write_text(
        "run: {dir: x}\ndata: {dir: d, guidelines: more}\nsft: {trainer: {learning_rate: 1e-4}}\n"
    )

    def load(*overrides):
        return load_settings(tmp_path / "run.yaml", [f"run.dir={tmp_path / 'out'}", *overrides])

    return load


@pytest.fixture
def train(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("one\n")
    return path


def test_a_stage_is_opened_recorded_finished_and_then_only_looked_up(settings, train, tmp_path):
    assert begin(settings(), "sft", [train]) is None
    record = read_json(tmp_path / "out/sft/run.json")
    assert (record["stage"], record["seed"]) == ("sft", 0)
    assert record["inputs"] == {"/".join(train.parts[-3:]): sha256(train)}
    assert record["settings"]["sft"]["trainer"] == {"learning_rate": 1e-4}
    assert {"python", "git", "started", "versions"} <= set(record) and "pillow" in record["versions"]
    assert finish(settings(), "sft", {"steps": 3}) == {"steps": 3}
    assert begin(settings(), "sft", [train]) == {"steps": 3}


def test_the_resolved_settings_are_kept_beside(settings, train, tmp_path):
    begin(settings("run.seed=4"), "sft", [train])
    assert load_settings(tmp_path / "out/sft/config.yaml") == settings("run.seed=4")


def test_an_interrupted_stage_goes_on(settings, train, tmp_path):
    begin(settings(), "sft", [train])
    (tmp_path / "out/sft/checkpoint").mkdir()
    assert begin(settings(), "sft", [train]) is None
    assert (tmp_path / "out/sft/checkpoint").is_dir()


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("sft.trainer.learning_rate=2e-4", "settings.sft.trainer.learning_rate: 0.0001 -> 0.0002"),
        ("sft.trainer.weight_decay=1", "settings.sft.trainer.weight_decay: None -> 1"),
        ("run.seed=1", "settings.seed: 0 -> 1"),
        ("images.views=[full]", "settings.images.views: ['full', 'crop'] -> ['full']"),
        ("prompt.template=excerpt", "settings.prompt.template: None -> 'excerpt'"),
    ],
)
def test_other_settings_are_refused_by_key(settings, train, tmp_path, finished, override, line):
    begin(settings(), "sft", [train])
    if finished:
        finish(settings(), "sft", {"steps": 3})
    with pytest.raises(ConfigError) as error:
        begin(settings(override), "sft", [train])
    assert f"\n  {line}\n" in str(error.value) and "Delete" in str(error.value)
    assert str(error.value).count(" -> ") == 1
    assert load_settings(tmp_path / "out/sft/config.yaml") == settings()


def test_settings_of_other_stages_may_change(settings, train):
    begin(settings(), "sft", [train])
    finish(settings(), "sft", {"steps": 3})
    assert begin(settings("grpo.length_threshold=9", "predict.split=dev"), "sft", [train]) == {"steps": 3}


def test_a_changed_input_is_refused_by_its_name(settings, train):
    begin(settings(), "sft", [train])
    train.write_text("two\n")
    with pytest.raises(ConfigError, match=r"inputs\..*/train\.jsonl: '[0-9a-f]{64}' -> '[0-9a-f]{64}'"):
        begin(settings(), "sft", [train])


def test_a_missing_input_is_named_and_opens_nothing(settings, tmp_path):
    with pytest.raises(DataError, match=r"rated\.jsonl"):
        begin(settings(), "grpo", [tmp_path / "rated.jsonl"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("data/more/train.jsonl", r"prepare_corpus\.py FORMAT RAW --out data/more"),
        ("runs/x/reasoning.jsonl", r"build_reasoning\.py CONFIG"),
        ("runs/x/rated.jsonl", "`morerl rate` first"),
        ("runs/x/other.jsonl", "`morerl --help`"),
    ],
)
def test_what_makes_a_missing_input_is_said(settings, tmp_path, name, remedy):
    with pytest.raises(DataError, match=remedy):
        begin(settings(), "grpo", [Path(name)])


def test_two_stages_share_a_run(settings, train):
    for stage in ("sft", "grpo"):
        assert begin(settings(), stage, [train]) is None
        finish(settings(), stage, {"stage": stage})
    assert begin(settings(), "sft", [train]) == {"stage": "sft"}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": 1', "\0"])
def test_a_torn_json_file_counts_as_missing(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert read_json(tmp_path / "a.json") is read_json(tmp_path / "none.json") is None


def test_flatten_gives_dotted_keys_and_keeps_empty_sections():
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [2]}) == {"a.b.c": 1, "a.d": {}, "e": [2]}
