"""The doors: what a person sees when something is wrong, stops, or is asked for help."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from morerl.cli import app, main
from morerl.config import dump_settings
from morerl.inference import run_predict
from morerl.teacher.build import run_teach

ROOT = Path(__file__).parents[1]


def morerl(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "morerl", *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


@pytest.fixture
def config(tmp_path):
    def write(settings):
        path = tmp_path / "run.yaml"
        path.write_text(dump_settings(settings))
        return path

    return write


def test_help_names_every_verb_and_loads_no_torch():
    code = (
        "import sys; sys.argv = ['morerl', '--help']\n"
        "from morerl.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules, 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for verb in ("sft", "rate", "grpo", "predict", "score", "check", "demo", "report", "export"):
        assert verb in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sft", "nowhere.yaml"], ["cannot read the config nowhere.yaml"]),
        (["sftt", "x.yaml"], ["No such command"]),
        (["sft", ROOT / "configs/scenes/demo.yaml", "sft.trianer=1"], ["sft.trianer", "did you mean 'trainer'"]),
        (["sft", ROOT / "configs/scenes/demo.yaml", "run.dir=/nonexistent/x"], ["reasoning.jsonl"]),
        (["grpo", ROOT / "configs/scenes/demo.yaml", "run.dir=/nonexistent/x"], ["does not exist", "grpo.model"]),
        (["grpo", ROOT / "configs/scenes/demo.yaml", "grpo.rewards={anwser: 1}"], ["no reward named ['anwser']"]),
        (["score", ROOT / "configs/scenes/demo.yaml", "run.dir=/nonexistent/x"], ["test.jsonl"]),
        (["export", "/nonexistent/x", "--out", "/nonexistent/y"], ["neither a run's folder", "config.json"]),
        (["report", "/nonexistent/x"], ["no run folder /nonexistent/x"]),
        (["compare", "/nonexistent/a", ROOT], ["no file /nonexistent/a"]),
        (["demo"], ["no configs/scenes/demo.yaml here", "checkout", "give the path"]),
    ],
)
def test_what_is_wrong_is_said_in_one_message_with_exit_code_2(arguments, words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["morerl", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "Traceback" not in said
    assert all(word in said for word in words), said


def test_help_shows_what_stands_in_angle_brackets():
    """Markdown would take it for HTML, and leave it out."""
    lost = []
    for name, verb in get_command(app).commands.items():
        said = " ".join([verb.help or "", *(getattr(param, "help", "") or "" for param in verb.params)])
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300"}).output
        lost += [(name, one) for one in re.findall(r"<[a-z]+>\S*", said.replace("`", "")) if one not in shown]
    assert lost == [] and "<stage>.<split>.jsonl" in CliRunner().invoke(app, ["predict", "--help"]).output


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(make_settings, config):
    base = make_settings()
    trainer = {**base.sft.trainer, "max_steps": 60}
    settings = make_settings(sft={"trainer": trainer, "dev": {"every_steps": 10, "limit": 2}})
    run_teach(settings)
    path = config(settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "morerl", "sft", str(path)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell may have it ignored
    )
    log, deadline = settings.run.dir / "sft" / "checkpoints" / "checkpoint-10" / "trainer_state.json", time.time() + 90
    while not log.is_file() and time.time() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not (settings.run.dir / "sft" / "done.json").exists()
    done = morerl("sft", path)
    assert done.returncode == 0 and "60 steps" in done.stdout, done.stderr


def test_a_full_disk_is_one_message_and_the_good_file_stays(make_settings, config, monkeypatch, world):
    """A limit on file size stands for the disk: writes past it fail as they do on a full one."""
    settings = make_settings(predict={"model": make_settings().model.path})
    path = config(settings)
    run_predict(settings)
    written = next((settings.run.dir / "predictions").glob("*.jsonl"))
    before = written.read_bytes()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
        f"sys.argv = ['morerl', 'predict', {str(path)!r}]\n"
        "from morerl.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "run the same command again" in done.stderr
    assert written.read_bytes() == before
    kept = written.with_name(written.name + ".part")  # answers that were had before it was full
    assert {*written.parent.iterdir()} <= {written, kept}
