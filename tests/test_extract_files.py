"""A file of results that is gone on with: nothing twice, nothing of another record, and what failed asked again."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from extract_server import names, shown
from openai_server import Served

from morerl import Extractor
from morerl.errors import DataError, MorerlError
from morerl.extract.files import extract_file, read_lines


@pytest.fixture
def serve():
    running = []

    def start(reply):
        running.append(Served(reply))
        return running[-1], Extractor.from_endpoint(running[-1].url, "m", ["name"], relations=["before"])

    yield start
    for server in running:
        server.http.shutdown()
        server.http.server_close()


def rows(out):
    return [json.loads(line) for line in out.read_text().splitlines()]


def refused(body, number):
    return 400, {}, json.dumps({"error": {"message": "that text is not for me"}}).encode()


def test_what_was_not_answered_is_asked_again_in_its_place(serve, tmp_path):
    """A reply refused for one text, a record that was mended, a torn end: each is where it belongs in the end."""
    broken = True

    def reply(body, number):
        return refused(body, number) if broken and shown(body) == "Name2 sleeps" else names(body)

    server, extractor = serve(reply)
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [json.dumps({"text": f"Name{n} sleeps", "id": f"i{n}"}) for n in range(6)]
    source.write_text("\n".join([*lines[:4], "no json", *lines[5:]]))
    counts = extract_file(extractor, read_lines(source), out)
    assert counts == {"good": 4, "no_completion": 1, "bad_line": 1}
    with out.open("ab") as file:
        file.write(b'{"text": "torn')
    broken = False
    source.write_text("\n".join([*lines, json.dumps("Name6 sleeps")]))
    server.bodies.clear()
    told = []
    counts = extract_file(extractor, read_lines(source), out, resume=True, on_result=lambda: told.append(1))
    assert counts == {"good": 7} and len(told) == 7
    assert sorted(map(shown, server.bodies)) == ["Name2 sleeps", "Name4 sleeps", "Name6 sleeps"]
    assert [row["entities"][0]["text"] for row in rows(out)] == [f"Name{n}" for n in range(7)]
    assert [row["id"] for row in rows(out)] == [*(f"i{n}" for n in range(6)), None]


def test_two_runs_do_not_write_one_file(serve, tmp_path):
    def slowly(body, number):
        time.sleep(0.1)
        return names(body)

    _, extractor = serve(slowly)
    out, texts = tmp_path / "out.jsonl", [f"Name{n} sleeps" for n in range(24)]
    with ThreadPoolExecutor(1) as aside:
        first = aside.submit(extract_file, extractor, texts, out, batch_size=1)
        end = time.monotonic() + 30
        while time.monotonic() < end and not (out.exists() and out.stat().st_size):
            time.sleep(0.01)
        with pytest.raises(MorerlError, match=r"another run is writing .*out\.jsonl"):
            extract_file(extractor, texts, out, resume=True)
        assert first.result() == {"good": 24}
    assert [row["text"] for row in rows(out)] == texts


@pytest.mark.parametrize(
    "other",
    [
        {"mentions": ["Name0", "Name2"]},
        {"mentions": []},
        {"mentions": ["Name1", "Name0"]},
        {"mentions": ["Name0", "NameX"]},
        {"mentions": ["Name0", {"text": "Name1", "type": "place"}]},
        {"mentions": [{"text": "Name0", "id": "a"}, "Name1"]},
        {"id": "y"},
    ],
)
def test_a_record_about_other_things_is_another_record(serve, tmp_path, other):
    _, extractor = serve(names)
    record = {"text": "Name0 saw Name1 and Name2", "mentions": ["Name0", "Name1"], "id": "x"}
    out = tmp_path / "out.jsonl"
    extract_file(extractor, [record], out)
    whole = out.read_bytes()
    with pytest.raises(DataError, match=r"out\.jsonl:1 is the result of another record"):
        extract_file(extractor, [record | other], out, resume=True)
    assert out.read_bytes() == whole


def test_an_interrupt_keeps_what_was_answered_again(serve, tmp_path):
    broken = True

    def reply(body, number):
        return refused(body, number) if broken else names(body)

    server, extractor = serve(reply)
    out, texts = tmp_path / "out.jsonl", [f"Name{n} sleeps" for n in range(6)]
    assert extract_file(extractor, texts, out) == {"no_completion": 6}
    broken, told = False, []

    def third():
        told.append(1)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_file(extractor, texts, out, resume=True, batch_size=1, on_result=third)
    assert [len(row["entities"]) for row in rows(out)] == [1, 1, 1, 0, 0, 0]
    server.bodies.clear()
    assert extract_file(extractor, texts, out, resume=True) == {"good": 6} and len(server.bodies) == 3


def test_a_line_that_is_no_result_is_named_and_nothing_is_lost(serve, tmp_path):
    _, extractor = serve(names)
    out, texts = tmp_path / "out.jsonl", [f"Name{n} sleeps" for n in range(3)]
    extract_file(extractor, texts, out)
    lines = out.read_text().splitlines()
    out.write_text("\n".join([lines[0], json.dumps({**json.loads(lines[1]), "note": "checked"}), lines[2], ""]))
    whole = out.read_bytes()
    with pytest.raises(DataError, match=r"out\.jsonl:2 holds no result: note"):
        extract_file(extractor, texts, out, resume=True)
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ({"text": "  "}, {"text": "Name0 sleeps"}),
        ({"text": "a\ud800b"}, {"text": "Name0 sleeps"}),
        ({"text": "Name0 naps", "mentions": ["Ida"], "id": "x"}, {"text": "Name0 sleeps", "id": "x"}),
        ({"text": "Name0 sleeps", "image": "no.png"}, {"text": "Name0 sleeps"}),
    ],
)
def test_a_record_with_an_error_may_be_mended(serve, tmp_path, bad, good):
    _, extractor = serve(names)
    out = tmp_path / "out.jsonl"
    assert "good" not in extract_file(extractor, [bad], out)
    assert extract_file(extractor, [good], out, resume=True) == {"good": 1}
    assert rows(out)[0]["entities"][0]["text"] == "Name0"
