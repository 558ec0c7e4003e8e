"""tools/build_reasoning.py as a user runs it: flags, exit codes, the words it says; and what it never says."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from openai_server import Served, failed, said
from teach_runs import Teacher, answer, settings

from morerl.config import dump_settings
from morerl.jsonl import read_records
from morerl.models import transport
from morerl.runs import read_json
from morerl.schema import Reasoning

TOOL = Path(__file__).parents[1] / "tools/build_reasoning.py"
SECRET = "sk-secret-0123456789"
PRICES = {"m": {"input": 1000.0, "output": 2000.0}}  # a request of the server's costs 10 + 10 cents

found = importlib.util.spec_from_file_location("build_reasoning", TOOL)
build_reasoning = importlib.util.module_from_spec(found)
found.loader.exec_module(build_reasoning)


@pytest.fixture
def teacher():
    with Teacher() as served:
        yield served


@pytest.fixture
def config(tmp_path):
    """Writes a run over `n` samples that asks `url`; gives the file."""

    def write(url, **how):
        path = tmp_path / "run.yaml"
        path.write_text(dump_settings(settings(tmp_path, url, **how)))
        return path

    return write


@pytest.fixture
def tool(monkeypatch, capsys):
    """The tool in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        try:
            code = build_reasoning.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err and SECRET not in out + err
        return code, out, err

    return run


def totals(config):
    return read_json(config.parent / "run/teach/teach.json")


def one_line(text, *words):
    """What is wrong, in one line that holds all the words."""
    assert text.startswith("error ") and text.count("\n") == 1 and all(word in text for word in words), text
    return True


# --- bad values


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shard", "5/4"], ["--shard", "I/N"]),
        (["--shard", "0/4"], ["--shard", "I/N"]),
        (["--limit", "0"], ["--limit", "1 or more"]),
        (["--limit", "many"], ["--limit", "1 or more"]),
        (["--concurrency", "-3"], ["--concurrency", "1 or more"]),
        (["--max-usd", "-1"], ["--max-usd", "dollars"]),
        (["--max-usd", "nan"], ["--max-usd", "dollars"]),
        (["--max-tokens", "1e3"], ["--max-tokens", "1 or more"]),
        (["--resume", "maybe"], ["--resume", "if-possible"]),
        (["--merge", "--dry-run"], ["--merge", "not allowed"]),
        (["--merge", "--shard", "1/2"], ["--merge", "--shard"]),
        (["--limitt", "3"], ["--limitt"]),
        (["data.dir=/nonexistent"], ["/nonexistent/train.jsonl"]),
        (["--max-usd", "5"], ["--max-usd", "teach.prices"]),
    ],
)
def test_a_bad_value_is_one_line_and_asks_nobody(tool, teacher, config, arguments, words):
    code, out, err = tool(config(teacher.url), *arguments)
    assert code == 2 and not out and one_line(err, *words)
    assert not teacher.asked


# --- what it does


def test_a_dry_run_shows_the_prompt_the_counts_and_the_cost_and_sends_nothing(tool, teacher, config):
    path = config(teacher.url, prices=PRICES)
    code, out, _ = tool(path, "--dry-run", "--limit", 9)
    assert code == 0 and not teacher.asked and not (path.parent / "run").exists()
    assert len(re.findall(r"number \d+ flooded", out)) == 1 and "nothing was sent" in out
    assert (
        "9 samples (" in out and "; 0 need no further request" in out and re.search(r"cost: \$\d+\.\d\d for the", out)
    )
    out = tool(config(teacher.url), "--dry-run")[1]
    assert "20 samples" in out and "cost unknown: teach.prices says" in out


def test_a_run_says_what_it_wrote_and_one_with_a_limit_is_its_beginning(tool, teacher, config):
    path = config(teacher.url, prices=PRICES)
    code, out, _ = tool(path, "--limit", 6)
    assert code == 0 and f"6 of 20 chosen samples have a chain in {path.parent / 'run/reasoning.jsonl'}" in out
    assert "(6 were asked)" in out and "6 requests, 600 + 300 tokens, $1.20" in out and "next:" not in out
    code, out, _ = tool(path)
    assert code == 0 and "18 of 20 chosen samples have a chain" in out and "next: --audit" in out
    asked = len(teacher.asked)
    assert (0, out) == tool(path)[:2] and len(teacher.asked) == asked == len(set(teacher.asked))


@pytest.mark.parametrize(("flag", "most"), [("--max-usd", 3), ("--max-tokens", 3000)])
def test_a_cap_ends_it_with_3_and_a_higher_one_goes_on(tool, teacher, config, flag, most):
    path = config(teacher.url, prices=PRICES, max_new_tokens=50)
    code, out, _ = tool(path, flag, most)
    assert code == 3 and "stopped at the cap; raise it, and the same command goes on" in out
    spent = totals(path)
    assert 0 < (spent["usd"] if flag == "--max-usd" else sum(spent["tokens"].values())) <= most
    assert tool(path, flag, 100 * most)[0] == 0
    assert len(teacher.asked) == len(set(teacher.asked)) == totals(path)["replies"]


