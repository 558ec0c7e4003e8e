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
from extract_server import completion, extraction, shown
from openai_server import Served, said, streamed
from PIL import Image
from typer.testing import CliRunner

from benchmarks.chromium import CHROMIUM
from morerl import Extractor
from morerl.cli import app
from morerl.extract.record import read_record
from morerl.extract.result import Result

pytest.importorskip("gradio", reason="needs gradio: the extra page")

pytestmark = pytest.mark.slow
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
HOSTILE = "<img src=x onerror=alert(1)>"
TEXT = f"Hale helps 🎉 Osei {HOSTILE}"
THINK = f"Step 1: a person, {HOSTILE}.\nStep 2: another."
FAMILY = "👩‍👩‍👧 Zoë 🎉"  # three people, joined
NAMES = ("Hale", "Osei", "שרה כהן", "عمر المختار", HOSTILE, FAMILY)
TYPES = {"Hale": HOSTILE[1:8]}
COUSINS = "has been seen in the company of, and is often taken for a cousin of"
RELATIONS = ("helps", COUSINS, "helps")
WORDS = " 🎈 ומילה".join([f"שרה כהן פגשה את عمر المختار 🎉 ואת {HOSTILE} ", *[""] * 1090])
LONG = f"{WORDS} {'x' * (10_000 - len(WORDS) - len(FAMILY) - 2)} {FAMILY}"
VIEWS = [*itertools.product(("light", "dark"), (1280, 390))]
PATIENT = 60  # seconds


class Model:
    """Answers by what is asked: pairs in two pieces, the second when `go` is set; labels of one's own at once."""

    def __init__(self):
        self.go = threading.Event()
        self.served = Served(self.reply)

    def reply(self, body, number):
        if "does good" in body["messages"][0]["content"][-1]["text"]:
            found = [(name, TYPES.get(name, "person")) for name in NAMES if name in shown(body)]
            links = [(f"e{n}", label, f"e{n + 1}") for n, label in enumerate(RELATIONS[: max(len(found) - 1, 0)], 1)]
            return said(extraction(found, links))
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
def picture(tmp_path_factory):
    file = tmp_path_factory.mktemp("dropped") / "a.png"
    Image.effect_noise((90, 60), 60).convert("RGB").save(file)
    return file


def mark(browser, word, *, from_end=False):
    find = "lastIndexOf" if from_end else "indexOf"
    browser.run(
        f"(({{ value }}, word) => {{ const field = document.querySelector('#text'); field.focus();"
        f" field.setSelectionRange(value.{find}(word), value.{find}(word) + word.length); }})"
        f"(document.querySelector('#text'), {json.dumps(word)})"
    )
    browser.until("!document.querySelector('#mark').disabled")
    browser.click("#mark")


def write(browser, selector, text):
    browser.click(selector)
    browser.write(text)


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
    assert dark == (theme == "dark") and browser.is_quiet(url)


def ask_with_own_labels(browser, url, text):
    browser.visit(url)
    browser.pick_option("#schema", "own")
    write(browser, "#types", "person: a human being\nthing")
    write(browser, "#relations", f"helps: does good\n{COUSINS}")
    write(browser, "#text", text)
    browser.click("#send")


@in_browser
def test_labels_of_ones_own_give_the_reports_arcs(browser, model, url):
    ask_with_own_labels(browser, url, TEXT)
    browser.until("document.querySelectorAll('.arcs .line').length === 2")
    assert browser.run("document.querySelector('.arcs text').textContent") == "helps"
    assert browser.text(".relations").splitlines() == ["Hale → helps → Osei", f"Osei → {COUSINS} → {HOSTILE}"]
    assert texts(browser, ".flow mark") == ["Hale", "Osei", HOSTILE]
    prompt = model.served.bodies[-1]["messages"][0]["content"][-1]["text"]
    assert all(words in prompt for words in ("a human being", "does good", HOSTILE))
    assert browser.is_quiet(url)


