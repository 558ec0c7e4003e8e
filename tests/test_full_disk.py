"""A disk without room: a real one, which the kernel says is full, so that every library fails in its own way."""

import ctypes
import os
import resource

import numpy as np
import pytest
from safetensors.numpy import save_file

from morerl.errors import MorerlError
from morerl.runs import sha256
from morerl.teacher.build import run_teach
from morerl.training.checkpoint import full_disk_explained, last_good, seal, unfinished
from morerl.training.sft import run_sft


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def on_small_disk(folder):
    """A real file system of 256 KB, seen by this process alone. False where the kernel does not allow it."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespaces = 0x00020000 | (0 if os.geteuid() == 0 else 0x10000000)  # CLONE_NEWNS, CLONE_NEWUSER
    if libc.unshare(namespaces) or libc.mount(b"none", b"/", None, 0x44000, None):  # MS_REC | MS_PRIVATE
        return False
    return libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=256k") == 0


def with_small_limit(folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # the kernel's, so the error is a real one
    return True


def write_unfinished(folder, step, numbers):
    path = unfinished(folder, step)
    path.mkdir(parents=True)
    save_file({"w": np.arange(numbers, dtype=np.float32)}, path / "model.safetensors")
    return path


def writes_too_much(folder, limit):
    """In a child: one good checkpoint, then one with no room; its exit code says what went otherwise than it should."""
    folder.mkdir(parents=True)
    if not limit(folder.parent):
        return 77
    folder.mkdir(exist_ok=True)
    seal(write_unfinished(folder, 1, numbers=100))
    try:
        with full_disk_explained(folder.parent):
            seal(write_unfinished(folder, 2, numbers=100_000))
    except MorerlError as error:
        said = [str(folder), "A checkpoint takes 0.0 MB", "MB are free", "goes on from checkpoint-1"]
        kept = left(folder) == ["checkpoint-1"] and last_good(folder) == folder / "checkpoint-1"
        return 0 if kept and all(text in str(error) for text in said) else 2
    return 3


@pytest.mark.parametrize("limit", [on_small_disk, with_small_limit])
def test_a_full_disk_loses_nothing_and_says_what_to_do(tmp_path, limit):
    if not (child := os.fork()):
        code = 4
        try:
            code = writes_too_much(tmp_path / "grpo" / "checkpoints", limit)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 77:
        pytest.skip("this machine mounts no file system for its user; the limit on a file's size is tested")
    assert code == 0


@pytest.mark.parametrize("error", [OSError(2, "no such picture"), RuntimeError("shapes differ"), OSError("bad image")])
def test_other_errors_are_no_full_disk(tmp_path, error):
    with pytest.raises(type(error), match=str(error).replace("[", r"\[")), full_disk_explained(tmp_path):
        raise error


@pytest.mark.slow
def test_a_run_whose_disk_is_full_goes_on_once_there_is_room(make_settings, tmp_path):
    """The room goes in a save of the optimizer, after the model was written: torch's own error, in a real run."""
    plain, full = (make_settings(run={"dir": str(tmp_path / name)}, teach={"share": 0.1}) for name in ("plain", "full"))
    for settings in (plain, full):
        run_teach(settings)
    run_sft(plain)
    last = "sft/checkpoints/checkpoint-4"
    largest = (plain.run.dir / last / "optimizer.pt").stat().st_size
    assert largest > (plain.run.dir / last / "model.safetensors").stat().st_size + 20_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, total, figures):
        if done == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 10_000, before[1]))

    try:
        with pytest.raises(MorerlError, match=r"torch could not write.* the same command goes on from checkpoint-2"):
            run_sft(full, listener=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(full.run.dir / "sft" / "checkpoints") == ["README.md", "checkpoint-2"]
    run_sft(full)
    for name in ("model.safetensors", "optimizer.pt"):
        assert sha256(full.run.dir / last / name) == sha256(plain.run.dir / last / name)
