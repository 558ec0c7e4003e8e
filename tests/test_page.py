"""The page as a person uses it, in real headless Chromium: a dropped picture, drawn boxes, marked words, the answer
while it is written; and who its server answers. The model stands behind a server of the tests' own, which waits when
it is told to.
"""

import http.client
import itertools
import json
import socket
import threading

import pytest
from chromium import CHROMIUM, Chromium
from extract_server import completion, extraction, shown
from openai_server import Served, said, streamed
from PIL import Image
from typer.testing import CliRunner

from morerl import Extractor
from morerl.cli import app

pytest.importorskip("gradio", reason="needs gradio: the extra page")

pytestmark = pytest.mark.slow
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
HOSTILE = "<img src=x onerror=alert(1)>"
TEXT = f"Hale helps 🎉 Osei {HOSTILE}"
THINK = f"Step 1: a person, {HOSTILE}.\nStep 2: another."
PATIENT = 60  # seconds


class Model:
    """Answers by what is asked: pairs in two pieces, the second when `go` is set; labels of one's own at once."""

    def __init__(self):
        self.go = threading.Event()
        self.served = Served(self.reply)

    def reply(self, body, number):
        if "does good" in body["messages"][0]["content"][-1]["text"]:
            first, second = (word for word in shown(body).split() if word in ("Hale", "Osei"))
            whole = extraction([(first, HOSTILE[1:8]), (second, "person")], [("e1", "helps", "e2")])
            return said(whole)
        whole = completion("/per/per/partner", THINK)
        half = whole.index("Step 2")
        return streamed(whole[:half], lambda: self.go.wait(PATIENT), whole[half:])


@pytest.fixture(scope="module")
def model():
    one = Model()
    yield one
    one.go.set()
    one.served.http.shutdown()


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    from morerl.page.app import launch

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("pictures")
    extractor = Extractor.from_endpoint(model.served.url, "m", "more", image_root=folder)
    server = launch(extractor, "the model", folder, port)
    yield f"http://127.0.0.1:{port}/"
    server.get_blocks().close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    one = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    yield one
    one.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    file = tmp_path_factory.mktemp("dropped") / "a.png"
    Image.effect_noise((90, 60), 60).convert("RGB").save(file)
    return file


def mark(browser, word):
    browser.run(
        f"(({{ value }}, word) => {{ const field = document.querySelector('#text'); field.focus();"
        f" field.setSelectionRange(value.indexOf(word), value.indexOf(word) + word.length); }})"
        f"(document.querySelector('#text'), {json.dumps(word)})"
    )
    browser.until("!document.querySelector('#mark').disabled")
    browser.click("#mark")


def write(browser, selector, text):
    browser.click(selector)
    browser.write(text)


def is_quiet(browser, url):
    """Nothing left this machine, nothing was said on the console, and no text became markup."""
    asked = [one for one in browser.requests if not one.startswith(("data:image/", url))]
    assert (browser.errors, asked) == ([], [])
    assert browser.run("document.querySelectorAll('img[src=x], img[onerror]').length") == 0
    return True


@in_browser
@pytest.mark.parametrize(("theme", "width"), itertools.product(("light", "dark"), (1280, 390)))
def test_a_drawn_box_and_a_marked_word_are_related_and_the_reasoning_streams_in(
    browser, model, url, picture, theme, width
):
    model.go.clear()
    browser.visit(url, theme=theme, width=width)
    browser.pick_option("#schema", "more")
    browser.drop("#drop", picture)
    browser.until("!!document.querySelector('#editor img')?.complete")
    browser.drag("#editor", (0.25, 0.25, 0.75, 0.5))
    write(browser, "#text", TEXT)
    mark(browser, "Osei")
    browser.click("#send")
    browser.until("!!document.querySelector('.running .steps li')")
    assert HOSTILE in browser.text(".steps") and "Step 2" not in browser.text(".steps")
    assert browser.text(".relation") == "…" and browser.text("#state") == "writing …"
    model.go.set()
    browser.until("document.querySelector('#state').textContent.startsWith('answered')")
    assert browser.text(".relation") == "/per/per/partner" and "Step 2" in browser.text(".steps")
    assert browser.text(".answer .triple") == "box 1 → Osei"
    assert browser.run("document.querySelector('#arg-tail').textContent") == "Osei"
    assert browser.run("document.querySelectorAll('.stage .link .line').length") == 2
    (*_, body) = model.served.bodies
    assert sum(block["type"] == "image_url" for block in body["messages"][0]["content"]) == 2  # with the box's crop
    drawn = browser.run("[...document.querySelectorAll('.stage rect.box')].map((one) => ['x', 'y', 'width', 'height']"
                        ".map((name) => Number(one.getAttribute(name))))")  # fmt: skip
    assert drawn[0] == pytest.approx([0.25, 0.25, 0.5, 0.25], abs=0.02)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    dark = browser.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128")
    assert dark == (theme == "dark") and is_quiet(browser, url)


