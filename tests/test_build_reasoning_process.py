"""tools/build_reasoning.py as a process: how it starts, how it is stopped, and what its bar shows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from teach_runs import Teacher, settings

from morerl.config import dump_settings
from morerl.runs import read_json

TOOL = Path(__file__).parents[1] / "tools/build_reasoning.py"
SECRET = "sk-secret-0123456789"
PRICES = {"m": {"input": 1000.0, "output": 2000.0}}  # a request of the server's costs 10 + 10 cents


@pytest.fixture
def config(tmp_path):
    """Writes a run over `n` samples that asks `url`; gives the file."""

    def write(url, **how):
        path = tmp_path / "run.yaml"
        path.write_text(dump_settings(settings(tmp_path, url, **how)))
        return path

    return write


def command(*arguments):
    return [sys.executable, str(TOOL), *map(str, arguments)]


def totals(config):
    return read_json(config.parent / "run/teach/teach.json")


# --- starting


def test_help_names_every_flag_and_exit_code_and_loads_nothing_heavy():
    started = time.monotonic()
    done = subprocess.run([*command()[:1], "-X", "importtime", TOOL, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and time.monotonic() - started < 5  # 0.1 s on an idle machine
    for flag in ("--dry-run", "--limit N", "--max-usd USD", "--max-tokens N", "--concurrency N", "--shard I/N",
                 "--merge", "--audit N", "--resume {never,if-possible,always}", "section.key=value"):  # fmt: skip
        assert flag in done.stdout
    assert "OPENAI_API_KEY" in done.stdout and re.search(r"Exit codes: 0 .*2 .*3 .*130 ", done.stdout, re.DOTALL)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "argparse" in loaded and not loaded & {"pydantic", "numpy", "openai", "torch", "rich"}


def test_a_run_about_texts_loads_neither_torch_nor_what_pictures_need(config):
    with Teacher() as served:
        loaded = modules_of(config(served.url, n=3))
    assert "openai" in loaded and not loaded & {"torch", "torchvision", "av", "transformers", "qwen_vl_utils"}


def modules_of(path):
    """What a process has imported that carried out that run."""
    code = (
        f"import runpy, sys; sys.argv = {[str(TOOL), str(path)]!r}\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print(json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    done = subprocess.run([sys.executable, "-c", "import json\n" + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


# --- stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_lets_the_replies_under_way_in_and_the_same_command_goes_on(config, number):
    with Teacher(delay=0.4) as served:
        path = config(served.url, n=30)
        process = subprocess.Popen(
            command(path, "--concurrency", 4),
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENAI_API_KEY": SECRET},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell may have it ignored
        )
        served.on_request = lambda count: count == 6 and os.kill(process.pid, number)
        _, err = process.communicate(timeout=60)
        served.on_request = lambda count: None
        assert process.returncode == 130 and "Traceback" not in err and SECRET not in err
        assert "replies under way are waited for" in err and "the same command goes on from there" in err
        stopped = totals(path)
        assert stopped["stopped"] == "interrupted" and stopped["replies"] == len(served.asked) <= 8
        served._delay = 0.0
        assert subprocess.run(command(path), capture_output=True, timeout=60).returncode == 0
        assert len(served.asked) == len(set(served.asked)) == totals(path)["replies"]


# --- the bar


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_shows_all_that_matters_in_a_narrow_terminal(config, columns):
    with Teacher(delay=0.1) as served:
        path = config(served.url, n=40, prices=PRICES)
        screen = in_terminal(command(path, "--concurrency", 8), columns)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen))]
    assert any(re.fullmatch(r"teach +(\S+ +)?\d+/40 0:00:\d\d (0:00:\d\d|-:--:--) left", line) for line in lines)
    told = r"kept 3\d  rejected \d+  [\d,]+ tokens  \$\d+\.\d\d  8 at once  \(wrong_answer \d+\)"
    assert any(re.fullmatch(told, line) for line in lines), lines[-12:]
    assert all(len(line) <= columns for line in lines if line.startswith(("teach", "kept")))


def in_terminal(arguments, columns):
    """What a process writes to a terminal of that width, control codes and all."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "OPENAI_API_KEY": SECRET}
    environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        written += part
        if not part:
            break
    os.close(ours)
    assert process.wait(30) == 0 and SECRET.encode() not in written
    return written.decode()