def test_samples_without_a_reply_end_it_with_3_and_are_asked_for_again(tool, config, monkeypatch):
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.001)
    ill = [True]
    server = Served(lambda body, number: failed(500, f"no, {SECRET}") if ill else said(answer(body)))
    path = config(server.url, n=3)
    code, out, _ = tool(path)
    assert code == 3 and "3 samples have no reply yet; the same command asks for them again" in out
    ill.clear()
    code, out, _ = tool(path)
    server.http.shutdown()
    server.http.server_close()
    assert code == 0 and "3 of 3 chosen samples have a chain" in out and "no reply" not in out


def test_never_more_requests_at_once_than_asked_for(tool, config):
    with Teacher(delay=0.02) as served:
        assert tool(config(served.url), "--concurrency", 3)[0] == 0
    assert served.most_at_once == 3


def test_parts_are_merged_and_what_is_missing_is_named(tool, teacher, config):
    path = config(teacher.url)
    assert tool(path, "--shard", "1/2")[0] == 0
    code, out, err = tool(path, "--merge")
    assert code == 2 and one_line(err, "lacks part 2/2")
    assert tool(path, "--shard", "2/2")[0] == 0
    asked = len(teacher.asked)
    code, out, err = tool(path, "--merge")
    assert code == 0 and "18 of 20 chosen samples have a chain" in out and len(teacher.asked) == asked
    other = "teach.gates.min_words=6"
    for part in ("1/2", "2/2"):
        assert tool(path, other, "--shard", part, "--resume", "always")[0] == 0
    code, out, err = tool(path, other, "--merge")
    assert code == 2 and "--resume always goes on" in err
    assert tool(path, other, "--merge", "--resume", "always")[0] == 0
    assert [row.id for row in read_records(path.parent / "run/reasoning.jsonl", Reasoning)][:3] == ["s0", "s1", "s2"]


def test_the_audit_is_a_page_with_the_counts(tool, teacher, config):
    path = config(teacher.url)
    code, out, err = tool(path, "--audit", 4)
    assert code == 2 and one_line(err, "reasoning.jsonl")
    tool(path)
    code, out, err = tool(path, "--audit", 4)
    page = path.parent / "run/teach/audit.html"
    assert code == 0 and out == f"look at {page}\n"
    text = page.read_text()
    assert "wrong_answer" in text and re.search(r"\b18\b", text) and SECRET not in text


def test_what_sends_nothing_needs_no_key(tool, teacher, config, monkeypatch):
    tool(config(teacher.url))
    monkeypatch.delenv("OPENAI_API_KEY")
    path = config("https://teacher.example/v1")
    assert tool(path, "--audit", 4)[0] == 0
    code, out, _ = tool(path, "--dry-run")
    assert code == 0 and "nothing was sent" in out
    code, _, err = tool(path)
    assert code == 2 and one_line(err, "OPENAI_API_KEY")


def test_another_setting_is_refused_in_one_message_that_names_it(tool, teacher, config):
    path = config(teacher.url)
    tool(path, "--limit", 2)
    asked = len(teacher.asked)
    code, _, err = tool(path, "teach.temperature=0.3")
    assert code == 2 and err.startswith("error ") and "settings.teach.temperature: 0.0 -> 0.3" in err
    assert "--resume" in err and len(teacher.asked) == asked
    assert tool(path, "teach.temperature=0.3", "--resume", "always")[0] == 0
    assert tool(path, "--resume", "never")[0] == 0
    assert (path.parent / "run/teach.old-1").is_dir()


def test_plans_need_no_endpoint(tool, config):
    path = config(None, strategy="mimic", model=None)
    code, out, _ = tool(path, "--limit", 4)
    assert code == 0 and f"4 of 20 chosen samples have a chain in {path.parent / 'run/reasoning.jsonl'}" in out
    assert "requests" not in out and len((path.parent / "run/reasoning.jsonl").read_text().splitlines()) == 4
    out = tool(path, "--dry-run")[1]
    assert out.startswith("<think>") and "20 such plans would be written, with no teacher and at no cost" in out
    assert tool(path)[0] == 0 and totals(path)["asked"] == 20


# --- an endpoint that cannot be used


@pytest.mark.parametrize(("status", "words"), [(401, ["401", "OPENAI_API_KEY"]), (404, ["404", "'m'", "/v1"])])
def test_a_server_that_refuses_is_one_line(tool, config, status, words):
    server = Served(lambda body, number: failed(status, f"{SECRET} is no key for m"))
    code, _, err = tool(config(server.url), "--concurrency", 2)
    server.http.shutdown()
    server.http.server_close()
    assert code == 2 and one_line(err, server.url, *words)
    assert server.keys[0] == f"Bearer {SECRET}" and len(server.bodies) <= 2


def test_a_server_that_is_not_there_is_one_line(tool, config, monkeypatch):
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.001)
    server = Served(lambda body, number: failed(500))
    server.http.shutdown()
    server.http.server_close()
    code, _, err = tool(config(server.url))
    assert code == 2 and one_line(err, server.url, "cannot be reached")
