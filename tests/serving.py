"""`transformers serve` on this machine, and a narrow model that is worth asking."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

STARTS_WITHIN = 90.0  # seconds


def make_loud(narrow_model, out):
    """The narrow model with weights 8 times as large, so that what it writes depends on what it is shown (as drawn it
    writes one word over and over)."""
    shutil.copytree(narrow_model, out, dirs_exist_ok=True)
    weights = load_file(out / "model.safetensors")
    louder = {name: weight * 8 if weight.ndim > 1 else weight for name, weight in weights.items()}
    save_file(louder, out / "model.safetensors", metadata={"format": "pt"})
    return out


@contextmanager
def served(model, log):
    """The address of a server of that model, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", model, "--host", "127.0.0.1"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*map(str, command), "--port", str(port), "--device", "cpu"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url, process, log):
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"transformers serve does not start (exit code {process.poll()}):\n{log.read_text(errors='replace')}")
