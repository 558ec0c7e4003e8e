import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from morerl.errors import DataError
from morerl.guidelines import load_spec
from morerl.report.audit import draw, find, write_audit
from morerl.report.said import MAX_CHARACTERS
from morerl.schema import Sample

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
LABELS = ("/per/misc/awarded", "none")
TEXT = "Bern honours Ada Reyes with the Laurel Medal"
MORE, SCIER = load_spec("more"), load_spec("scier")
VOID = {"img", "meta"}


def sample(number: int, **changes) -> Sample:
    mentions = [{"id": "m0", "start": 32, "end": 44, "text": "Laurel Medal"}]
    regions = [{"id": "r0", "box": [0.25, 0.5, 0.75, 1.0], "type": "per"}]
    fields = {"id": f"s{number}", "corpus": "more", "split": "train", "text": TEXT, "image": "a.png", "head": "r0"}
    fields |= {"mentions": mentions, "regions": regions, "tail": "m0", "gold": {"label": LABELS[number % 2]}}
    return Sample.model_validate(fields | changes)


def row(number: int, answer: str | None = None, reason: str | None = None, **changes) -> dict:
    think = "Step 1: a person.\nStep 2: 'Laurel Medal' and “a gold watch”, no 'person'."
    completion = f"<think>{think}</think> <answer>{answer or LABELS[number % 2]}</answer>"
    told = {"model": "teacher-7b", "prompt_hash": "ab" * 32, "strategy": "stepwise/1", "temperature": 0.7, "seed": 11}
    told |= {"usage": {"prompt_tokens": 1000, "completion_tokens": 50}, "attempts": 3, "time": "2026-01-02T03:04:05Z"}
    return {"id": f"s{number}", "completion": completion, "reason": reason, **told, **changes}


def lines(path: Path, rows: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path) -> Path:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (400, 200), "#8fb6d8").save(tmp_path / "pictures" / "a.png")
    folder = tmp_path / "run"
    lines(folder / "reasoning.jsonl", [row(n) for n in range(20)])
    rejects = [row(n, answer="/per/per/partner", reason="wrong_answer") for n in range(20, 26)]
    lines(folder / "rejected.jsonl", [*rejects, row(26, reason="leak"), row(27, reason="a_new_gate")])
    return folder


