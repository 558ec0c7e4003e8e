"""A teacher's run when things go wrong with the server, the settings or another run beside it."""

import threading
from collections import Counter

import pytest
from teach_runs import LABELS, Teacher, answer, number_of, settings

from morerl.errors import ConfigError, DataError, MorerlError
from morerl.jsonl import read_records
from morerl.models import limiter, transport
from morerl.prompts.render import render_completion
from morerl.runs import read_json
from morerl.schema import Reasoning
from morerl.teacher.build import run_teach
from morerl.teacher.merge import merge
from morerl.teacher.plan import Options

PRICES = {"m": {"input": 1000.0, "output": 2000.0}}
ALWAYS = Options(resume="always")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    for module in (limiter, transport):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.002)


def rows(run, name="reasoning.jsonl"):
    return list(read_records(run.run.dir / name, Reasoning))


def gold(row):
    return LABELS[int(row.id[1:]) % 3]


# --- the server


def test_a_server_that_refuses_everything_is_told_of_and_leaves_nothing_behind(tmp_path):
    with Teacher(reply=lambda body: 400) as teacher:
        run = settings(tmp_path, teacher.url)
        with pytest.raises(MorerlError, match=r"refuses every request \(http_400: .*the server's words"):
            run_teach(run)
        assert len(teacher.asked) < 20 + 16
        teacher.reply = answer
        totals = run_teach(run)
    assert totals["complete"] and totals["asked"] == 20 and totals["refused"] == 0


def test_what_is_refused_is_not_asked_again_unless_one_asks_for_it(tmp_path):
    with Teacher(reply=lambda body: 400 if number_of(body) == 4 else answer(body)) as teacher:
        run = settings(tmp_path, teacher.url)
        totals = run_teach(run)
        assert totals["complete"] and totals["refused"] == 1 and totals["rejected"]["reply_http_400"] == 1
        assert "the server's words" in totals["words"]["http_400"]
        asked = len(teacher.asked)
        (run.run.dir / "reasoning.jsonl").unlink()
        run_teach(run)
        assert len(teacher.asked) == asked
        teacher.reply = answer
        (run.run.dir / "reasoning.jsonl").unlink()
        totals = run_teach(run, options=ALWAYS)
    assert len(teacher.asked) == asked + 1 and totals["refused"] == 0 and totals["kept"] == 18


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_sample_without_a_reply_leaves_the_run_open_and_is_asked_again(tmp_path, status):
    with Teacher(reply=lambda body: status if number_of(body) == 6 else answer(body)) as teacher:
        run = settings(tmp_path, teacher.url)
        totals = run_teach(run, options=Options(concurrency=1))
        assert totals["unanswered"] == 1 and not totals["complete"] and totals["rejected"]["no_reply"] == 1
        teacher.reply = answer
        before = len(teacher.asked)
        totals = run_teach(run)
    assert totals["complete"] and len(teacher.asked) == before + 1


def test_a_draw_that_failed_leaves_distill_open_and_its_pass_rate_unknown(tmp_path):
    def failing(body):
        return 500 if (number_of(body), body["seed"]) == (4, 2) else answer(body | {"seed": 1})

    with Teacher(reply=failing) as teacher:
        run = settings(tmp_path, teacher.url, n=5, strategy="distill", draws=4)
        totals = run_teach(run)
        assert not totals["complete"] and totals["unanswered"] == 1
        assert {row.pass_rate for row in rows(run) if row.id == "s4"} == {None}
        teacher.reply = lambda body: answer(body | {"seed": 1})
        totals = run_teach(run)
    assert totals["complete"] and {row.pass_rate for row in rows(run) if row.id == "s4"} == {1.0}
    assert totals["replies"] == 20


def test_an_error_in_mid_run_leaves_what_came_in(tmp_path):
    with Teacher(reply=lambda body: 401 if number_of(body) == 15 else answer(body)) as teacher:
        run = settings(tmp_path, teacher.url)
        with pytest.raises(MorerlError, match="401"):
            run_teach(run, options=Options(concurrency=2))
        totals = read_json(run.run.dir / "teach/teach.json")
    assert totals["stopped"] == "error" and len(rows(run)) == totals["kept"] > 8


