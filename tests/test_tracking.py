"""What trackers are told, read back from their own files; those that are not installed are named."""

import json
import select
import socket
import sqlite3
import subprocess
import sys

import extras
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


@pytest.fixture
def nobody():
    """An environment whose proxy must not be asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy, kinds = f"http://127.0.0.1:{server.getsockname()[1]}", ("http_proxy", "https_proxy", "all_proxy")
        yield dict.fromkeys([*kinds, *map(str.upper, kinds)], proxy)
        asked, _, _ = select.select([server], [], [], 0)
        assert not asked, "something was sent to the network"


def history(folder, environment):
    """What wandb's own reader finds in a run's folder: metric -> {step: value}."""
    command = [*extras.command("wandb"), "leet", "inspect", "--json", str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True).stdout
    records = [json.loads(line) for line in told.splitlines()]
    return by_name(record["history"]["item"] for record in records if record["type"] == "history")


def by_name(rows):
    """Metric -> {step: value}."""
    out = {}
    for row in rows:
        for name, value in row.items():
            out.setdefault(name, {})[row.get("train/global_step")] = value
    return out


@pytest.mark.slow
def test_trackio_and_wandb_have_them_below_the_run_folder_and_send_nothing(rewarded, nobody, tmp_path):
    """In a process of its own: both keep state for as long as theirs lives."""
    extras.needs("trackio", "wandb")
    settings, home = rewarded(["trackio", "wandb"]), tmp_path / "home"
    environment = {**extras.environment(home), **nobody, "WANDB_MODE": "offline"}
    config = tmp_path / "run.yaml"
    config.write_text(dump_settings(settings))
    command = [sys.executable, "-m", "morerl", "grpo", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    tracking = settings.run.dir / "tracking"
    with sqlite3.connect(tracking / "trackio" / "morerl.db") as base:
        told = base.execute("SELECT run_name, metrics FROM metrics").fetchall()
    (folder,) = (tracking / "wandb").glob("offline-run-*")
    log = logged(settings)
    assert {name for name, _ in told} == {"run-grpo"}
    for found in (by_name(json.loads(text) for _, text in told), history(folder, environment)):
        for tag in TOLD | {"train/num_tokens", "train/learning_rate"}:
            assert found[tag] == pytest.approx(log[tag])
    assert not list(home.rglob("*.db")) and not list(home.rglob("*.wandb"))


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
