"""The report as a person uses it, in real headless Chromium: themes, widths, keys, filters, hostile text, thousands."""

import itertools
import json
import random
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image
from report_runs import EXTRACT, HOSTILE, extract_run, lines, pair_run, sample

from benchmarks.chromium import CHROMIUM, Chromium
from morerl.evaluation import score_files
from morerl.report import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]
PLACE = ".turn output"
N = 5_000


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """The report of the pairs, among them one with 200 boxes and one of 10,000 characters."""
    folder = tmp_path_factory.mktemp("pairs")
    run = pair_run(folder)
    file = folder / "data" / "test.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    many = [
        {"id": f"x{n}", "box": [n % 20 / 20, n // 20 / 10, n % 20 / 20 + 0.04, n // 20 / 10 + 0.08]} for n in range(198)
    ]
    rows[1]["regions"] += many
    half = "word " * 995
    long = f"{half}name {half}the very last name"
    mentions = [
        {"id": "m0", "start": len(half), "end": len(half) + 4, "text": "name"},
        {"id": "m1", "start": 0, "end": 4, "text": "word"},
    ]
    rows[7] |= {"text": long, "mentions": mentions}
    lines(file, rows)
    write_report(run, run / "report.html")
    return run / "report.html"


@pytest.fixture(scope="module")
def extractions(tmp_path_factory) -> Path:
    """The report of two runs on extractions, side by side."""
    folder = tmp_path_factory.mktemp("extractions")
    run, other = extract_run(folder / "one"), extract_run(folder / "other", shift=1)
    write_report(run, run / "report.html", against=other)
    return run / "report.html"


def link(number: int) -> str:
    return f"#sample=more%2Ftest%2F{number:06d}"


@pytest.mark.parametrize(("theme", "width"), itertools.product(("light", "dark"), (1280, 390)))
@pytest.mark.parametrize("which", ["pairs", "extractions"])
def test_both_themes_and_widths(browser, request, which, theme, width):
    page = request.getfixturevalue(which)
    browser.open(page, width=width, theme=theme)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    dark, ink = (
        int(value.split(",")[0].split("(")[1]) < 128
        for value in browser.run(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
    )
    assert (dark, ink) == ((theme == "dark"), (theme == "light"))
    browser.click("#theme")
    assert browser.run("document.documentElement.dataset.theme") == ("light" if theme == "dark" else "dark")
    assert browser.is_quiet(page.as_uri())


def test_hostile_text_is_text(browser, pairs):
    browser.open(pairs, fragment=link(17))
    browser.until("!!document.querySelector('.steps')")
    assert HOSTILE in browser.text(".stage .text") and HOSTILE in browser.text(".steps")
    assert browser.run("document.querySelectorAll('.stage img, .answers img, img[src=x]').length") <= 1
    assert browser.is_quiet(pairs.as_uri())


def test_a_line_leads_from_the_picture_over_the_relation_to_the_text(browser, pairs):
    browser.open(pairs, fragment=link(1))
    assert browser.text(PLACE) == "2 of 24"
    ends = browser.run(
        "[...document.querySelectorAll('.link .line')].map((one) => { const m = one.getScreenCTM(); const at = (p) =>"
        " [p.x + m.e, p.y + m.f]; return [at(one.getPointAtLength(0)), one.getAttribute('class')]; })"
    )
    assert [kind for _, kind in ends] == ["line right head", "line right tail"]
    corners = "(({ x, y, right, bottom }) => [x, y, right, bottom])"
    box = browser.run(f"{corners}(document.querySelector('#arg-head').getBoundingClientRect())")
    (x, y), _ = ends[0]
    assert box[0] - 1 <= x <= box[2] + 1 and box[1] - 1 <= y <= box[3] + 1
    assert browser.run("document.querySelectorAll('.picture rect.box').length") == 200
    browser.until("!!document.querySelector('.steps')")
    assert "reward" in browser.text(".reward") and "Step 6" in browser.text(".steps")


def test_right_to_left_text_and_emoji_keep_their_spans(browser, pairs):
    for number in (2, 3):
        browser.open(pairs, fragment=link(number))
        one = sample(number)
        assert browser.run("document.querySelector('#arg-tail').textContent") == one.argument("m0").text
        direction = browser.run("getComputedStyle(document.querySelector('.stage .text')).direction")
        assert direction == ("rtl" if number == 2 else "ltr")


def test_a_long_text_is_whole_and_scrolls_to_what_is_asked(browser, pairs):
    browser.open(pairs, fragment=link(7))
    text = browser.run("document.querySelector('.stage .text').textContent")
    assert len(text) == 9_973 and text.endswith("the very last name")
    assert browser.run("document.querySelector('.stage').getBoundingClientRect().height") < 1_200
    inside = "((a, b) => a.top >= b.top && a.bottom <= b.bottom)(...['#arg-tail', '.stage .text'].map((one) =>"
    assert browser.run(f"{inside} document.querySelector(one).getBoundingClientRect()))")


def test_keys_filters_search_and_addresses(browser, pairs):
    browser.open(pairs)
    seen = []
    for key in ("j", "ArrowRight", "k", "ArrowLeft", "k"):
        browser.key(key)
        seen.append(browser.text(PLACE))
    assert seen == ["2 of 24", "3 of 24", "2 of 24", "1 of 24", "24 of 24"]
    assert browser.run("location.hash") == link(23)
    for label, value, place in (
        ("Outcome", "fixed", "1 of 6"),
        ("Outcome", "flipped", "1 of 9"),
        ("Outcome", "", "4 of 24"),
        ("Kind of error", "=missed", "1 of 1"),
        ("Kind of error", "", "16 of 24"),
        ("Difficulty", "never", "2 of 2"),
        ("Difficulty", "", "16 of 24"),
    ):
        browser.pick(label, value)
        assert (label, value, browser.text(PLACE)) == (label, value, place)
    browser.key("/")
    browser.write("NOBEL")
    assert browser.text(PLACE) == "1 of 6"
    browser.write(" and no such words")
    assert browser.text(PLACE) == "none" and "No sample" in browser.text(".stage")
    browser.key("Escape")
    browser.pick("Search", "")
    browser.key("j")
    assert browser.text(PLACE) == "2 of 24"
    browser.run(f"location.hash = {link(5)!r}")
    browser.until(f"document.querySelector({PLACE!r}).textContent === '6 of 24'")
    for odd in ("#sample=more/test/000007", "#sample=%", "#sample=nobody"):
        browser.run(f"location.hash = {odd!r}")
    browser.until(f"document.querySelector({PLACE!r}).textContent === '8 of 24'")
    assert browser.is_quiet(pairs.as_uri())


def test_a_count_of_the_confusion_leads_to_its_samples(browser, pairs):
    browser.open(pairs)
    browser.click("#confusion .matrix .jump")
    chosen = browser.run("[...document.querySelectorAll('.filters select')].map((one) => one.value)")
    assert chosen[2] != "" and chosen[3] != "" and chosen[2] != chosen[3]


def test_an_extraction_shows_what_is_right_missed_and_made_up(browser, extractions):
    browser.open(extractions)
    browser.key("j")
    assert browser.text(".key").split() == ["right", "3", "missed", "2", "made", "up", "2"]
    kinds = browser.run("[...document.querySelectorAll('.arcs g')].map((one) => one.classList[0])")
    assert sorted(kinds) == ["made", "missed", "right"]
    assert HOSTILE in browser.text(".flow .text") and "Part-Of" in browser.text(".relations")
    browser.run("document.querySelector('.relations li:last-child').focus()")
    assert browser.run("document.querySelectorAll('.arcs g.on').length") == 1
    browser.click(".stages button")
    assert browser.text(".stages [aria-pressed=true]") == "other"
    browser.pick("Outcome", "flipped")
    assert browser.text(PLACE).endswith("of 4")
    assert browser.is_quiet(extractions.as_uri())


def test_arcs_stand_over_their_spans_whatever_the_script(browser, extractions):
    for number in range(len(EXTRACT)):
        browser.open(extractions, fragment=f"#sample=scier%2Ftest%2F{number}")
        assert browser.run("document.querySelector('.flow .text').textContent") == EXTRACT[number]
        inside = browser.run(
            "[...document.querySelectorAll('.arcs .line')].every((one) => { const m = one.getScreenCTM();"
            " const p = one.getPointAtLength(0); return [...document.querySelectorAll('.flow mark')].some((mark) =>"
            " [...mark.getClientRects()].some((r) => p.x + m.e >= r.left - 1 && p.x + m.e <= r.right + 1"
            " && Math.abs(p.y + m.f - r.top) < 2)); })"
        )
        assert inside and browser.run("document.querySelectorAll('.arcs .line').length") >= 2


LABELS = """[...document.querySelectorAll(".arcs text")].map((one) => {
  const [own, room] = [one, document.querySelector(".flow")].map((node) => node.getBoundingClientRect());
  return [one.textContent, own.left - room.left, room.right - own.right, own.top - room.top];
})"""


def test_labels_of_arcs_are_not_cut_off_at_the_sides(browser, extractions, tmp_path):
    browser.open(extractions, width=390)
    for number, text in enumerate(EXTRACT):
        browser.run(f"location.hash = '#sample=scier%2Ftest%2F{number}'")
        browser.until(f"document.querySelector('.flow .text').textContent === {json.dumps(text)}")
        browser.shot(tmp_path / f"{number}.png", whole=True)  # for a person's eyes
        found = browser.run(LABELS)
        assert found and [one for one in found if min(one[1:]) < 0] == []
    # a label wider than the text: as much of it as there is room for
    browser.run(
        "state.view.relations.forEach(({ item }) => (item.label = '<i>W' + 'W'.repeat(500))); drawArcs(state.view)"
    )
    found = browser.run(LABELS)
    assert found and [one for one in found if min(one[1:3]) < 0] == []
    assert all(words.startswith("<i>WW") and words.endswith("W…") for words, *_ in found)


def test_a_corpus_is_chosen_and_the_whole_page_follows(browser, tmp_path):
    run, other = pair_run(tmp_path), extract_run(tmp_path / "extracted")
    predictions = run / "predictions" / "grpo.test.scier.jsonl"
    shutil.copy(other / "predictions" / "grpo.test.jsonl", predictions)
    gold = tmp_path / "extract-data" / "test.jsonl"
    score_files(gold, predictions, "scier", predictions.with_suffix(".metrics.json"), draws=50)
    write_report(run, page := run / "report.html")
    browser.open(page)
    assert browser.text(PLACE) == "1 of 24" and "67.8" in browser.text("#results")
    browser.pick("Corpus and split", "1")
    assert browser.text(PLACE) == "1 of 8" and "rel_f1" in browser.text("#results")
    assert "67.8" not in browser.text("#results") and "Types of entities" in browser.text("#labels")
    browser.open(page, fragment="#sample=scier%2Ftest%2F5")
    assert browser.text(PLACE) == "6 of 8" and browser.run("document.getElementById('set').value") == "1"
    assert browser.is_quiet(page.as_uri())


def in_view(browser: Chromium, selector: str) -> bool:
    """Whether an element begins on the screen, below the page's own header."""
    return browser.run(
        f"(({{ top }}) => top >= document.querySelector('header').getBoundingClientRect().bottom && top < innerHeight)"
        f"(document.querySelector({selector!r}).getBoundingClientRect())"
    )


@pytest.mark.parametrize("width", (1280, 390))
def test_the_address_leads_to_what_is_looked_at(browser, pairs, width):
    browser.open(pairs, fragment=link(9), width=width)
    assert browser.text(PLACE) == "10 of 24" and in_view(browser, ".stage")
    looked_at = "'#sample=' + encodeURIComponent(document.querySelector('.stage .id').textContent)"
    for label, value in (("Outcome", "fixed"), ("Outcome", ""), ("Gold label", "=none")):
        browser.pick(label, value)
        assert browser.run(f"location.hash === {looked_at}")
    browser.run("document.querySelector('#confusion .matrix .jump button').click()")
    assert browser.run(f"location.hash === {looked_at}") and browser.run("document.activeElement.className") == "list"
    browser.pick("Search", "no such words")
    assert browser.run("location.hash") == "#browser"


def test_an_unknown_id_is_said(browser, pairs):
    browser.open(pairs, fragment="#sample=no%20body")
    assert "The sample no body is not on this page, which holds 24" in browser.text("#samples .gap[role=status]")
    assert in_view(browser, "#samples .gap[role=status]")
    browser.key("j")
    assert browser.run("document.querySelector('#samples .gap[role=status]').hidden")


def test_the_picture_is_told_in_words(browser, pairs):
    browser.open(pairs, fragment=link(1))
    alt = browser.run("document.querySelector('.stage img').alt")
    name = sample(1).argument("m0").text
    assert alt == f"the sample's picture; head: the object from (10%, 20%) to (40%, 80%); tail, in the text: {name}"
    assert "▲ fixed, ▼ broken" in browser.text("#samples > .hint")


def test_names_of_runs_stay_on_their_line(browser, tmp_path):
    run = pair_run(tmp_path)
    write_report(run, run / "report.html", against=shutil.copytree(run, tmp_path / "seed-0-hard-only"))
    browser.open(run / "report.html")
    sizes = browser.run(
        "[...document.querySelectorAll('.relation .who, .relation bdi')].map((one) =>"
        " { const { left, height } = one.getBoundingClientRect();"
        " return [one.tagName, left, height, one.scrollWidth <= one.clientWidth + 1]; })"
    )
    names = [one for one in sizes if one[0] == "SPAN"]
    assert len(names) == 3 and all(height < 30 and whole for _, _, height, whole in names)
    assert len({left for tag, left, *_ in sizes if tag == "BDI"}) == 1


@pytest.mark.parametrize("theme", ("light", "dark"))
def test_the_darkest_cell_and_the_chosen_row_can_be_read(browser, pairs, theme):
    browser.open(pairs, fragment=link(1), theme=theme)
    ratio = """(node, back, ground) => {
      const pen = new OffscreenCanvas(1, 1).getContext("2d");
      const shade = (...colors) => {
        for (const color of colors) { pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); }
        const linear = (v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((v) => linear(v / 255));
        return .2126 * r + .7152 * g + .0722 * b + .05;
      };
      const of = (one, name) => getComputedStyle(one)[name];
      const grounds = [of(ground, "backgroundColor"), of(back, "backgroundColor")];
      const [a, b] = [shade(...grounds), shade(...grounds, of(node, "color"))];
      return Math.max(a, b) / Math.min(a, b);
    }"""
    browser.run("document.querySelector('.matrix td').className = 'h9'")
    cell, row = "document.querySelector('.matrix td')", "document.querySelector('.list [aria-selected=true]')"
    assert browser.run(f"({ratio})({cell}, {cell}, document.body)") >= 4.5
    assert browser.run(f"({ratio})({row}.querySelector('.right'), {row}, document.querySelector('.list'))") >= 4.5


@pytest.fixture(scope="module")
def thousands(tmp_path_factory) -> Path:
    """5,000 pairs on 250 pictures of noise, which nothing compresses, each reasoned about at some length."""
    folder = tmp_path_factory.mktemp("thousands")
    run = pair_run(folder)
    rng, words = random.Random(0), [f"word{n}" for n in range(999)]
    for number in range(250):
        Image.effect_noise((300, 200), 80).save(folder / "pictures" / f"{number}.jpg", quality=80)
    samples = [sample(n).model_copy(update={"image": f"{n % 250}.jpg"}) for n in range(N)]
    lines(folder / "data" / "test.jsonl", [one.model_dump(mode="json") for one in samples])
    for stage in ("sft", "grpo"):
        rows = []
        for one in samples:
            thought = "\n".join(f"Step {n}: {' '.join(rng.choices(words, k=20))}." for n in range(1, 7))
            thought += "a needle" if one.id.endswith("3210") else ""
            answer = rng.choice(["none", "/per/misc/awarded"])
            rows.append({"id": one.id, "completions": [f"<think>{thought}</think> <answer>{answer}</answer>"]})
        lines(run / "predictions" / f"{stage}.test.jsonl", rows)
    write_report(run, run / "report.html")
    return run / "report.html"


def test_five_thousand_samples_open_at_once_and_stay_small(browser, thousands):
    size = thousands.stat().st_size
    started = time.perf_counter()
    browser.open(thousands)
    browser.key("j")
    assert browser.text(PLACE) == f"2 of {N}"
    seconds = time.perf_counter() - started
    assert size < 30e6
    assert seconds < 6, "2 s on a machine with nothing else to do"
    assert browser.run("document.querySelectorAll('.list button').length") < 60
    browser.key("/")
    browser.write("A NEEDLE")
    browser.until(f"document.querySelector({PLACE!r}).textContent === '1 of 1'")
    browser.open(thousands, fragment=link(4_321))
    assert browser.text(PLACE) == f"4322 of {N}"
    assert browser.is_quiet(thousands.as_uri())
