"""Only whole checkpoints count, and the best model is whole whenever the power goes."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from morerl.training import checkpoint
from morerl.training.checkpoint import broken, commit, last_good, prepare, recover


@pytest.fixture
def made(tmp_path):
    def make(step, name=None):
        path = tmp_path / (name or f"checkpoint-{step}")
        path.mkdir()
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
        save_file({"w": np.arange(100, dtype=np.float32)}, path / "model.safetensors")
        return path

    return make


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


DAMAGE = {
    "state torn": lambda path: cut(path / "trainer_state.json", 9),
    "state empty": lambda path: cut(path / "trainer_state.json", 0),
    "state missing": lambda path: (path / "trainer_state.json").unlink(),
    "weights torn": lambda path: cut(path / "model.safetensors", 300),
    "header torn": lambda path: cut(path / "model.safetensors", 20),
    "weights empty": lambda path: cut(path / "model.safetensors", 0),
    "weights missing": lambda path: (path / "model.safetensors").unlink(),
    "second shard torn": lambda path: (path / "model-2.safetensors").write_bytes(b"\x09"),
}


def test_the_newest_is_chosen_by_number(made, tmp_path):
    for step in (9, 10, 100):
        made(step)
    made(999, "checkpoint-final")
    made(999, "other-999")
    assert last_good(tmp_path) == tmp_path / "checkpoint-100"


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_torn_checkpoint_is_skipped_with_a_message(made, tmp_path, caplog, fault):
    good, bad = made(5), made(10)
    assert broken(bad) is None
    DAMAGE[fault](bad)
    assert broken(bad)
    assert last_good(tmp_path) == good
    assert "checkpoint-10 is skipped: " in caplog.text and "checkpoint-5" not in caplog.text


def test_where_none_is_whole_there_is_none(made, tmp_path):
    assert last_good(tmp_path / "never") is None
    DAMAGE["weights torn"](made(10))
    assert last_good(tmp_path) is None


# --- the best model


def write(target, text):
    (prepare(target) / "w").write_text(text)
    commit(target)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_model_replaces_the_old_one(tmp_path):
    target = tmp_path / "deep/model"
    for text in ("one", "two"):
        write(target, text)
        assert (target / "w").read_text() == text
    assert left(target.parent) == ["model"]


def test_a_kill_while_writing_leaves_the_old_model_and_the_next_try_starts_clean(tmp_path):
    target = tmp_path / "model"
    write(target, "one")
    (prepare(target) / "half").write_text("torn")
    assert left(target) == ["w"]
    write(target, "two")
    assert left(target) == ["w"] and left(tmp_path) == ["model"]


@pytest.mark.parametrize("fatal", ["before the first rename", "between the renames", "before the clearing"])
def test_a_kill_at_any_point_of_commit_leaves_a_whole_model(tmp_path, monkeypatch, fatal):
    target = tmp_path / "model"
    write(target, "one")
    (prepare(target) / "w").write_text("two")
    survived = {"before the first rename": 0, "between the renames": 1, "before the clearing": 2}[fatal]
    calls = iter(range(9))

    def replace(source, destination):
        if next(calls) == survived:
            raise KeyboardInterrupt
        os.rename(source, destination)

    def rmtree(path, ignore_errors):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint.os, "replace", replace)
        patch.setattr(checkpoint.shutil, "rmtree", rmtree)
        commit(target)
    recover(target)
    assert (target / "w").read_text() == ("two" if survived == 2 else "one")
    for text in ("three", "four"):
        write(target, text)
        assert (target / "w").read_text() == text
    assert left(tmp_path) == ["model"]


def test_recover_leaves_a_whole_or_missing_model_alone(tmp_path):
    recover(tmp_path / "model")
    assert left(tmp_path) == []
    write(tmp_path / "model", "one")
    recover(tmp_path / "model")
    assert left(tmp_path) == ["model"]