def test_a_reply_cut_off_or_filtered_is_never_taken_for_a_good_one(tmp_path):
    """Sample 1 is cut off at its first draw, sample 2 at every one, sample 4 is filtered."""

    def cut(body):
        number = number_of(body)
        finish = "length" if number == 2 or (number, body["seed"]) == (1, 0) else "stop"
        return answer(body), "content_filter" if number == 4 else finish

    with Teacher(reply=cut) as teacher:
        run = settings(tmp_path, teacher.url, n=5, retries=2)
        totals = run_teach(run)
        (run.run.dir / "reasoning.jsonl").unlink()
        assert run_teach(run)["rejected"] == totals["rejected"]  # read back, they are no better
    assert totals["rejected"] == {"truncated": 4, "wrong_answer": 1, "content_filter": 1} and totals["complete"]
    assert [(row.id, row.draw) for row in rows(run)] == [("s0", 0), ("s1", 1), ("s3", 1)]
    assert len(teacher.asked) == 1 + 2 + 3 + 2 + 1


# --- money


def test_lost_attempts_cost_what_they_may_have_cost(tmp_path):
    seen = Counter()

    def once_lost(body):
        seen[number_of(body)] += 1
        return 500 if seen[number_of(body)] == 1 else answer(body)

    with Teacher(reply=once_lost) as teacher:
        run = settings(tmp_path, teacher.url, n=3, prices=PRICES, max_new_tokens=60, retries=0)
        totals = run_teach(run)
    assert totals["attempts"] == len(teacher.asked) == 6
    assert totals["tokens"]["completion"] == 3 * 50 + 3 * 60 and totals["tokens"]["prompt"] > 3 * 1000


@pytest.mark.parametrize(
    ("reply", "extra", "cap"),
    [
        (lambda body, n: 500 if n % 6 else answer(body), {}, 12_000),
        (lambda body, n: answer(body), {"request": {"max_completion_tokens": 900}}, 4_000),
    ],
)
def test_no_cap_is_passed_whatever_the_server_does(tmp_path, reply, extra, cap):
    lock, count = threading.Lock(), Counter()

    def numbered(body):
        with lock:
            count["n"] += 1
            return reply(body, count["n"])

    with Teacher(reply=numbered) as teacher:
        run = settings(tmp_path, teacher.url, max_new_tokens=60, **extra)
        totals = run_teach(run, options=Options(max_tokens=cap))
    assert totals["stopped"] == "budget" and 0 < sum(totals["tokens"].values()) <= cap


def test_the_servers_own_count_corrects_the_estimate(tmp_path):
    """It counts 5,000 tokens where about 1,800 are expected: only the first request can go wrong by that."""
    with Teacher(prompt_tokens=5000) as teacher:
        run = settings(tmp_path, teacher.url, max_new_tokens=60)
        totals = run_teach(run, options=Options(max_tokens=23_000))
    assert totals["replies"] == 4 and sum(totals["tokens"].values()) == 4 * 5050


def test_a_price_named_later_counts_for_what_came_before_and_refuses_nothing(tmp_path):
    with Teacher() as teacher:
        first = run_teach(settings(tmp_path, teacher.url), options=Options(limit=4))
        assert first["usd"] is None
        totals = run_teach(settings(tmp_path, teacher.url, prices=PRICES))
        assert totals["usd"] == pytest.approx(0.2 * totals["replies"])


def test_replies_keep_the_price_of_their_time(tmp_path):
    with Teacher() as teacher:
        dear = run_teach(settings(tmp_path, teacher.url, prices=PRICES), options=Options(limit=4))["replies"]
        cheap = {"m": {"input": 1.0, "output": 1.0}}
        totals = run_teach(settings(tmp_path, teacher.url, prices=cheap))
        assert totals["usd"] == pytest.approx(dear * 0.2, abs=0.02)


def test_a_cap_keeps_what_is_paid_for_in_the_files(tmp_path):
    with Teacher() as teacher:
        run = settings(tmp_path, teacher.url, retries=0)
        whole = run_teach(run)
        more = settings(tmp_path, teacher.url, retries=1)
        totals = run_teach(more, options=Options(resume="always", max_tokens=10))
    assert totals["stopped"] == "budget" and totals["kept"] == whole["kept"]


@pytest.mark.parametrize("name", ["n", "stream", "messages", "model"])
def test_the_request_may_not_be_turned_into_another(tmp_path, name):
    with pytest.raises(ConfigError, match=f"may not hold {name}"):
        run_teach(settings(tmp_path, "http://127.0.0.1:9/v1", request={name: 2}))


def test_a_cap_needs_a_limit_on_replies(tmp_path):
    run = settings(tmp_path, "http://127.0.0.1:9/v1", request={"max_tokens": None})
    with pytest.raises(ConfigError, match="max_completion_tokens"):
        run_teach(run, options=Options(max_tokens=10))


# --- another run, another place


