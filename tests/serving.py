"""`transformers serve` or `vllm serve` on this machine, and a narrow model that is worth asking."""

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

VLLM = os.environ.get("MORERL_VLLM")  # its executable, in an environment of its own
STARTS_WITHIN = {"transformers": 90.0, "vllm": 300.0}  # seconds
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
# what it needs without a GPU: a cache of so many GB, and no processor for itself alone
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


def make_loud(narrow_model, out):
    """The narrow model with weights 8 times as large, so that what it writes depends on what it is shown (as drawn it
    writes one word over and over)."""
    shutil.copytree(narrow_model, out, dirs_exist_ok=True)
    weights = load_file(out / "model.safetensors")
    louder = {name: weight * 8 if weight.ndim > 1 else weight for name, weight in weights.items()}
    save_file(louder, out / "model.safetensors", metadata={"format": "pt"})
    return out


@contextmanager
def served(model, log, by="transformers"):
    """The address of a server of that model, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = {
        "transformers": [Path(sys.executable).with_name("transformers"), "serve", model, "--device", "cpu"],
        "vllm": [VLLM, "serve", model, "--dtype", "float32", "--enforce-eager", "--max-model-len", "4096"],
    }[by]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*map(str, command), "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **QUIET, **ON_CPU},
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log, STARTS_WITHIN[by])
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url, process, log, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server does not start (exit code {process.poll()}):\n{log.read_text(errors='replace')}")
