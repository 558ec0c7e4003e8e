"""A teacher's run from settings to files: resuming, refusing, parts, caps, failures, provenance."""

import asyncio
import json
import os
import shutil
import signal
import threading
from collections import Counter

import pytest
from teach_runs import LABELS, Teacher, answer, settings

from morerl.errors import ConfigError, DataError, MorerlError
from morerl.jsonl import read_records
from morerl.prompts.render import render_completion
from morerl.runs import read_json
from morerl.schema import Reasoning
from morerl.teacher.build import run_teach
from morerl.teacher.estimate import estimate
from morerl.teacher.merge import merge
from morerl.teacher.plan import Options, plan

CLOCK = {"time"}
PRICES = {"m": {"input": 1000.0, "output": 2000.0}}  # a request of the server's costs 10 + 10 cents


def rows(folder, name="reasoning.jsonl"):
    return [row.model_dump(exclude=CLOCK) for row in read_records(folder / name, Reasoning)]


def both(folder):
    return rows(folder), rows(folder, "rejected.jsonl")


@pytest.fixture
def teacher():
    with Teacher() as served:
        yield served


# --- what is left


def test_every_row_says_where_it_comes_from_and_the_totals_add_up(tmp_path, teacher):
    run = settings(tmp_path, teacher.url, n=40, prices=PRICES)
    totals = run_teach(run)
    kept, rejected = both(run.run.dir)
    assert totals == read_json(run.run.dir / "teach/teach.json") == read_json(run.run.dir / "teach/done.json")
    assert (totals["asked"], totals["kept"], totals["given_up"]) == (40, 37, 3)  # 5, 18 and 31 are never right
    assert totals["rejected"] == {"wrong_answer": len(rejected)} == {"wrong_answer": 3 * 4 + 5}
    assert totals["replies"] == totals["attempts"] == len(teacher.asked) == len(kept) + len(rejected)
    assert totals["tokens"] == {"prompt": 100 * 54, "completion": 50 * 54}
    assert totals["usd"] == pytest.approx(54 * 0.2) and totals["complete"] and totals["stopped"] is None
    assert [row["id"] for row in kept] == [f"s{n}" for n in range(40) if n % 13 != 5]
    third = kept[3]
    assert (third["draw"], third["temperature"], third["seed"], third["reason"]) == (1, 0.7, 1, None)
    assert (third["model"], third["strategy"], third["finish_reason"]) == ("teacher-1", "guided/1", "stop")
    assert third["usage"] == {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    assert len({row["prompt_hash"] for row in kept}) == 37 and len(third["prompt_hash"]) == 64
    assert all(row.time.endswith("+00:00") for row in read_records(run.run.dir / "reasoning.jsonl", Reasoning))


def test_the_request_is_what_the_settings_say(tmp_path):
    bodies = []
    with Teacher(reply=lambda body: bodies.append(body) or answer(body)) as served:
        asked = {"temperature": None, "request": {"max_tokens": None, "max_completion_tokens": 99, "top_k": 5}}
        run_teach(settings(tmp_path, served.url, n=1, structured=True, **asked))
    (body,) = bodies
    assert body["model"] == "m" and body["seed"] == 0 and body["top_k"] == 5 and body["max_completion_tokens"] == 99
    assert "max_tokens" not in body and "temperature" not in body
    assert body["response_format"]["type"] == "structural_tag"


def test_the_same_reasoning_twice_is_kept_once_in_corpus_order(tmp_path):
    def same(body):
        label = answer(body).split("<answer>")[1].removesuffix("</answer>")
        return render_completion("It is said so by 'flooded the' in so many words.", label)

    with Teacher(reply=same) as served:
        run = settings(tmp_path, served.url, n=12, retries=0)
        totals = run_teach(run)
    assert totals["kept"] == 1 and totals["rejected"] == {"duplicate": 8, "wrong_answer": 3}
    assert rows(run.run.dir)[0]["id"] == "s0"


# --- distill


def test_distill_keeps_one_right_draw_and_records_the_pass_rate(tmp_path):
    def by_draw(body):
        number = int(body["messages"][0]["content"][-1]["text"].partition("number ")[2].partition(" ")[0])
        right = body["seed"] % 4 < number  # sample 0 never, sample 1 in one draw of four, ...
        think = f"Draw {body['seed']} of {number} looks at 'flooded the'."
        return render_completion(think, LABELS[(number + (not right)) % 3])

    with Teacher(reply=by_draw) as served:
        run = settings(tmp_path, served.url, n=5, strategy="distill", draws=4)
        totals = run_teach(run)
    kept, rejected = both(run.run.dir)
    assert {row["id"]: (row["draw"], row["pass_rate"]) for row in kept} == {f"s{n}": (0, n / 4) for n in (1, 2, 3, 4)}
    assert {row["id"]: row["pass_rate"] for row in rejected} == {
        "s0": 0.0,
        "s1": 0.25,
        "s2": 0.5,
        "s3": 0.75,
        "s4": 1.0,
    }
    assert totals["rejected"] == {"wrong_answer": 10, "spare": 6} and totals["replies"] == 20
    assert {row["temperature"] for row in kept} == {0.7}


# --- going on, and refusing to


def test_a_limit_is_a_first_part_of_the_same_run(tmp_path, teacher):
    run = settings(tmp_path, teacher.url)
    first = run_teach(run, options=Options(limit=6))
    assert first["asked"] == 6 and not first["complete"] and not (run.run.dir / "teach/done.json").exists()
    asked = len(teacher.asked)
    assert run_teach(run)["complete"]
    assert len(teacher.asked) == len(set(teacher.asked)) > asked
    assert run_teach(run)["asked"] == 20


def test_another_prompt_or_setting_refuses_the_folder_and_says_what_changed(tmp_path, teacher):
    run = settings(tmp_path, teacher.url)
    run_teach(run, options=Options(limit=3))
    for changed, told in (
        ({"temperature": 0.3}, "settings.teach.temperature: 0.0 -> 0.3"),
        ({"model": "other"}, "settings.teach.model: 'm' -> 'other'"),
        ({"gates": {"min_words": 6}}, "settings.teach.gates.min_words: 5 -> 6"),
    ):
        with pytest.raises(ConfigError, match="other settings or inputs") as refused:
            run_teach(settings(tmp_path, teacher.url, **changed))
        assert told in str(refused.value)
    (tmp_path / "data/train.jsonl").write_text((tmp_path / "data/train.jsonl").read_text().replace("valley", "island"))
    with pytest.raises(ConfigError, match=r"train\.jsonl"):
        run_teach(run)


def test_resume_always_asks_anew_only_what_differs(tmp_path, teacher):
    run_teach(settings(tmp_path, teacher.url, retries=0))
    before = len(teacher.asked)
    totals = run_teach(settings(tmp_path, teacher.url, retries=3), options=Options(resume="always"))
    # 3, 10, 17 were wrong at first and 5, 18 are so always: 3 x 1 and 2 x 3 more draws
    assert len(teacher.asked) - before == 9 and totals["kept"] == 18
    # other gates ask nobody
    totals = run_teach(settings(tmp_path, teacher.url, gates={"min_words": 0}), options=Options(resume="always"))
    assert len(teacher.asked) - before == 9 and totals["kept"] == 18


def test_resume_never_moves_the_old_work_aside_and_asks_everything(tmp_path, teacher):
    run = settings(tmp_path, teacher.url)
    run_teach(run)
    before = len(teacher.asked)
    run_teach(run, options=Options(resume="never"))
    run_teach(run, options=Options(resume="never"))
    assert len(teacher.asked) == 3 * before
    assert all((run.run.dir / f"teach.old-{n}/replies.sqlite").is_file() for n in (1, 2))


def test_one_run_at_a_time_in_a_folder(tmp_path):
    with Teacher(delay=0.2) as served:
        run = settings(tmp_path, served.url)
        first = threading.Thread(target=run_teach, args=(run,))
        first.start()
        while not served.asked:
            pass
        with pytest.raises(MorerlError, match="another run is at work"):
            run_teach(run)
        first.join()
    assert len(served.asked) == len(set(served.asked))


# --- stopping


def test_an_interrupt_lets_the_replies_under_way_come_in_and_leaves_files(tmp_path):
    with Teacher(delay=0.15) as served:
        run = settings(tmp_path, served.url, n=30)
        served.on_request = lambda number: number == 8 and os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            run_teach(run, options=Options(concurrency=8))
        served.on_request = lambda number: None
        totals = read_json(run.run.dir / "teach/teach.json")
        assert totals["stopped"] == "interrupted" and not totals["complete"]
        assert totals["replies"] == len(served.asked) == 8
        assert run_teach(run)["complete"] and len(served.asked) == len(set(served.asked))


def test_a_second_interrupt_leaves_the_replies_under_way(tmp_path):
    with Teacher(delay=3.0) as served:
        run = settings(tmp_path, served.url, n=30)

        def twice(number):
            if number == 8:
                for wait in (0.0, 0.2):
                    threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT)).start()

        served.on_request = twice
        with pytest.raises(KeyboardInterrupt):
            run_teach(run, options=Options(concurrency=8))
    assert read_json(run.run.dir / "teach/teach.json")["replies"] == 0