def test_a_run_beside_another_changes_nothing_of_it(tmp_path):
    with Teacher(delay=0.2) as teacher:
        run = settings(tmp_path, teacher.url)
        first = threading.Thread(target=run_teach, args=(run,), kwargs={"options": Options(concurrency=1)})
        first.start()
        while not teacher.asked:
            pass
        before = (run.run.dir / "teach/run.json").read_text()
        other = settings(tmp_path, teacher.url, temperature=0.5)
        for resume in ("always", "never"):
            with pytest.raises(MorerlError, match="another run is at work"):
                run_teach(other, options=Options(resume=resume))
        assert (run.run.dir / "teach/run.json").read_text() == before
        first.join()
    assert {row.temperature for row in rows(run)} <= {0.0, 0.7}


def test_to_start_anew_without_a_usable_address_moves_nothing(tmp_path):
    with Teacher() as teacher:
        run_teach(settings(tmp_path, teacher.url))
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            run_teach(settings(tmp_path, "https://example.org/v1"), options=Options(resume="never"))
        asked = len(teacher.asked)
        assert run_teach(settings(tmp_path, teacher.url))["complete"] and len(teacher.asked) == asked


def test_a_password_in_the_address_is_written_nowhere(tmp_path):
    run = settings(tmp_path, "http://user:sekret@127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match="without user, password"):
        run_teach(run)
    assert not run.run.dir.exists()


def test_a_slash_at_the_end_is_the_same_address(tmp_path):
    with Teacher() as teacher:
        run_teach(settings(tmp_path, teacher.url))
        asked = len(teacher.asked)
        assert run_teach(settings(tmp_path, teacher.url + "/"))["complete"] and len(teacher.asked) == asked


def test_the_refusal_of_a_folder_names_the_ways_on(tmp_path):
    with Teacher() as teacher:
        run_teach(settings(tmp_path, teacher.url), options=Options(limit=1))
        with pytest.raises(ConfigError, match="--resume always goes on") as refused:
            run_teach(settings(tmp_path, teacher.url, request={"top_k": 3}))
    assert "settings.teach.request.top_k: None -> 3" in str(refused.value) and "Delete" not in str(refused.value)


def test_pictures_that_are_not_there_leave_the_run_open(world, make_settings, tmp_path):
    with Teacher(reply=lambda body: "nothing") as teacher:
        asked = {"strategy": "stepwise", "endpoint": teacher.url, "model": "m"}
        with pytest.raises(DataError, match="is no folder"):
            run_teach(make_settings(teach=asked, data={"image_root": str(tmp_path / "nowhere")}))
        empty = tmp_path / "empty"
        empty.mkdir()
        totals = run_teach(make_settings(teach=asked, data={"image_root": str(empty)}), options=Options(limit=5))
        assert totals["unanswered"] == 5 and totals["rejected"] == {"picture_missing": 5} and not teacher.asked
        totals = run_teach(make_settings(teach=asked), options=ALWAYS)
    assert totals["complete"] and totals["unanswered"] == 0 and len(teacher.asked) == totals["asked"]


# --- parts


def test_what_a_merge_keeps_is_right_whatever_two_machines_were_told(tmp_path):
    """The first look and the parts had different replies to the same requests."""
    draws = Counter()

    def changing(body):
        draws[body["seed"], number_of(body)] += 1
        right = (draws[body["seed"], number_of(body)] + number_of(body)) % 2 == 0
        label = LABELS[(number_of(body) + (not right)) % 3]
        return render_completion(f"The words 'flooded the' say so, {sum(draws.values())} times over.", label)

    with Teacher(reply=changing) as teacher:
        run = settings(tmp_path, teacher.url, n=12, retries=1)
        run_teach(run, options=Options(limit=6))
        for number in (1, 2):
            run_teach(run, options=Options(shard=(number, 2)))
        totals = merge(run)
        if not totals["complete"]:  # the first look's reply wants another draw than the part's
            totals = run_teach(run)
    assert totals["complete"] and totals["kept"] == len(rows(run)) > 3
    assert all(f"<answer>{gold(row)}</answer>" in row.completion for row in rows(run))


def test_a_merge_again_counts_nothing_twice_and_writes_what_was_lost(tmp_path):
    seen = Counter()

    def once_lost(body):
        seen[number_of(body)] += 1
        return 500 if seen[number_of(body)] == 1 else answer(body)

    with Teacher(reply=once_lost) as teacher:
        run = settings(tmp_path, teacher.url, n=6, retries=0)
        for number in (1, 2):
            run_teach(run, options=Options(shard=(number, 2)))
        totals = merge(run)
        (run.run.dir / "reasoning.jsonl").unlink()
        assert merge(run) == totals and len(rows(run)) == totals["kept"]
    assert totals["attempts"] == len(teacher.asked) == 12