# of every kind of element with words of its own: its words, and how well they stand out from what is behind them
CONTRASTS = """(() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colours) => {
    for (const colour of colours) pen.fillStyle = colour, pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const behind = (node) => (node ? [...behind(node.parentElement), getComputedStyle(node).backgroundColor] : []);
  const own = (node) => [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
  const kinds = new Map(); // three of a kind will do
  const isNew = ({ tagName, className }) => kinds.set(tagName + className, 1 + (kinds.get(tagName + className) ?? 0)).get(tagName + className) <= 3;
  const seen = [...document.querySelectorAll("header *, main *:not(option)")].filter((node) => !node.disabled && own(node) && node.checkVisibility() && isNew(node));
  return seen.map((node) => {
    const [ink, paper] = [light([...behind(node), getComputedStyle(node).color]), light(behind(node))];
    return [node.textContent.slice(0, 40), Math.max(ink, paper) / Math.min(ink, paper)];
  });
})()"""  # noqa: E501
OUTSIDE = """[...document.querySelectorAll("main *:not(option, svg *), .arcs text")].filter((node) => {
  const { left, right, width } = node.getBoundingClientRect();
  return width && (left < 0 || right > document.documentElement.clientWidth);
}).map((node) => node.outerHTML.slice(0, 100))"""


def texts(browser, selector):
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")


def is_readable(browser, folder):
    """In both themes and widths: nothing stands out of the page at its sides, and all words stand out from it."""
    for theme, width in VIEWS:
        browser.look(width=width, theme=theme)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        assert browser.run(OUTSIDE) == []
        assert browser.text("#theme") == {"light": "Dark theme", "dark": "Light theme"}[theme]
        faint = [(words, ratio) for words, ratio in browser.run(CONTRASTS) if ratio < 4.5]
        assert (theme, faint) == (theme, [])
        browser.shot(folder / f"{theme}.{width}.png", whole=True)  # for a person's eyes
    return True


def scrolls(browser, selector):
    """What does not fit into a list can be scrolled to."""
    return browser.run(
        f"(({{ scrollHeight, clientHeight }}, flow) => scrollHeight > clientHeight && flow === 'auto')(...((node) =>"
        f" [node, getComputedStyle(node).overflowY])(document.querySelector({json.dumps(selector)})))"
    )


def stands_in(browser, inner, outer):
    """An element is within what is seen of another, from top to bottom."""
    return browser.run(
        f"((a, b) => a.top >= b.top - 1 && a.bottom <= b.bottom + 1)(...{json.dumps([inner, outer])}.map((one) =>"
        " document.querySelector(one).getBoundingClientRect()))"
    )


def draw_200(browser):
    """200 boxes: the first with the mouse, the others by the events of one, which takes a tenth of the time."""
    browser.drag("#editor", (0.005, 0.01, 0.04, 0.08))
    browser.run("""(() => {
      const editor = document.querySelector("#editor");
      const { left, top, width, height } = editor.getBoundingClientRect();
      for (let n = 1; n < 200; n++) for (const [kind, x, y] of [["down", 0.005, 0.01], ["move", 0.04, 0.08], ["up", 0.04, 0.08]]) {
        const place = { clientX: left + ((n % 20) / 20 + x) * width, clientY: top + (Math.floor(n / 20) / 10 + y) * height };
        editor.dispatchEvent(new PointerEvent(`pointer${kind}`, { ...place, pointerId: 1, bubbles: true }));
      }
    })()""")  # noqa: E501


