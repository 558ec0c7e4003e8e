"""A teacher's run that is killed, runs out of disk or finds a torn file: what it ends with, and what it pays."""

import os
import random
import resource
import signal
import sqlite3
import time
import traceback
from contextlib import closing

import pytest
from teach_runs import Teacher, settings

from morerl.jsonl import read_records
from morerl.schema import Reasoning
from morerl.teacher.build import run_teach
from morerl.teacher.plan import Options

EIGHT = Options(concurrency=8)
OURS = {"time", "attempts"}  # of the clock, and of requests that were under way when a process died


def in_child(run, *, limit=None, options=EIGHT):
    """A process at work on that run; its exit code is 0, 1 with an OSError, 2 with another error."""
    child = os.fork()
    if child:
        return child
    code = 2
    try:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        run_teach(run, options=options)
        code = 0
    except OSError:
        code = 1
    except BaseException:  # noqa: BLE001 - the child must not come back into pytest
        traceback.print_exc()
    finally:
        os._exit(code)


def rows(folder):
    both = [read_records(folder / name, Reasoning) for name in ("reasoning.jsonl", "rejected.jsonl")]
    return [[row.model_dump(exclude=OURS) for row in part] for part in both]


def paid_for(folder):
    """The requests whose replies are stored, as the server marks them."""
    store = folder / "teach/replies.sqlite"
    if not store.is_file():
        return set()
    with closing(sqlite3.connect(store)) as base:
        try:
            texts = [row[0] for row in base.execute("SELECT json_extract(reply, '$.text') FROM replies")]
        except sqlite3.OperationalError:  # killed before the tables were made
            return set()
    return {text.partition("of request ")[2][:16] for text in texts}


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_pay_for_nothing_twice(tmp_path):
    rng = random.Random(0)
    with Teacher(delay=0.002) as teacher:
        whole = settings(tmp_path / "whole", teacher.url, n=170)
        run_teach(whole)
        requests = sorted(teacher.asked)
        assert 200 <= len(requests) == len(set(requests)) < 260
        teacher.asked.clear()
        run = settings(tmp_path / "killed", teacher.url, n=170)
        kills, twice = 0, set()
        while kills < 50:
            stored = paid_for(run.run.dir)
            before = len(teacher.asked)
            child = in_child(run)
            wait_for(teacher, before + rng.randint(1, 7), child)
            time.sleep(rng.random() * 0.006)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            kills += os.WIFSIGNALED(status)
            twice |= stored & set(teacher.asked[before:])
            if not os.WIFSIGNALED(status):
                break
        assert kills == 50 and len(paid_for(run.run.dir)) < len(requests)
        stored, before = paid_for(run.run.dir), len(teacher.asked)
        totals = run_teach(run)
        twice |= stored & set(teacher.asked[before:])
    assert not twice
    assert totals["complete"] and rows(run.run.dir) == rows(whole.run.dir)
    assert set(teacher.asked) == set(requests)


def wait_for(teacher, asked, child):
    """Until the server was asked so often, or the child has ended."""
    for _ in range(5000):
        if len(teacher.asked) >= asked or os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.001)
    raise AssertionError("the child asks nothing")


def test_a_full_disk_keeps_what_was_paid_for_and_the_run_goes_on_once_there_is_room(tmp_path):
    """No file may grow beyond 800 kB: SQLite finds the disk full in the middle of the run."""
    with Teacher(delay=0.002) as teacher:
        whole = settings(tmp_path / "whole", teacher.url, n=100)
        run_teach(whole)
        requests = set(teacher.asked)
        teacher.asked.clear()
        run = settings(tmp_path / "full", teacher.url, n=100)
        _, status = os.waitpid(in_child(run, limit=800_000), 0)
        assert os.waitstatus_to_exitcode(status) == 1  # an OSError, which the tool turns into advice
        stored = paid_for(run.run.dir)
        assert 10 < len(stored) < len(requests)
        assert len(set(teacher.asked) - stored) <= 2 * EIGHT.concurrency  # under way, or about to be, when it was full
        before = len(teacher.asked)
        assert run_teach(run)["complete"]
    assert not stored & set(teacher.asked[before:])
    assert rows(run.run.dir) == rows(whole.run.dir)


@pytest.mark.parametrize("bytes_lost", [1, 700, 5000])
def test_a_torn_write_costs_the_replies_in_it_and_no_others(tmp_path, bytes_lost):
    """What a loss of power may leave: a write-ahead log whose end is missing."""
    with Teacher(delay=0.002) as teacher:
        whole = settings(tmp_path / "whole", teacher.url, n=60)
        run_teach(whole)
        teacher.asked.clear()
        run = settings(tmp_path / "torn", teacher.url, n=60)
        child = in_child(run)
        wait_for(teacher, 40, child)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        log = run.run.dir / "teach/replies.sqlite-wal"
        os.truncate(log, log.stat().st_size - bytes_lost)
        stored, before = paid_for(run.run.dir), len(teacher.asked)
        assert len(stored) > 15
        assert run_teach(run)["complete"]
    assert not stored & set(teacher.asked[before:])
    assert rows(run.run.dir) == rows(whole.run.dir)


@pytest.mark.parametrize("harm", ["torn", "gone"])
@pytest.mark.parametrize("name", ["reasoning.jsonl", "rejected.jsonl"])
def test_a_torn_or_lost_output_is_written_anew_for_nothing(tmp_path, harm, name):
    with Teacher() as teacher:
        run = settings(tmp_path, teacher.url)
        run_teach(run)
        before, asked = rows(run.run.dir), len(teacher.asked)
        hurt = run.run.dir / name
        if harm == "torn":
            os.truncate(hurt, hurt.stat().st_size - 9)
        else:
            hurt.unlink()
        run_teach(run)
    assert rows(run.run.dir) == before and len(teacher.asked) == asked
