"""Only whole checkpoints count, and the best model is whole whenever the power goes."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from morerl.errors import ConfigError, MorerlError
from morerl.training import checkpoint
from morerl.training.checkpoint import (
    MARKER,
    broken,
    check_ranks,
    clear_unfinished,
    commit,
    last_good,
    prepare,
    prune,
    recover,
    seal,
    unfinished,
)


@pytest.fixture
def write_unfinished(tmp_path):
    """Files as transformers, DeepSpeed and FSDP2 leave them: weights may be of any name and in any folder."""

    def make(step, folder=tmp_path, numbers=100):
        path = unfinished(folder, step)
        (path / "global_step").mkdir(parents=True)
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
        (path / "rank-0.json").write_text("{}")
        (path / "global_step" / "zero_pp_rank_0_optim_states.pt").write_bytes(bytes(range(256)))
        save_file({"w": np.arange(numbers, dtype=np.float32)}, path / "model.safetensors")
        return path

    return make


@pytest.fixture
def made(write_unfinished):
    return lambda step: seal(write_unfinished(step))


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def flip(path, place):
    flipped = bytearray(path.read_bytes())
    flipped[place] ^= 1
    path.write_bytes(flipped)


OPTIMIZER = "global_step/zero_pp_rank_0_optim_states.pt"
DAMAGE = {
    "state torn": (lambda path: cut(path / "trainer_state.json", 9), "trainer_state.json has 9 bytes of"),
    "weights missing": (lambda path: (path / "model.safetensors").unlink(), "model.safetensors is missing"),
    "weights torn": (lambda path: cut(path / "model.safetensors", 300), "model.safetensors has 300 bytes of"),
    "one bit of the weights": (lambda path: flip(path / "model.safetensors", -9), "not as it was written"),
    "one bit of a rank's file": (lambda path: flip(path / OPTIMIZER, 7), f"{OPTIMIZER} is not as it was written"),
    "marker missing": (lambda path: (path / MARKER).unlink(), "not written to its end"),
    "marker torn": (lambda path: cut(path / MARKER, 50), "not written to its end"),
    "marker empty": (lambda path: cut(path / MARKER, 0), "not written to its end"),
    "marker of nothing": (lambda path: (path / MARKER).write_text('{"files": {}}'), "not written to its end"),
}


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_is_chosen_by_number(made, tmp_path):
    for step in (9, 100, 10):
        made(step)
    (tmp_path / "checkpoint-final").mkdir()
    assert last_good(tmp_path) == tmp_path / "checkpoint-100"


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_broken_checkpoint_is_skipped_with_a_message_that_says_why(made, tmp_path, caplog, fault):
    good, bad = made(5), made(10)
    assert broken(bad) is None
    damage, reason = DAMAGE[fault]
    damage(bad)
    assert last_good(tmp_path) == good
    assert "checkpoint-10 is skipped: " in caplog.text and reason in caplog.text
    assert "checkpoint-5" not in caplog.text


def test_no_flipped_bit_of_the_marker_passes_or_stops_the_start(made):
    path = made(1)
    marker = (path / MARKER).read_bytes()
    for bit in range(0, 8 * len(marker.rstrip()), 7):  # every place of a byte comes up, in a seventh of the time
        flipped = bytearray(marker)
        flipped[bit // 8] ^= 1 << bit % 8
        (path / MARKER).write_bytes(flipped)
        assert broken(path), (bit, marker[bit // 8 - 9 : bit // 8 + 9])


def test_where_none_is_whole_there_is_none(made, write_unfinished, tmp_path):
    assert last_good(tmp_path / "never") is None
    cut(made(10) / "model.safetensors", 300)
    write_unfinished(12)  # killed before it was sealed
    assert last_good(tmp_path) is None
    clear_unfinished(tmp_path)
    assert left(tmp_path) == ["checkpoint-10"]


@pytest.mark.parametrize("fatal", ["_flush", "write_json", "os.replace", "_sync"])
def test_a_kill_at_any_point_of_sealing_leaves_the_new_one_or_the_old(made, write_unfinished, tmp_path, fatal):
    """A real end of a real process: what Python would still do on an exception is not done."""
    old = made(1)
    new = write_unfinished(2)
    if not (child := os.fork()):
        owner, name = (checkpoint.os, "replace") if fatal == "os.replace" else (checkpoint, fatal)
        inner, ends = getattr(owner, name), ("checkpoint-2", MARKER)
        setattr(owner, name, lambda *args: (inner(*args), os._exit(9)) if str(args[0]).endswith(ends) else inner(*args))
        seal(new)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    found = last_good(tmp_path)
    assert found == (tmp_path / "checkpoint-2" if fatal == "os.replace" else old)
    clear_unfinished(tmp_path)
    assert last_good(tmp_path) == found


def test_older_ones_go_only_once_a_newer_one_is_proven(made, tmp_path, monkeypatch):
    for step in (1, 2, 3):
        made(step)
    flip(tmp_path / "checkpoint-2" / "model.safetensors", -1)
    cut(tmp_path / "checkpoint-3" / "model.safetensors", 9)
    made(9)
    cut(tmp_path / "checkpoint-9" / "model.safetensors", 9)
    newest = made(4)
    prune(newest, None)
    assert len(left(tmp_path)) == 6
    prune(newest, 2)  # not the torn one; a later one was torn too, and training has gone on from before it
    assert left(tmp_path) == [".new", "checkpoint-2", "checkpoint-4", "checkpoint-9"]


def test_a_disk_that_gives_back_other_bytes_costs_nothing_older(made, write_unfinished, tmp_path, monkeypatch):
    old, new = made(1), write_unfinished(2)

    def replace(source, target):
        os.rename(source, target)
        if target.name == "checkpoint-2":
            flip(target / "model.safetensors", -1)

    monkeypatch.setattr(checkpoint.os, "replace", replace)
    with pytest.raises(MorerlError, match=r"checkpoint-2 cannot be read back: model\.safetensors is not as it was"):
        seal(new)
    assert last_good(tmp_path) == old


def test_a_broken_one_is_replaced_when_its_step_comes_again(made):
    cut(made(1) / "model.safetensors", 9)
    assert broken(made(1)) is None


def test_another_number_of_ranks_is_refused(made):
    path = made(1)
    check_ranks(path, 1)
    with pytest.raises(ConfigError, match="was written by 1 ranks, and this run has 2"):
        check_ranks(path, 2)


# --- the best model


def write(target, text):
    (prepare(target) / "w").write_text(text)
    commit(target)


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