@pytest.mark.parametrize(("cap", "requests"), [({"max_usd": 3.0}, 15), ({"max_tokens": 4000}, 26)])
def test_a_cap_is_never_passed_and_counts_earlier_runs_too(tmp_path, cap, requests):
    with Teacher(delay=0.01) as served:
        # a request may cost at most about 1,300 prompt tokens (estimated) and 50 of reply
        small = {"max_new_tokens": 50, "prices": {"m": {"input": 1000.0, "output": 2000.0}}}
        run = settings(tmp_path, served.url, **small)
        totals = run_teach(run, options=Options(**cap))
        assert totals["stopped"] == "budget" and 0 < totals["replies"] <= requests
        asked = len(served.asked)
        assert run_teach(run, options=Options(**cap))["replies"] == asked == len(served.asked)
        assert totals["usd"] <= cap.get("max_usd", 99) and sum(totals["tokens"].values()) <= cap.get("max_tokens", 9999)
        assert run_teach(run)["complete"]


def test_a_cap_in_dollars_needs_a_price(tmp_path, teacher):
    with pytest.raises(ConfigError, match=r"teach\.prices"):
        run_teach(settings(tmp_path, teacher.url), options=Options(max_usd=1.0))


# --- parts


def test_the_parts_of_three_machines_make_up_the_whole(tmp_path, teacher):
    whole = settings(tmp_path / "whole", teacher.url)
    run_teach(whole)
    asked = len(teacher.asked)
    for number in (1, 2, 3):
        machine = settings(tmp_path / f"machine-{number}", teacher.url)
        run_teach(machine, options=Options(shard=(number, 3)))
    assert len(teacher.asked) == 2 * asked
    home = settings(tmp_path / "machine-1", teacher.url)
    with pytest.raises(DataError, match="lacks part 2/3, 3/3"):
        merge(home)
    for number in (2, 3):
        name = f"teach-{number}-of-3"
        shutil.copytree(tmp_path / f"machine-{number}/run" / name, home.run.dir / name)
    totals = merge(home)
    assert totals["complete"] and both(home.run.dir) == both(whole.run.dir) and len(teacher.asked) == 2 * asked
    assert merge(home) == totals


