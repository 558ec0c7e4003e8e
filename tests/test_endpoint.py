"""The endpoint client against a real HTTP server of the tests' own: what it asks, and what faults cost."""

import base64
import io
import json
import logging
import random
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai_server import Served, failed, said
from PIL import Image

from morerl.errors import DataError, MorerlError
from morerl.guidelines import load_spec
from morerl.images import views
from morerl.models import endpoint, limiter, transport
from morerl.models.endpoint import complete
from morerl.prompts.render import render
from morerl.schema import Gold, Mention, Region, Sample
from morerl.settings import GenerateSettings, ImageSettings, PromptSettings
from morerl.tasks import alone

SPEC = load_spec("more")
PROMPT = PromptSettings(template="stepwise_brief")
IMAGES = ImageSettings(full_pixels=6272, crop_pixels=1568, min_side=28)
SECRET = "sk-secret-0123456789"


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for module in (limiter, transport):
        monkeypatch.setattr(module, "FIRST_PAUSE", 0.002)
    running = []

    def start(reply):
        running.append(Served(reply))
        return running[-1]

    yield start
    for server in running:
        server.http.shutdown()
        server.http.server_close()


def text_of(body):
    return body["messages"][0]["content"][-1]["text"]


def number_of(text):
    return int(re.search(r"number (\d+)", text).group(1))


def ask(server, samples, *, image_root=None, seed=0, concurrency=16, on_batch=lambda done: None, **settings):
    url = server if isinstance(server, str) else server.url
    how = GenerateSettings(**settings)
    where = {"base_url": url, "model": "m", "concurrency": concurrency}
    tasks = alone(SPEC, image_root)
    return complete(samples, tasks, **where, prompt=PROMPT, images=IMAGES, settings=how, seed=seed, on_batch=on_batch)


@pytest.fixture
def pictured(tmp_path):
    Image.effect_noise((150, 90), 40).convert("RGB").save(tmp_path / "a.jpg")
    return Sample(
        id="more/test/0", corpus="more", split="test", text="Hale helps Osei", image="a.jpg", head="r0", tail="m0",
        mentions=(Mention(id="m0", start=0, end=4, text="Hale"),),
        regions=(Region(id="r0", box=(0.1, 0.1, 0.6, 0.9)),), gold=Gold(label="none"),
    )  # fmt: skip


def test_the_request_is_the_rendered_chat_with_its_pictures(serve, pictured, tmp_path):
    server = serve(lambda body, number: said("yes"))
    settings = {"temperature": 0.7, "top_p": 0.9, "max_new_tokens": 33}
    assert ask(server, [pictured], image_root=tmp_path, seed=5, **settings) == [["yes"]]
    (body,) = server.bodies
    (message,) = body.pop("messages")
    assert server.paths == ["/v1/chat/completions"] and server.keys == ["Bearer none"]
    assert body == {"model": "m", "temperature": 0.7, "top_p": 0.9, "max_tokens": 33, "seed": 5}
    assert message["role"] == "user" and [block["type"] for block in message["content"]] == ["image_url"] * 2 + ["text"]
    assert message["content"][-1] == render(pictured, SPEC, PROMPT, IMAGES)[0]["content"][-1]
    shown = views(pictured, tmp_path, IMAGES, factor=endpoint.FACTOR)
    for block, picture in zip(message["content"], shown, strict=False):
        head, _, data = block["image_url"]["url"].partition(",")
        sent = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert head == "data:image/png;base64" and (sent.format, sent.size) == ("PNG", picture.size)
        assert sent.tobytes() == picture.tobytes()
    assert shown[0].size != shown[1].size


def test_the_order_is_kept_whatever_the_delays(serve, text_pair):
    def slowly(body, number):
        time.sleep(random.Random(number).random() / 20)
        return said(text_of(body))

    server, done = serve(slowly), []
    samples = [text_pair(number) for number in range(40)]
    out = ask(server, samples, on_batch=done.append)
    assert [number_of(text) for (text,) in out] == list(range(40))
    assert done == [1] * 40 and len(server.bodies) == 40


def test_no_samples_is_no_request(serve):
    server = serve(lambda body, number: said("x"))
    assert ask(server, []) == [] and server.bodies == []


def test_n_is_asked_for_at_once_and_no_more_is_taken(serve, text_pair):
    server = serve(lambda body, number: said("a", "b", "c", "d"))
    assert ask(server, [text_pair()], n=3, temperature=1.0) == [["a", "b", "c"]]
    assert [body["n"] for body in server.bodies] == [3]


@pytest.mark.parametrize("first", [said("s7"), failed(400)], ids=["ignores n", "refuses n"])
def test_a_server_without_n_is_asked_one_by_one_with_the_next_seeds(serve, text_pair, first):
    server = serve(lambda body, number: first if "n" in body else said(f"s{body['seed']}"))
    refused = first[0] == 400
    assert ask(server, [text_pair()], n=3, temperature=1.0, seed=7) == [["s7", "s8", "s9"]]
    assert len(server.bodies) == (4 if refused else 3)


