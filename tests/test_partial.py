"""What was answered is kept: torn lines, other work, and a disk that is full when the work goes on."""

import json
import os
import subprocess
import sys

import pytest

from morerl import inference
from morerl.errors import MorerlError
from morerl.partial import drop, fingerprint, in_chunks, kept
from morerl.schema import Sample

MARK = fingerprint("a", 1)
SAMPLES = [Sample(id=str(number), corpus="c", split="test", text="x", task="entities") for number in range(7)]
ANSWERS = [[f"answer {number}"] for number in range(7)]


def answer(chunk, number):
    return [[f"answer {sample.id}"] for sample in chunk]


def never(chunk, number):
    raise AssertionError("asked again")


def part_of(out):
    return out.with_name(out.name + ".part")


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_two_runs_do_not_write_one_file(tmp_path):
    out = tmp_path / "p.jsonl"

    def and_another(chunk, number):
        with pytest.raises(MorerlError, match=r"another run is writing .*p\.jsonl\.part"):
            in_chunks(SAMPLES, out, MARK, answer, size=2)
        return answer(chunk, number)

    assert in_chunks(SAMPLES, out, MARK, and_another, size=2) == ANSWERS
    assert in_chunks(SAMPLES, out, MARK, never, size=2) == ANSWERS


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path):
    """The file may not grow beyond what it has: neither a line more nor the same lines anew fit."""
    out = tmp_path / "p.jsonl"
    part_of(out).write_text(lines([MARK, *ANSWERS[:4]]) + '["to')
    code = f"""
import resource, signal
from pathlib import Path
from test_partial import MARK, SAMPLES, answer
from morerl import inference
from morerl.errors import MorerlError
from morerl.partial import in_chunks
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
in_chunks(SAMPLES, Path({str(out)!r}), MARK, answer, size=2)
"""
    here = {**os.environ, "PYTHONPATH": os.path.dirname(__file__), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=here)
    assert "File too large" in done.stderr
    assert kept(out, MARK, size=2, of=7) == 4
    asked = []
    assert in_chunks(SAMPLES, out, MARK, lambda *chunk: asked.append(chunk[1]) or answer(*chunk), size=2) == ANSWERS
    assert asked == [2, 3]


@pytest.mark.parametrize(
    ("rows", "tail", "count"),
    [
        ([MARK, *ANSWERS[:4]], "", 4),
        ([MARK, *ANSWERS[:5]], "", 4),
        ([MARK, *ANSWERS[:4]], '["torn', 4),
        ([MARK, *ANSWERS[:3]], '["no line end"]', 2),
        ([MARK, *ANSWERS[:2], 7, *ANSWERS[3:5]], "", 2),
        ([MARK, *ANSWERS[:2]], "[" * 100_000 + "\n", 2),
        ([MARK, ["a"], [5]], "", 0),
        ([MARK], "", 0),
        (["other", *ANSWERS[:4]], "", 0),
        ([], "", 0),
    ],
)
def test_whole_chunks_of_this_work_are_kept_and_the_rest_is_written_over(tmp_path, rows, tail, count):
    out = tmp_path / "new" / "p.jsonl"
    out.parent.mkdir()
    part_of(out).write_text(lines(rows) + tail)
    assert kept(out, MARK, size=2, of=7) == count
    assert [len(text) for text in in_chunks(SAMPLES, out, MARK, answer, size=2)] == [1] * 7
    before = rows[1 : count + 1]
    assert part_of(out).read_text() == lines([MARK, *before, *ANSWERS[count:]])


def test_what_is_whole_is_not_asked_and_is_dropped_when_written(tmp_path):
    out = tmp_path / "new" / "p.jsonl"
    assert kept(out, MARK, size=7, of=7) == 0
    assert in_chunks(SAMPLES, out, MARK, answer, size=7) == ANSWERS
    assert in_chunks(SAMPLES, out, MARK, never, size=7) == ANSWERS
    part_of(out).unlink()
    assert in_chunks(SAMPLES, out, MARK, answer, size=4) == ANSWERS  # a whole chunk, and a smaller one at the end
    assert in_chunks(SAMPLES, out, MARK, never, size=4) == ANSWERS and kept(out, MARK, size=4, of=7) == 7
    drop(out)
    assert kept(out, MARK, size=7, of=7) == 0 and not part_of(out).exists()


def dying(real, calls, at):
    """`real`, which fails on call number `at`; how many samples each call is for is kept in `calls`."""

    def generate(*args, **kwargs):
        calls.append(len(args[2]))
        if len(calls) == at:
            raise MorerlError("the lights went out")
        return real(*args, **kwargs)

    return generate


def test_a_rating_that_was_cut_off_goes_on_and_ends_the_same(make_settings, tmp_path, monkeypatch):
    def settings(name):
        drawn = {"n": 2, "temperature": 1.0, "limit": 10, "taught": True, "model": make_settings().model.path}
        return make_settings(
            run={"dir": str(tmp_path / name)}, rate=drawn, generate={"max_new_tokens": 4, "batch_size": 2}
        )

    monkeypatch.setattr(inference, "CHUNK", 2)
    real, rated = inference._rated, []  # with the texts: of a random model all are wrong
    monkeypatch.setattr(inference, "_rated", lambda *of: rated.append((of[0].id, of[1])) or real(*of))
    inference.run_rate(settings("whole"))
    calls = []
    monkeypatch.setattr(inference, "generate", dying(inference.generate, calls, 2))
    with pytest.raises(MorerlError, match="lights"):
        inference.run_rate(settings("cut"))
    seen = []
    inference.run_rate(settings("cut"), listener=lambda done, total: seen.append((done, total)))
    assert calls == [4, 4, 4, 2] and seen[-1] == (10, 10) and seen[0] > (4, 10)
    assert rated[10:] == rated[:10] and len({text for _, texts in rated for text in texts}) > 10
    whole, cut = ((tmp_path / name / "rated.jsonl").read_text() for name in ("whole", "cut"))
    assert whole == cut and not (tmp_path / "cut" / "rated.jsonl.part").exists()


def test_a_prediction_that_was_cut_off_goes_on_and_ends_the_same(make_settings, tmp_path, monkeypatch):
    def settings(name):
        return make_settings(
            predict={"model": make_settings().model.path, "out": str(tmp_path / f"{name}.jsonl")},
            generate={"max_new_tokens": 4, "batch_size": 2, "n": 2, "temperature": 1.0},
        )

    monkeypatch.setattr(inference, "CHUNK", 2)
    undisturbed = inference.run_predict(settings("whole"))[0].read_text()
    calls = []
    monkeypatch.setattr(inference, "generate", dying(inference.generate, calls, 3))
    with pytest.raises(MorerlError, match="lights"):
        inference.run_predict(settings("cut"))
    assert not (tmp_path / "cut.jsonl").exists() and (tmp_path / "cut.jsonl.part").exists()
    seen = []
    (out,) = inference.run_predict(settings("cut"), listener=lambda done, total: seen.append(done))
    assert out.read_text() == undisturbed and not (tmp_path / "cut.jsonl.part").exists()
    assert calls[:3] == [4, 4, 4] and sum(calls[3:]) == len(undisturbed.splitlines()) - 8 and seen[0] > 8
