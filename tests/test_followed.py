"""An answer followed while it is written: by a model of this machine, and by a server that streams, however it does."""

import json
import threading
from itertools import pairwise

import pytest
from extract_server import completion, extraction
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Served, said, streamed
from PIL import Image

from morerl import Extractor
from morerl.models import body, listener
from morerl.models.body import Streamed
from morerl.models.replies import read_answer

BOXES = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]
LABELS = {"schema": ["per"], "relations": ["helps"]}


class Ear:
    """What each question was told, in order."""

    def __init__(self):
        self.told = {}

    def __call__(self, question, text):
        self.told.setdefault((question.head, question.tail), []).append(text)


@pytest.fixture(autouse=True)
def every_word(monkeypatch):
    monkeypatch.setattr(body, "SECONDS", 0.0)
    monkeypatch.setattr(listener, "SECONDS", 0.0)


def test_all_pairs_of_a_picture_are_followed_at_once(narrow_model, tmp_path):
    Image.effect_noise((90, 60), 60).convert("RGB").save(tmp_path / "a.png")
    extractor = Extractor.from_pretrained(narrow_model, **LABELS, image_root=tmp_path, max_new_tokens=12)
    ear, record = Ear(), {"regions": BOXES, "mentions": ["Hale", "Osei"]}
    followed = extractor.extract("Hale helps Osei", "a.png", **record, on_text=ear)
    assert followed == extractor.extract("Hale helps Osei", "a.png", **record)
    assert len(ear.told) == 4
    for answer in followed.answers:
        texts = ear.told[answer.head, answer.tail]
        assert len(texts) > 3 and all(later.startswith(text) for text, later in pairwise(texts))
        assert texts[-1] == answer.completion, "random weights keep to no form, so that the completion is there"


def test_what_the_listener_raises_ends_the_decoding(narrow_model):
    extractor = Extractor.from_pretrained(narrow_model, **LABELS, max_new_tokens=500)
    heard = []

    def enough(question, text):
        heard.append(text)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        extractor.extract("Hale helps Osei", on_text=enough)
    assert len(heard) == 1


def test_one_model_is_asked_for_several_things(narrow_model):
    extractor = Extractor.from_pretrained(narrow_model, **LABELS, max_new_tokens=4)
    other = extractor.asking("scier")
    assert other.wanted.labels["entities"] == ["Dataset", "Method", "Task"] and other.mark != extractor.mark
    assert other.asking(**LABELS).wanted == extractor.wanted
    assert other._answerer is extractor._answerer


def test_a_server_that_streams_is_followed_and_gives_the_same():
    whole = extraction([("Hale", "per"), ("Osei", "per")], [("e1", "helps", "e2")])
    heard, ear = threading.Semaphore(0), Ear()
    pieces = [
        one for at in range(0, len(whole), 60) for one in (whole[at : at + 60], lambda: heard.acquire(timeout=30))
    ]
    servers = Served(lambda body, number: streamed(*pieces)), Served(lambda body, number: said(whole))

    def on_text(question, text):
        ear(question, text)
        heard.release()

    first, second = (
        Extractor.from_endpoint(server.url, "m", **LABELS).extract("Hale helps Osei", on_text=on_text)
        for server in servers
    )
    assert first == second and len(first.relations) == 1
    assert servers[0].bodies[0]["stream"] is True
    (texts,) = ear.told.values()
    assert texts[-1] == whole and len(texts) > 3 and all(whole.startswith(text) for text in texts)


def test_a_stream_that_breaks_off_is_asked_again():
    whole = completion("none")

    def reply(body, number):
        if number:
            return streamed(whole)
        status, headers, events = streamed(whole)
        return status, headers, iter([next(events)])

    server = Served(reply)
    ear = Ear()
    result = Extractor.from_endpoint(server.url, "m", **LABELS).extract(
        "Hale helps Osei", mentions=["Hale", "Osei"], on_text=ear
    )
    assert len(server.bodies) == 2 and [answer.label for answer in result.answers] == ["none"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    st.lists(st.tuples(st.sampled_from(["content", "reasoning_content"]), TEXT), min_size=1, max_size=6),
    st.lists(st.integers(0, 2000)),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_however_a_stream_is_cut_it_comes_to_the_reply_that_was_meant(pieces, cuts, line):
    chunks = [{"choices": [{"delta": {name: text}}]} for name, text in pieces]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}], "model": "m"})
    data = b"".join(b"data: " + json.dumps(chunk).encode() + line * 2 for chunk in chunks) + b"data: [DONE]" + line
    message = {
        name: "".join(text for kind, text in pieces if kind == name) for name in ("content", "reasoning_content")
    }
    meant = json.dumps({"model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    heard = []
    stream = Streamed(heard.append)
    ends = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    for start, end in pairwise(ends):
        stream.feed(data[start:end])
    got, expected = read_answer(stream.reply(), "m"), read_answer(meant, "m")
    assert got.texts == expected.texts and got.finish_reasons == expected.finish_reasons
    if expected.texts[0]:
        assert heard[-1] == expected.texts[0]


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(b"data: "), st.just(b'{"choices":[{"delta":[]}]}\n'))))
def test_no_stream_makes_the_reader_fall(parts):
    stream = Streamed(lambda text: None)
    for part in parts:
        stream.feed(part)
    read_answer(stream.reply(), "m")