def test_429_and_500_are_tried_again(serve, text_pair):
    faults = [failed(429, **{"Retry-After": "0.05"}), failed(500)]
    server = serve(lambda body, number: faults[number] if number < 2 else said("at last"))
    start = time.monotonic()
    assert ask(server, [text_pair()]) == [["at last"]] and len(server.bodies) == 3
    assert time.monotonic() - start >= 0.05


def test_it_works_in_a_thread_and_calls_back_in_that_one(serve, text_pair):
    server, seen = serve(lambda body, number: said("x")), []
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server, [text_pair()], on_batch=lambda done: seen.append(threading.get_ident()))
        assert asked.result() == [["x"]]
        assert seen == [pool.submit(threading.get_ident).result()]


def test_a_server_that_stays_ill_is_an_error_that_names_the_fault(serve, text_pair):
    server = serve(lambda body, number: failed(500))
    with pytest.raises(MorerlError, match=r"gives no answer for the model 'm', asked 6 times \[http_500\]") as caught:
        ask(server, [text_pair()])
    assert server.url in str(caught.value) and len(server.bodies) == 6


FAULTS = {
    "refused": failed(400, "the content filter\x1b[31m said no"),
    "too large": failed(413),
    "no choices": said(),
    "empty choice": said(""),
    "null content": said(None, finish="content_filter"),
    "cut JSON": (200, {}, said("x")[2][:40]),
    "a list": (200, {}, b"[1]"),
    "choices of another kind": (200, {}, b'{"choices": [1, {"message": 2}]}'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_gives_no_text_is_an_empty_completion_of_that_sample_alone(serve, text_pair, fault, caplog):
    server = serve(lambda body, number: FAULTS[fault] if number_of(text_of(body)) == 1 else said("fine"))
    assert ask(server, [text_pair(0), text_pair(1), text_pair(2)], n=1) == [["fine"], [""], ["fine"]]
    assert "\x1b" not in caplog.text
    if fault == "refused":
        assert "said no" in caplog.text and "1 requests went wrong, 1 completions are empty" in caplog.text


def replied(**message):
    """A reply of one choice whose message is as given."""
    status, headers, data = said("x", finish="length")
    reply = json.loads(data)
    reply["choices"][0]["message"] = {"role": "assistant", **message}
    return status, headers, json.dumps(reply).encode()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"content": None}, "without content (finish_reason 'length')"),
        ({"content": None, "reasoning_content": "hm"}, "only reasoning; more generate.max_new_tokens"),
        ({"content": "", "reasoning": "hm"}, "only reasoning; "),
        ({"content": None, "refusal": "I will not"}, "I will not"),
    ],
)
def test_an_answer_without_text_is_told_in_the_servers_words(serve, text_pair, caplog, message, words):
    assert ask(serve(lambda body, number: replied(**message)), [text_pair()]) == [[""]]
    assert words in caplog.text and "1 requests went wrong, 1 completions are empty" in caplog.text


def test_a_truncated_completion_is_what_came(serve, text_pair):
    assert ask(serve(lambda body, number: said("<think>and", finish="length")), [text_pair()]) == [["<think>and"]]


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (failed(401, f"bad key {SECRET}"), "401.*OPENAI_API_KEY"),
        (failed(403), "403.*may not use"),
        (failed(404, "no model m"), "404 for the model 'm': check that the URL ends in /v1"),
        (failed(402), "402.*log"),
        ((200, {"Content-Type": "text/html"}, b"<html>hello</html>"), "something else than JSON"),
    ],
)
def test_a_server_that_cannot_be_used_is_an_error_that_names_it(serve, text_pair, reply, wanted):
    server = serve(lambda body, number: reply)
    with pytest.raises(MorerlError, match=wanted) as caught:
        ask(server, [text_pair(number) for number in range(50)], concurrency=2)
    assert server.url in str(caught.value) and len(server.bodies) < 10


def test_a_dead_port_is_an_error_that_names_it(monkeypatch, text_pair):
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.002)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(MorerlError, match=f"{url} cannot be reached; check the URL"):
            ask(url, [text_pair()])


@pytest.mark.parametrize("status", [400, 401])
def test_the_key_is_sent_and_never_told(serve, text_pair, monkeypatch, caplog, status):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET + "\n")
    caplog.set_level(logging.DEBUG)
    server = serve(lambda body, number: failed(status, f"not good: {SECRET}"))
    try:
        told = str(ask(server, [text_pair()]))
    except MorerlError as error:
        told = "".join(traceback.format_exception(error))
    assert server.keys == [f"Bearer {SECRET}"] and SECRET not in told + caplog.text


def test_pictures_that_cannot_be_used_are_named(serve, pictured, tmp_path):
    server = serve(lambda body, number: said("x"))
    with pytest.raises(DataError, match=r"more/test/0 has a picture, but data\.image_root is not set"):
        ask(server, [pictured])
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"more/test/0: .*\[not_an_image\]"):
        ask(server, [pictured], image_root=tmp_path)


def test_text_is_completed_without_torch():
    start = "import sys, morerl.models.endpoint as e; e.Transport('http://localhost/v1', concurrency=1)"
    code = f"{start}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.stdout.strip() == "False", done.stderr
