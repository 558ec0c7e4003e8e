"""What trackers are told, read back from their own files; those that are not installed are named."""

import json
import sqlite3
import subprocess
import sys

import pytest

from morerl.config import dump_settings
from morerl.errors import ConfigError
from morerl.jsonl import write_records
from morerl.schema import Rated
from morerl.training.grpo import run_grpo
from morerl.training.sft import run_sft

TOLD = {"train/loss", "train/reward", "train/rewards/answer/mean", "train/frac_reward_zero_std", "train/dev_f1"}


@pytest.fixture
def rewarded(make_settings):
    """Settings of a short GRPO that tells a tracker."""

    def make(tracker):
        tree = make_settings().grpo.model_dump()
        tree["trainer"] |= {"max_steps": 2, "report_to": tracker}
        rewards = {"rewards": {"format": 0.5, "answer": 2.0}, "dev": {"every_steps": 1, "limit": 2}}
        settings = make_settings(grpo={**tree, **rewards, "model": make_settings().model.path})
        rows = [Rated(id=f"more/train/{number:06d}", n=1, n_correct=number % 2) for number in range(1, 17)]
        write_records(settings.run.dir / "rated.jsonl", rows)
        return settings

    return make


def logged(settings):
    """Metric -> {step: value} of log.jsonl, as trackers name them."""
    out = {}
    for line in (settings.run.dir / "grpo" / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        for name, value in entry.items():
            out.setdefault(f"train/{name}", {})[entry["step"]] = value
    return out


def test_tensorboard_has_every_reward_and_dev_score_of_the_log(rewarded, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    settings = rewarded("tensorboard")
    run_grpo(settings)
    events = EventAccumulator(str(settings.run.dir / "tracking" / "tensorboard" / "grpo")).Reload()
    found = {tag: {one.step: one.value for one in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    assert found.keys() >= TOLD and "train/step" not in found
    log = logged(settings)
    for tag in TOLD:
        assert found[tag] == pytest.approx(log[tag], rel=1e-6) and found[tag]
    assert sorted(found["train/dev_f1"]) == [0, 1, 2]


def in_a_process_of_its_own(settings, tmp_path, **environment):
    """trackio and wandb keep state for as long as their process lives."""
    config = tmp_path / "run.yaml"
    config.write_text(dump_settings(settings))
    command = [sys.executable, "-m", "morerl", "grpo", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def environment(tmp_path):
    """One without the settings of a tracker; HOME is empty, so that what is written there is seen."""
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_trackio_has_them_below_the_run_folder(rewarded, environment, tmp_path):
    pytest.importorskip("trackio", reason="trackio is not installed")
    settings = rewarded("trackio")
    in_a_process_of_its_own(settings, tmp_path, **environment)
    with sqlite3.connect(settings.run.dir / "tracking" / "trackio" / "morerl.db") as base:
        rows = [json.loads(text) for (text,) in base.execute("SELECT metrics FROM metrics")]
        names = {name for (name,) in base.execute("SELECT DISTINCT run_name FROM metrics")}
    found = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, {})[row.get("train/global_step")] = value
    log = logged(settings)
    assert not list((tmp_path / "home").rglob("*.db"))
    assert names == {"run-grpo"} and all(found[tag] == pytest.approx(log[tag]) for tag in TOLD)


@pytest.mark.slow
def test_wandb_offline_has_them_below_the_run_folder(rewarded, environment, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    settings = rewarded("wandb")
    in_a_process_of_its_own(settings, tmp_path, **environment, WANDB_MODE="offline")
    (file,) = (settings.run.dir / "tracking" / "wandb").glob("offline-run-*/run-*.wandb")
    content = file.read_bytes()
    assert all(tag.encode() in content for tag in TOLD)


@pytest.mark.parametrize("tracker", ["CometCallback", "wendy"])
def test_a_tracker_that_cannot_be_had_is_said_before_training(make_settings, world, tracker, tmp_path):
    asked = {"CometCallback": "comet_ml"}.get(tracker, tracker)
    chains = tmp_path / "chains.jsonl"
    row = {
        "id": "more/train/000001",
        "completion": "<think>x</think><answer>none</answer>",
        "model": "",
        "prompt_hash": "",
    }
    chains.write_text(json.dumps(row) + "\n")
    tree = make_settings().sft.model_dump()
    settings = make_settings(sft={**tree, "reasoning": chains, "trainer": {**tree["trainer"], "report_to": asked}})
    with pytest.raises(ConfigError, match=rf"trainer\.report_to.*{tracker}"):
        run_sft(settings)
