"""The transport against a real server that misbehaves byte for byte: what is asked again, given up, and never told."""

import asyncio
import json
import logging
import time
import traceback
from email.utils import formatdate

import pytest
from faulty_server import ONCE, FaultyServer, good, http, refused
from openai_server import failed

from morerl.errors import ConfigError, MorerlError
from morerl.models import body, limiter, transport
from morerl.models.transport import Failure, Transport

SECRET = "sk-secret-0123456789"
BODY = {"model": "m", "messages": [{"role": "user", "content": "who?"}]}
FINE = [http(good())]


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for module in (limiter, transport):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.002)
    running = []

    def start(script):
        running.append(FaultyServer(script))
        return running[-1]

    yield start
    for server in running:
        server.close()


def ask(server, times=1, *, concurrency=4, timeout=5.0, body=BODY):
    """The answers to `times` questions asked together, or the one answer."""

    async def run():
        async with Transport(server.url, concurrency=concurrency, timeout=timeout) as client:
            return await asyncio.gather(*[client.ask(body) for _ in range(times)])

    answers = asyncio.run(asyncio.wait_for(run(), 30))
    return answers if times > 1 else answers[0]


def failure(server, **how):
    with pytest.raises(Failure) as caught:
        ask(server, **how)
    return caught.value


@pytest.mark.parametrize("proxy", ["socks://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, proxy):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=r"the proxy of the environment \(ALL_PROXY, HTTPS_PROXY\) cannot be used"):
        Transport("https://models.example/v1", concurrency=1)


def test_an_answer_says_what_came(serve):
    server = serve(lambda body, number: FINE)
    assert ask(server) == (
        ["fine"],
        ["stop"],
        "m",
        {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        1,
        0,
        None,
    )
    assert server.bodies == [BODY] and "authorization: bearer none" in server.heads[0].lower()


@pytest.mark.parametrize("fault", ONCE)
def test_a_fault_that_passes_costs_one_more_try(serve, fault):
    server = serve(lambda body, number: FINE if number else ONCE[fault])
    answer = ask(server)
    assert (answer.texts, answer.tries, len(server.bodies)) == (["fine"], 2, 2)
    assert answer.lost == (fault != "http_408")


STAYS = {
    "http_500": ("http_500", 6),
    "http_408": ("http_408", 0),
    "reset before the headers": ("connection", 6),
    "closed within the body": ("connection", 6),
    "truncated JSON of its true length": ("bad_json", 6),
    "wrong content type": ("not_json", 6),
    "empty choices": ("no_choices", 6),
}


@pytest.mark.parametrize("fault", STAYS)
def test_a_fault_that_stays_is_a_named_failure_after_five_retries(serve, fault):
    server = serve(lambda body, number: ONCE[fault])
    end = failure(server)
    assert (end.reason, end.lost) == STAYS[fault]
    assert (end.final, end.tries, len(server.bodies)) == (False, 6, 6) and end.detail


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (failed(400, "too\x1b[31m long" + "g" * 900), "http_400"),
        (failed(413), "http_413"),
        ((422, {"Content-Type": "text/plain"}, b"not \xff text"), "http_422"),
        (refused(400, "content_filter"), "content_filter"),
        (refused(400, ["a", {}]), "http_400"),
    ],
)
def test_what_can_never_succeed_is_sent_once(serve, reply, reason):
    server = serve(lambda body, number: [http(reply)])
    end = failure(server)
    assert (end.reason, end.final, end.tries, end.lost, len(server.bodies)) == (reason, True, 1, 0, 1)
    assert 0 < len(end.detail) <= 300 and end.detail.isprintable()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (failed(401), "answers 401 for the model 'm': set OPENAI_API_KEY"),
        (failed(403), "may not use the model"),
        (failed(404), "check that the URL ends in /v1"),
        (refused(429, "insufficient_quota"), "quota of this key .* is used up"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), "something else than JSON; check that the URL"),
    ],
)
def test_a_server_that_cannot_be_used_is_an_error_at_once(serve, reply, words):
    server = serve(lambda body, number: [http(reply)])
    with pytest.raises(MorerlError, match=words):
        ask(server)
    assert len(server.bodies) == 1