@in_browser
def test_labels_of_ones_own_give_the_reports_arcs(browser, model, url):
    browser.visit(url)
    browser.pick_option("#schema", "own")
    write(browser, "#types", "person: a human being\nthing")
    write(browser, "#relations", "helps: does good")
    write(browser, "#text", TEXT)
    browser.click("#send")
    browser.until("document.querySelectorAll('.arcs .line').length === 1")
    assert browser.run("document.querySelector('.arcs text').textContent") == "helps"
    assert browser.text(".relations") == "Hale → helps → Osei"
    assert browser.run("[...document.querySelectorAll('.flow mark')].map((one) => one.textContent)") == ["Hale", "Osei"]
    prompt = model.served.bodies[-1]["messages"][0]["content"][-1]["text"]
    assert all(words in prompt for words in ("a human being", "does good", HOSTILE))
    assert is_quiet(browser, url)


@in_browser
def test_what_cannot_be_asked_is_said_and_a_run_can_be_stopped(browser, model, url, picture, tmp_path):
    model.go.clear()
    browser.visit(url)
    browser.pick_option("#schema", "more")
    browser.click("#send")
    browser.until("document.querySelector('#error').textContent === 'Type a text first.'")
    (tmp_path / "a.png").write_text(HOSTILE)
    browser.drop("#drop", tmp_path / "a.png")
    browser.until("document.querySelector('#error').textContent.startsWith('the picture is no PNG')")
    write(browser, "#text", "Hale helps Osei")
    mark(browser, "Hale")
    mark(browser, "Osei")
    browser.run("document.querySelector('#text').setSelectionRange(0, 0)")
    browser.write("Yes, ")
    browser.click("#words .chip:last-child button")
    browser.click("#send")
    browser.until("document.querySelector('#error').textContent.startsWith('One thing alone is no pair')")
    mark(browser, "Osei")
    kept = "[...document.querySelectorAll('#words bdi')].map((one) => one.textContent)"
    assert browser.run(kept) == ["Hale", "Osei"], "what is typed in front of a mark moves it"
    browser.click("#send")
    browser.until("!!document.querySelector('.running .steps li')")
    browser.click("#stop")
    browser.until("performance.getEntriesByType('resource').some((one) => one.name.includes('/stop?'))")
    model.go.set()
    browser.until("document.querySelector('#error').textContent === 'Stopped.'")
    assert browser.run("document.querySelector('#stop').hidden") and is_quiet(browser, url)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/", {"Host": "evil.example"}, 403),
        ("GET", "/", {"Origin": "http://evil.example"}, 403),
        ("POST", "/picture", {"Origin": "http://evil.example"}, 403),
        ("POST", "/picture", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/gradio_api/file=/etc/passwd", {}, 403),
        ("GET", "/gradio_api/proxy=http://example.org", {}, 403),
        ("GET", "/config", {}, 403),
        ("GET", "/docs", {}, 403),
    ],
)
def test_the_server_answers_its_own_page_alone(url, method, path, headers, status):
    answer = asked(url, method, path, headers)
    assert answer.status == status
    if status == 200:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy


def asked(url, method, path, headers, body=None):
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=PATIENT)
    connection.request(method, path, body=body, headers=headers)
    return connection.getresponse()


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"schema": "/etc/passwd", "text": "x"}, "no schema is called"),
        ({"schema": "", "text": "x"}, "no schema is called"),
        ({"schema": "own", "text": "x", "types": "<b>"}, "cannot be a label"),
        ({"schema": "own", "text": "x", "types": 7}, "Write what to look for"),
        ({"schema": "more", "text": 7}, "want a string"),
        ({"schema": "more", "text": "x", "image": "../a", "regions": [[0, 0, 1, 1]], "mentions": ["x"]}, "leaves the"),
        ({"schema": "more", "text": "x", "mentions": {"a": 1}}, "want a list"),
        ({}, "no schema is called"),
    ],
)
def test_any_question_is_answered_in_words(url, question, words):
    headers = {"Content-Type": "application/json"}
    call = asked(url, "POST", "/gradio_api/call/ask", headers, json.dumps({"data": [question]}))
    id_ = json.loads(call.read())["event_id"]
    stream = asked(url, "GET", f"/gradio_api/call/ask/{id_}", {}).read().decode()
    assert words in stream and "event: complete" in stream


def test_a_port_in_use_is_said(url):
    port = url.split(":")[2].strip("/")
    run = CliRunner().invoke(app, ["page", "m", "--endpoint", "http://127.0.0.1:9/v1", "--port", port])
    assert run.exit_code == 2 and f"port {port} cannot be used" in run.output