def test_a_part_that_has_not_ended_or_is_of_other_settings_is_named(tmp_path, teacher):
    run = settings(tmp_path, teacher.url)
    run_teach(run, options=Options(shard=(1, 2)))
    run_teach(run, options=Options(shard=(2, 2), limit=4))
    with pytest.raises(DataError, match=r"teach-2-of-2 lacks 6 of its 10 samples \(s3, s7, s9 ...\): its run has"):
        merge(run)
    run_teach(run, options=Options(shard=(2, 2)))
    with pytest.raises(DataError, match=r"teach-1-of-2 lacks 10 .*other settings"):
        merge(settings(tmp_path, teacher.url, retries=1))
    run_teach(run, options=Options(shard=(2, 3)))
    with pytest.raises(DataError, match=r"parts of \[2, 3\] at once"):
        merge(run)


# --- before anything is sent


def test_a_dry_run_sends_nothing_and_prices_it(tmp_path, teacher):
    run = settings(tmp_path, teacher.url, prices=PRICES, max_new_tokens=100)
    found = estimate(plan(run), run, listener=lambda done, total: None)
    assert not teacher.asked and not (run.run.dir / "teach").exists()
    assert (found.samples, found.at_hand, found.requests, found.most_requests, found.pictures) == (20, 0, 20, 80, 0)
    assert found.by_label == {LABELS[0]: 7, LABELS[1]: 7, LABELS[2]: 6}
    assert found.usd_least == pytest.approx(found.prompt_tokens / 1000)
    assert found.usd_most == pytest.approx(4 * (found.prompt_tokens / 1000 + 20 * 100 / 500))
    assert found.usd_likely is None
    run_teach(run, options=Options(limit=10))
    later = estimate(plan(run), run, listener=lambda done, total: None)
    assert (
        later.at_hand == later.requests == 10
        and later.reply_tokens == 50
        and later.usd_least < later.usd_likely < later.usd_most
    )


def test_nothing_of_the_key_is_left_anywhere(tmp_path, teacher, monkeypatch, caplog):
    key = "sk-test-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    run = settings(tmp_path, teacher.url)
    run_teach(run)
    assert key not in caplog.text
    for path in run.run.dir.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_two_samples_that_ask_the_very_same_share_one_reply(tmp_path):
    with Teacher(delay=0.05) as served:
        run = settings(tmp_path, served.url, n=6, gates={"repeats": None, "min_words": 5})
        path = tmp_path / "data/train.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        twins = [{**line, "id": line["id"] + "b"} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines + twins))
        totals = run_teach(run)
    assert totals["asked"] == 12 and Counter(served.asked).most_common(1)[0][1] == 1
    assert len({row["completion"] for row in rows(run.run.dir)}) == len(rows(run.run.dir)) / 2


def test_it_runs_beside_another_event_loop(tmp_path, teacher):
    """As in a notebook: called in a thread, where no signal can be caught."""

    async def outer():
        return await asyncio.to_thread(run_teach, settings(tmp_path, teacher.url))

    assert asyncio.run(outer())["complete"]
