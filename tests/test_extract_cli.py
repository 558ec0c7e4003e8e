"""`morerl extract` as a person types it: one text, many records, a run that is killed, a command that is wrong."""

import json
import signal
import subprocess
import sys
import time

import pytest
from extract_server import names, shown
from openai_server import Served
from typer.testing import CliRunner

from morerl.cli import app
from morerl.cli.shown import show_result
from morerl.extract.result import FoundEntity, Result


def morerl(*arguments):
    """In this process: to start one takes seconds."""
    return CliRunner().invoke(app, ["extract", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def server():
    running = Served(names)
    yield running
    running.http.shutdown()
    running.http.server_close()


def asking(server):
    return ["m", "--endpoint", server.url, "--schema", "name,place", "--relations", "before"]


def test_one_text_is_shown_with_what_it_holds(server):
    done = morerl(*asking(server), "--text", "Name1 [bold]and[/] Name2 \x1b[31m")
    assert done.exit_code == 0, done.stderr
    assert "[bold]and[/]" in done.stdout and "\x1b[31m" not in done.stdout
    assert "0-5" in done.stdout and "Name1  --before->  Name2" in done.stdout and "It says so." in done.stdout


def test_many_records_become_many_lines_and_bad_ones_are_lines_too(server, tmp_path):
    good = [{"text": f"Name{n} sleeps", "id": f"i{n}", "mine": n} for n in range(4)]
    bad = ['{"text": ""}', "no json", '{"text": "x", "image": "../x.png"}', "[" * 9999, '"\\ud800"']
    source, out = tmp_path / "in.jsonl", tmp_path / "out" / "out.jsonl"
    lines = [json.dumps(one) for one in good[:2]] + bad + [""] + [json.dumps(one) for one in good[2:]]
    source.write_text("\ufeff" + "\n".join(lines))
    done = morerl(*asking(server), "--file", source, "--out", out)
    assert done.exit_code == 0 and "9 records, 5 with an error" in done.stdout, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    reasons = [row["error"] and row["error"]["reason"] for row in rows]
    assert reasons == [None, None, "empty_text", "bad_line", "outside_root", "bad_line", "bad_text", None, None]
    assert [row["entities"][0]["text"] for row in rows if not row["error"]] == [f"Name{n}" for n in range(4)]
    assert [row["id"] for row in rows if not row["error"]] == [f"i{n}" for n in range(4)]
    again = morerl(*asking(server), "--file", source, "--out", out)
    assert again.exit_code == 2 and "--resume goes on" in again.stderr and len(server.bodies) == 4


def test_a_killed_run_goes_on_after_what_is_written(tmp_path):
    asked = []

    def slowly(body, number):
        asked.append(shown(body))
        time.sleep(0.05)
        return names(body)

    server = Served(slowly)
    source, out, whole = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    source.write_text("".join(json.dumps({"text": f"Name{n} sleeps"}) + "\n" for n in range(40)))
    arguments = [*asking(server), "--file", source, "--batch-size", "2"]
    command = [sys.executable, "-m", "morerl", "extract", *map(str, arguments), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end and not (out.exists() and out.read_bytes().count(b"\n") >= 6):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = out.read_bytes().count(b"\n")
    assert 6 <= kept < 40
    with out.open("ab") as file:
        file.write(b'{"text": "torn')
    asked.clear()
    done = morerl(*arguments, "--out", out, "--resume")
    assert done.exit_code == 0, done.stderr
    assert not {f"Name{n} sleeps" for n in range(kept)} & set(asked) and len(asked) == 40 - kept
    assert morerl(*arguments, "--out", whole).exit_code == 0
    assert out.read_bytes() == whole.read_bytes() and whole.read_bytes().count(b"\n") == 40
    other = morerl("other", *arguments[1:], "--out", out, "--resume")
    assert other.exit_code == 2 and "another model, schema or option" in other.stderr
    source.write_text(json.dumps({"text": "another"}) + "\n")
    moved = morerl(*arguments, "--out", out, "--resume")
    assert moved.exit_code == 2 and "out.jsonl:1 is the result of another record" in moved.stderr
    server.http.shutdown()
    server.http.server_close()


def test_names_may_come_from_a_file_that_windows_wrote(server, tmp_path):
    types = tmp_path / "TYPES.JSON"
    types.write_text(json.dumps({"name": "a name"}), encoding="utf-8-sig")
    done = morerl("m", "--endpoint", server.url, "--schema", types, "--text", "Name1 sleeps")
    assert done.exit_code == 0 and "a name" in server.bodies[0]["messages"][0]["content"][-1]["text"], done.stderr


@pytest.mark.parametrize("many", [False, True])
def test_an_interrupt_says_what_goes_on(server, tmp_path, monkeypatch, many):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("morerl.extract.extractor.Extractor.extract", interrupted)
    monkeypatch.setattr("morerl.extract.files.extract_file", interrupted)
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a"}\n')
    done = morerl(*asking(server), *(["--file", source, "--out", tmp_path / "o"] if many else ["--text", "a"]))
    assert done.exit_code == 130 and ("the same command with --resume goes on" in done.stderr) == many
    assert "interrupted" in done.stderr and ("what was finished is kept" in done.stderr) == many


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # before a model is loaded or asked: there is none
        (["m", "--text", "a", "--schema", "a", "--out", __file__], "is there already; give another --out"),
        (["m", "--text", "a", "--schema", "a", "--region", "0,0,b,1"], "--region: want x1,y1,x2,y2"),
        (["m"], "needs --text"),
        (["m", "--text", "a", "--file", "b"], "needs --text"),
        (["m", "--text", "a", "--resume"], "--resume goes on with the --out of a --file"),
        (["m", "--file", "nowhere.jsonl"], "no file nowhere.jsonl"),
        (["m", "--text", "a", "--schema", "x.json"], "cannot read x.json"),
        (["m", "--text", "a", "--endpoint", "http://127.0.0.1:1/v1"], "in the shell --schema"),
        (["m", "--text", "a", "--schema", "more", "--endpoint", "http://127.0.0.1:1/v1"], "--mention and --region"),
        (["m", "--text", "", "--schema", "a", "--endpoint", "http://127.0.0.1:1/v1"], "text is empty"),
    ],
)
def test_a_wrong_command_is_one_message_and_exit_code_2(arguments, words):
    done = morerl(*arguments)
    assert done.exit_code == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_a_terminal_is_told_what_was_not_found_and_obeys_no_one():
    import io

    from rich.console import Console

    lost = FoundEntity(id="e1", text="\x1b]0;title\x07[red]Kite[/red]", type="per", status="not_found")
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    show_result(Result(text="שלום \x1b[2J", entities=(lost,)), console)
    written = console.file.getvalue()
    assert "not_found" in written and "[red]Kite[/red]" in written and "שלום" in written
    assert "\x1b]0;" not in written and "\x1b[2J" not in written and "\x07" not in written