def test_html_from_a_server_that_has_answered_before_is_a_passing_fault(serve):
    html = [http((200, {"Content-Type": "text/html"}, b"<html>"))]
    server = serve(lambda body, number: html if number == 1 else FINE)
    assert [answer.tries for answer in ask(server, 2, concurrency=1)] == [1, 2]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(serve, status):
    other = serve(lambda body, number: FINE)
    server = serve(lambda body, number: [http((status, {"Location": other.url + "/chat/completions"}, b""))])
    with pytest.raises(MorerlError, match=f"answers {status}.*it sends elsewhere"):
        ask(server)
    assert other.heads == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_by_all(serve, status, form):
    wait = {"seconds": lambda: "0.4", "date": lambda: formatdate(time.time() + 2, usegmt=True)}[form]
    times = []

    def script(body, number):
        times.append(time.time())
        return [http(failed(status, **{"Retry-After": wait()}))] if number == 0 else FINE

    answers = ask(serve(script), 3, concurrency=1)
    # a date has whole seconds: 1 to 2 of them are left
    assert 0.4 <= times[1] - times[0] < 5 and (form == "seconds" or times[1] - times[0] > 0.95)
    assert [answer.tries for answer in answers] == [2, 1, 1] and [answer.lost for answer in answers] == [0, 0, 0]


def test_a_server_that_stays_overloaded_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(limiter, "LONGEST_PAUSE", 0.005)
    server = serve(lambda body, number: [http(failed(429))])
    with pytest.raises(MorerlError, match="429 for the model 'm': the server stays overloaded"):
        ask(server)
    assert len(server.bodies) == transport.OVERLOADS


def test_a_server_that_allows_four_at_once_answers_everything(serve):
    server = serve(lambda body, number: [http(failed(429))] if server.running > 4 else [0.02, *FINE])

    async def run():
        async with Transport(server.url, concurrency=32) as client:
            answers = await asyncio.gather(*[client.ask(BODY) for _ in range(150)])
            return answers, client.limiter.ceiling

    answers, ceiling = asyncio.run(asyncio.wait_for(run(), 30))
    tries = sum(answer.tries for answer in answers)
    assert {answer.texts[0] for answer in answers} == {"fine"} and sum(answer.lost for answer in answers) == 0
    assert 1 <= ceiling <= 12 and server.most <= 32
    assert tries == len(server.bodies) < 150 + 100, "most of what is sent is answered"


def test_a_stream_that_trickles_for_ever_is_ended_by_the_timeout(serve):
    server = serve(lambda body, number: FINE if number else [http(good())[:80], *[0.02, b" "] * 500])
    start = time.monotonic()
    answer = ask(server, timeout=0.3)
    assert (answer.tries, answer.lost) == (2, 1) and time.monotonic() - start < 2
    assert failure(serve(lambda body, number: [5.0]), timeout=0.05).reason == "timeout"


def test_a_huge_reply_is_read_and_one_without_end_is_not(serve, monkeypatch):
    words = "word " * 1_000_000
    assert ask(serve(lambda body, number: [http(good(words))])).texts == [words]
    monkeypatch.setattr(body, "MOST_BYTES", 100_000)
    end = failure(serve(lambda body, number: [http((200, {}, b" " * 10_000), length=10**12), *[b" " * 99_000] * 5]))
    assert (end.reason, end.lost) == ("too_long", 6)


def test_half_a_character_in_a_question_is_sent(serve):
    server = serve(lambda body, number: FINE)
    ask(server, body={**BODY, "messages": "a\ud800\x00b"})
    assert server.bodies[0]["messages"] == "a\ud800\x00b"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_the_key_is_sent_and_never_told(serve, monkeypatch, caplog, status):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setattr(transport, "OVERLOADS", 2)
    caplog.set_level(logging.DEBUG)
    server = serve(lambda body, number: [http(refused(status, f"{SECRET[:5]}\x00{SECRET[5:]} {SECRET}"))])
    with pytest.raises((Failure, MorerlError)) as caught:
        ask(server)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(vars(caught.value))
    assert f"Bearer {SECRET}" in server.heads[0] and SECRET not in told + caplog.text


def test_the_key_in_a_refusal_or_a_broken_reply_is_not_told(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    silent = good(choices=[{"message": {"content": None, "refusal": f"not with {SECRET}"}, "finish_reason": None}])
    answer = ask(serve(lambda body, number: [http(silent)]))
    assert answer.texts == answer.finish_reasons == [""] and "not with ***" in answer.silence
    broken = (200, {}, json.dumps({"error": {"message": f"for {SECRET}"}}).encode())
    assert failure(serve(lambda body, number: [http(broken)])).detail == "for ***"


def test_cancelling_leaves_no_connection(serve):
    server = serve(lambda body, number: [20.0])

    async def until(condition):
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.01)

    async def run():
        async with Transport(server.url, concurrency=4) as client:
            tasks = [asyncio.create_task(client.ask(BODY)) for _ in range(8)]
            await until(lambda: server.running == 4)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            await until(lambda: server.open == 0)
            server.script = lambda body, number: FINE
            return await asyncio.gather(*[client.ask(BODY) for _ in range(8)])

    assert [answer.tries for answer in asyncio.run(run())] == [1] * 8
    assert server.most == 4