@in_browser
def test_200_boxes_and_a_name_behind_10_000_characters(browser, model, url, picture, tmp_path):
    model.go.set()
    browser.visit(url)
    browser.pick_option("#schema", "more")
    browser.drop("#drop", picture)
    browser.until("!!document.querySelector('#editor img')?.complete")
    draw_200(browser)
    write(browser, "#text", LONG)
    mark(browser, FAMILY)
    browser.click("#send")
    browser.until("document.querySelector('#state').textContent.startsWith('answered')")
    assert texts(browser, ".answer .triple") == [f"box {n} → {FAMILY}" for n in range(1, 201)]
    assert texts(browser, ".stage .text") == [LONG] and texts(browser, "#arg-tail") == [FAMILY]
    assert browser.run("getComputedStyle(document.querySelector('.stage .text')).direction") == "rtl"
    assert browser.run("document.querySelectorAll('.stage rect.box').length") == 200
    assert stands_in(browser, "#arg-tail", ".stage .text"), "a long text is scrolled to what is asked about"
    assert scrolls(browser, "#boxes") and scrolls(browser, "#answers") and scrolls(browser, ".stage .text")
    browser.click(".answer:nth-child(160) button")
    assert texts(browser, ".answer[data-chosen=true] .triple") == [f"box 160 → {FAMILY}"]
    assert stands_in(browser, ".answer[data-chosen=true]", "#answers")
    assert browser.run("document.activeElement.textContent").startswith("box 160"), "the keyboard is where the hand was"
    assert is_readable(browser, tmp_path) and browser.is_quiet(url)


@in_browser
def test_entities_of_every_script_in_10_000_characters(browser, url, tmp_path):
    ask_with_own_labels(browser, url, LONG)
    browser.until("document.querySelectorAll('.arcs .line').length >= 2")
    found = texts(browser, ".flow mark")
    assert texts(browser, ".flow .text") == [LONG] and set(NAMES[2:]) == set(found)
    labels = texts(browser, ".arcs text")
    assert labels[0] == "helps" and COUSINS.startswith(labels[1].rstrip("…"))
    assert COUSINS in browser.text(".relations"), "a label that has no room over its arc is whole below"
    assert is_readable(browser, tmp_path) and browser.is_quiet(url)


@in_browser
def test_the_pair_that_was_picked_stays_though_its_words_stand_twice(browser, model, url, picture):
    model.go.clear()
    browser.visit(url)
    browser.pick_option("#schema", "more")
    browser.drop("#drop", picture)
    browser.until("!!document.querySelector('#editor img')?.complete")
    browser.drag("#editor", (0.25, 0.25, 0.75, 0.5))
    write(browser, "#text", "Osei 🎉 meets Osei")
    mark(browser, "Osei")
    mark(browser, "Osei", from_end=True)
    browser.click("#send")
    browser.until("document.querySelectorAll('.answer').length === 2")
    browser.click(".answer[data-pair*=m1] button")
    picked = "document.querySelector('.answer[data-chosen=true]').dataset.pair"
    assert browser.run(picked) == '["r0","m1"]'
    model.go.set()
    browser.until("document.querySelector('#state').textContent.startsWith('answered')")
    assert (
        browser.run(picked) == '["r0","m1"]' and browser.run("document.querySelector('#arg-tail').nextSibling") is None
    )


def test_of_two_orders_of_a_pair_the_one_that_holds_is_related():
    from morerl.page.shown import finished

    record = read_record({"text": "Hale helps Osei", "mentions": ["Hale", "Osei"]})

    def related(relation, *labels):
        pairs = [("m0", "m1"), ("m1", "m0")]
        answers = [
            {"start": 0, "end": 15, "head": h, "tail": t, "label": one}
            for (h, t), one in zip(pairs, labels, strict=False)
        ]
        entities = [mention.model_dump() | {"status": "exact"} for mention in record.mentions]
        fields = {"text": record.text, "entities": entities, "answers": answers}
        link = {"head": relation[0], "tail": relation[1], "label": "helps", "status": "exact"}
        return [one["related"] for one in finished(record, Result.model_validate(fields | {"relations": [link]}))]

    assert related(("m1", "m0"), "none", "helps") == [False, True]
    assert related(("m1", "m0"), "helps(e2,e1)", "none") == [True, False]
    assert related(("m0", "m1"), "helps") == [True]


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
    assert browser.run("document.querySelector('#stop').hidden") and browser.is_quiet(url)


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