class Page(HTMLParser):
    """A page's elements: tag, attributes, and all text inside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.all.append(element := {"tag": tag, **dict(attrs), "text": ""})
        if tag not in VOID:
            self.open.append(element)

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def handle_endtag(self, tag):
        while self.open and self.open.pop()["tag"] != tag:
            pass

    def texts(self, tag: str, kind: str = "") -> list[str]:
        return [e["text"] for e in self.all if e["tag"] == tag and kind in [*(e.get("class") or "").split(), ""]]

    def chains(self) -> list[str]:
        return self.texts("article", "chain")


def audited(run: Path, samples=None, *, spec=MORE, n=100, seed=0, root="pictures") -> tuple[str, Page]:
    out, rows = run / "audit.html", (run / "reasoning.jsonl", run / "rejected.jsonl")
    samples = [sample(n) for n in range(40)] if samples is None else samples
    write_audit(*rows, iter(samples), spec, out, n=n, seed=seed, image_root=root and run.parent / root)
    text = out.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_counts_are_of_the_whole_files_and_reasons_are_told_in_words(run):
    _, page = audited(run, n=2)
    assert len(page.chains()) == 4
    assert page.texts("span", "big")[:3] == ["20", "8", "29,400"]
    table = "\n".join(page.texts("tr"))
    cells = ("kept20", "not the gold answer.621.4 %", "betrays", "a_new_gate1")
    assert [cell for cell in cells if cell in table] == [*cells]
    assert "2 of 20 kept, 2 of 8 rejected" in page.texts("p", "hint")[0]
    assert "cannot be used" not in page.texts("main")[0]


def test_a_card_shows_picture_text_question_reasoning_answer_and_provenance(run):
    _, page = audited(run, n=1)
    for shown in (MORE.question, "the object from (25%, 50%) to (75%, 100%)", "'Laurel Medal'", "Step 1", "kept"):
        assert shown in page.chains()[0], shown
    for shown in ("teacher-7b", "0.7", "11", "prompt_tokens 1,000", "2026-01-02", "ab" * 32, "stepwise/1", "3"):
        assert shown in "".join(page.texts("dd")), shown
    picture = next(e for e in page.all if e["tag"] == "img")
    assert picture["src"].startswith("data:image/") and (picture["width"], picture["height"]) == ("480", "240")
    box = next(e for e in page.all if e.get("class") == "box head")
    assert [box[key] for key in ("x", "y", "width", "height")] == ["80.0", "80.0", "160.0", "80.0"]
    assert page.texts("mark", "tail") == ["Laurel Medal"] * 2


def test_quotes_are_found_missing_or_of_the_guideline(run):
    _, page = audited(run, n=1)
    marks = {kind: page.texts("mark", kind)[1:] for kind in ("found", "missing", "guide")}  # the first explains
    assert marks == {"found": ["Laurel Medal"] * 2, "missing": ["a gold watch"] * 2, "guide": ["person"] * 2}


def test_answers_are_judged_anew_against_gold(run):
    lines(run / "reasoning.jsonl", [row(0), row(1, answer="/per/misc/awarded"), row(2, answer="nonsense")])
    _, page = audited(run, n=3)
    said = [e for e in page.all if (e.get("class") or "").startswith("said")][:3]
    assert [e["class"] for e in said] == ["said right", "said wrong", "said wrong"]
    assert "no readable answer" in said[2]["text"] and "unknown_label" in page.chains()[2]


def test_choices_match_the_groups_of_the_chains(run):
    _, page = audited(run)
    groups = [e["data-groups"].split() for e in page.all if e.get("data-groups")]
    options = {e["value"]: e["text"] for e in page.all if e["tag"] == "option" and e["value"]}
    assert options["kept"] == "kept (20)" and options["r0"] == "rejected: wrong_answer (6)"
    assert {"rejected: leak (1)", "none (14)", "/per/misc/awarded (14)"} < {*options.values()}
    for value, text in options.items():
        assert text.endswith(f"({sum(value in of for of in groups)})")


def test_the_draw_is_seeded(run):
    drawn = [re.findall(r"s\d+", " ".join(audited(run, n=3, seed=seed)[1].texts("h3"))) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(set(drawn[0])) == 6


def test_every_row_is_drawn_as_often_as_any_other(tmp_path):
    path = lines(tmp_path / "rows.jsonl", [row(n) for n in range(10)])
    hits = [int(one.id[1:]) for seed in range(400) for one in draw(path, 3, str(seed)).rows]
    counts = [hits.count(n) for n in range(10)]  # 120 expected, standard deviation 9
    assert sum(counts) == 1200 and min(counts) > 80 and max(counts) < 160


def test_samples_are_read_once_and_no_further_than_needed():
    samples = (sample(n) for n in range(30))
    assert set(find(samples, {"s3", "s7"})) == {"s3", "s7"}
    assert next(samples).id == "s8"


def test_rows_are_text_and_never_markup(run):
    hostile = row(0, completion=f"<think>“{HOSTILE}” {HOSTILE}</think> <answer>{HOSTILE}</answer>", model=HOSTILE)
    lines(run / "reasoning.jsonl", [hostile, row(1, id=HOSTILE, completion=HOSTILE)])
    lines(run / "rejected.jsonl", [row(2, reason=HOSTILE)])
    text, page = audited(run, [sample(0, text=TEXT + HOSTILE, image=HOSTILE), sample(2)])
    assert len([e for e in page.all if e["tag"] == "script"]) == 1 and not page.texts("img")[1:]
    assert not [e for e in page.all if any(key.startswith("on") or key == "style" for key in e)]
    assert HOSTILE not in text and text.count("&lt;img src=x onerror") >= 8
    assert "This sample is not among the samples" in page.chains()[1]


def test_policy_names_script_and_style_by_hash(run):
    _, page = audited(run)
    policy = next(e["content"] for e in page.all if e.get("http-equiv") == "Content-Security-Policy")
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.texts(kind)[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_surrogates_long_texts_and_torn_lines_do_not_stop_it(run):
    long = row(0, completion="<think>" + "“x " * 70_000 + "</think> <answer>none</answer>")
    lines(run / "reasoning.jsonl", [row(1, completion="\ud800 half \0 nul"), long])
    with (run / "reasoning.jsonl").open("ab") as file:
        file.write(b'{"id": "s2", "completion": "\xff bytes", "model": "", "prompt_hash": ""}\n[[[\n{"id": "s3"')
    text, page = audited(run)
    assert len(text) < 10 * MAX_CHARACTERS and "\0" not in text
    assert "? half \ufffd nul" in text and "\ufffd bytes" in text
    assert "the first 20,000 of 210," in page.chains()[1]
    assert "reasoning.jsonl: 2 lines are no chains and are left out." in page.texts("p", "gap")


def test_what_is_missing_is_said(run):
    (run / "rejected.jsonl").unlink()
    lines(run / "reasoning.jsonl", [])
    _, page = audited(run, [])
    assert page.texts("p", "gap") == ["There are no kept chains.", "There are no rejected chains."]
    lines(run / "reasoning.jsonl", [row(0), row(1), row(2)])
    names = [*sample(2).mentions, {"id": "m1", "start": 13, "end": 22, "text": "Ada Reyes"}]
    text_only = sample(2, image=None, regions=[], head="m1", mentions=names)
    _, page = audited(run, [sample(0), sample(1, image="gone.png"), text_only], root=None)
    assert "data.image_root is not set" in page.chains()[0] and page.texts("mark", "head") == ["Ada Reyes"]
    assert "This picture" not in page.chains()[2]
    assert "missing: gone.png" in audited(run, [sample(1, image="gone.png")])[1].chains()[1]
    (run / "reasoning.jsonl").unlink()
    with pytest.raises(DataError, match="build_reasoning"):
        audited(run)


def test_the_runs_own_summary_is_shown_and_checked(run):
    told = {"strategy": "stepwise", "endpoint": "http://127.0.0.1:8000/v1", "complete": False, "asked": 28}
    told |= {"kept": 19, "tokens": {"prompt": 30_000, "completion": 2_000}, "usd": 1.5, "attempts": 31}
    (run / "teach").mkdir()
    (run / "teach" / "teach.json").write_text(json.dumps(told))
    _, page = audited(run)
    assert page.texts("span", "big")[2:] == ["32,000", "$1.50"]
    notes = " ".join(page.texts("p", "gap"))
    assert "has not ended" in notes and "speaks of 19 kept chains, the file holds 20" in notes
    assert {"http://127.0.0.1:8000/v1", "28", "31", "stepwise/1"} <= {*page.texts("dd")}
    for damaged in ("[1]", '{"usd": "much", "tokens": [], "asked": {}}', "{"):
        (run / "teach" / "teach.json").write_text(damaged)
        assert len(audited(run)[1].chains()) == 28


def test_extractions_are_shown_line_by_line(run):
    entities = [("e0", "BERT", "Method", 0), ("e1", "NER", "Task", 9)]
    fields = [{"id": i, "text": t, "type": k, "start": at, "end": at + len(t)} for i, t, k, at in entities]
    gold = {"entities": fields, "relations": [{"head": "e0", "tail": "e1", "label": "Used-For"}]}
    nothing = {"head": None, "tail": None, "mentions": [], "regions": [], "image": None}
    asked = sample(0, text="BERT for NER", task="extract", gold=gold, **nothing)
    answer = {"entities": [{"id": "a", "text": "BERT", "type": "Method"}, {"id": "b", "text": "NER", "type": "Method"}]}
    answer |= {"relations": [{"head": "a", "tail": "b", "label": "Used-For"}]}
    lines(run / "reasoning.jsonl", [row(0, answer=json.dumps(answer))])
    _, page = audited(run, [asked], spec=SCIER, n=1)
    assert page.texts("mark", "other") == ["BERT", "NER"]
    right, wrong = page.texts("li", "right"), page.texts("li", "wrong")
    assert right == ["BERT [Method]", "BERT -Used-For-> NER"] * 2 and wrong == ["NER [Task]", "NER [Method]"]
    assert "Used-For (1)" in page.texts("option")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_the_choices_hide_what_does_not_fit(run):
    text, _ = audited(run)
    page = run / "chosen.html"
    page.write_text(text.replace('<option value="rejected">', '<option value="rejected" selected>'), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    dom = subprocess.run(["chromium", *flags, f"file://{page}"], capture_output=True, text=True, timeout=120).stdout
    assert '<output id="shown">8 of 28 chains</output>' in dom and "Dark theme" in dom
    assert re.findall(r'<article class="chain (\w+)"[^>]* hidden=', dom) == ["kept"] * 20
