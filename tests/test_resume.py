"""A run that stops inside a generation window goes on with the rollouts it had, whatever the window's shape."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from morerl.jsonl import write_records
from morerl.runs import read_json, sha256
from morerl.schema import Rated
from morerl.training.grpo import run_grpo
from morerl.training.resume import pack_window, unpack_window

# each is stopped after step 4 with a checkpoint after step 3; a window serves 2, 2 and 6 optimizer steps
SHAPES = {
    "a window of several steps": {"steps_per_generation": 4, "gradient_accumulation_steps": 2},
    "a window read twice": {"steps_per_generation": 1, "gradient_accumulation_steps": 1, "num_iterations": 2},
    "both": {"steps_per_generation": 4, "gradient_accumulation_steps": 2, "num_iterations": 3},
}
TIMES = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "step_time")


class Stop(Exception):
    """Stands for a kill: raised from inside the progress callback."""


def stop_at_four(done, total, figures):
    if done == 4:
        raise Stop


def by_length(case, parts):
    """Rewards with spread in every group, which an untrained model never earns from the real ones."""
    return {name: float(len(case.completion) % 7) for name in parts}


@pytest.fixture
def texts(tmp_path, text_pair):
    """A corpus without pictures."""
    write_records(tmp_path / "texts" / "train.jsonl", [text_pair(number) for number in range(16)])
    write_records(tmp_path / "texts" / "dev.jsonl", [text_pair(99)])
    return {"dir": str(tmp_path / "texts")}


@pytest.fixture
def settings(make_settings, tmp_path):
    def make(name, shape, data, ids, mixing=None):
        base = make_settings()
        trainer = {**base.grpo.trainer, **SHAPES[shape], "max_steps": 5, "save_steps": 1, "logging_steps": 2}
        made = make_settings(
            run={"dir": str(tmp_path / name)},
            data=data,
            grpo={
                "model": base.model.path,
                "dev": {"every_steps": 5, "limit": 1},
                "mixing": mixing or {"epochs": 2},
                "trainer": trainer,
            },
        )
        write_records(made.run.dir / "rated.jsonl", [Rated(id=i, n=1, n_correct=n % 2) for n, i in enumerate(ids)])
        return made

    return make


def ended(settings):
    """What must be equal: the log without its times, and the last weights, optimizer and random state."""
    folder = settings.run.dir / "grpo"
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = folder / "checkpoints" / "checkpoint-5"
    files = ("model.safetensors", "optimizer.pt", "rng_state.pth")
    return [{k: v for k, v in one.items() if k not in TIMES} for one in log], [sha256(last / name) for name in files]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pictures", "text"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_stopped_inside_a_window_ends_as_an_undisturbed_one(settings, texts, monkeypatch, shape, kind):
    monkeypatch.setattr("morerl.training.grpo.judge", by_length)
    data = texts if kind == "text" else {}
    ids = [f"text/{number - 1}" if kind == "text" else f"more/train/{number:06d}" for number in range(1, 17)]
    plain, broken = (settings(name, shape, data, ids) for name in ("plain", "broken"))
    run_grpo(plain)
    with pytest.raises(Stop):
        run_grpo(broken, listener=stop_at_four)
    inside = broken.run.dir / "grpo/checkpoints/checkpoint-3/window-0.safetensors"
    assert inside.exists()
    assert run_grpo(broken)["steps"] == 5
    assert ended(broken) == ended(plain)


def seldom(case, parts):
    """Rewards without spread for every other sample, so that a window is refilled."""
    return by_length(case, parts) if int(case.sample.id[-1]) % 2 else dict.fromkeys(parts, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pictures", "text"])
@pytest.mark.parametrize("shape", SHAPES)
def test_adaptive_mixing_goes_on_with_what_it_knew(settings, texts, monkeypatch, shape, kind):
    """The file that tells of the windows was ahead of the checkpoint, and its last line torn."""
    monkeypatch.setattr("morerl.training.grpo.judge", seldom)
    monkeypatch.setattr("morerl.training.order.is_right", lambda sample, answer, spec: int(sample.id[-1]) % 3 == 0)
    data = texts if kind == "text" else {}
    ids = [f"text/{number - 1}" if kind == "text" else f"more/train/{number:06d}" for number in range(1, 17)]
    mixing = {"strategy": "adaptive", "refill": 1.0}
    plain, broken = (settings(name, shape, data, ids, mixing) for name in ("plain", "broken"))
    run_grpo(plain)
    with pytest.raises(Stop):
        run_grpo(broken, listener=stop_at_four)
    told, wanted = (run.run.dir / "schedule.jsonl" for run in (broken, plain))
    with told.open("a") as file:
        file.write('{"window": 99, "prom')
    assert run_grpo(broken)["steps"] == 5
    assert ended(broken) == ended(plain)
    assert told.read_text() == wanted.read_text() and "refills" in told.read_text()
    known = [
        read_json(run.run.dir / "grpo/checkpoints/checkpoint-5/rank-0.json")["standing"] for run in (plain, broken)
    ]
    assert known[0] == known[1] and known[0]["rollouts"] == json.loads(told.read_text().splitlines()[-1])["rollouts"]


@pytest.mark.slow
def test_a_run_stopped_after_its_last_checkpoint_trains_no_step_more(settings, monkeypatch):
    monkeypatch.setattr("morerl.training.grpo.judge", by_length)
    one = settings("one", "a window of several steps", {}, [f"more/train/{number:06d}" for number in range(1, 17)])
    run_grpo(one)
    before = ended(one)
    (one.run.dir / "grpo" / "done.json").unlink()
    assert run_grpo(one)["steps"] == 5
    assert ended(one) == before


def test_a_window_comes_back_as_it_was(tmp_path):
    whole = torch.arange(24, dtype=torch.bfloat16).view(6, 4)
    window = [
        {"ids": whole[:2], "mask": whole[:2] > 3, "items": torch.tensor(7), "num_images": [1, 0], "old": None},
        {"ids": whole[2:].T, "empty": torch.zeros(0, 3), "num_images": [2]},
    ]
    tensors, rest = pack_window(window)
    save_file(tensors, tmp_path / "w.safetensors")
    again = unpack_window(load_file(tmp_path / "w.safetensors"), json.loads(json.dumps(rest)))
    for batch, read in zip(window, again, strict=True):
        assert batch.keys() == read.keys()
        for key, value in batch.items():
            same = torch.equal(value, read[key]) if isinstance(value, torch.Tensor) else value == read[key]
            assert same and getattr(value, "dtype", None) == getattr(read[key], "dtype", None)
