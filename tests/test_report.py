import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from morerl.config import dump_settings
from morerl.errors import DataError
from morerl.report import write_report
from morerl.report.browser import choose, outcome, pieces, split_thought, steps
from morerl.report.charts import line_chart, thin, ticks
from morerl.report.page import script_json
from morerl.schema import Prediction, Sample
from morerl.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)>"
LABELS = ("none", "/per/misc/awarded", "/per/org/leader_of", HOSTILE)
TITLES = (
    "Nobel Economics Prize Goes to Pioneers in Reducing Poverty",
    f"A title with {HOSTILE} in it </script><script>alert(2)</script>",
    "جائزة نوبل تذهب إلى رواد الحد من الفقر",
    "Flags 🇫🇷👩‍👩‍👧 over the 🏟️ as fans arrive",
)


def sample(number: int, image: str | None = "a.png") -> Sample:
    text = TITLES[number % len(TITLES)]
    start = text.index(" ", 3) + 1
    regions = [
        {"id": "r0", "box": [0.1, 0.2, 0.4, 0.8]},
        {"id": "r1", "box": [0.5, 0.1, 0.9, 0.6], "type": "per"},
    ]
    return Sample.model_validate(
        {
            "id": f"more/test/{number:06d}",
            "corpus": "more",
            "split": "test",
            "text": text,
            "image": image,
            "mentions": [
                {"id": "m0", "start": start, "end": start + 6, "text": text[start : start + 6]},
                {"id": "m1", "start": 0, "end": 3, "text": text[:3]},
            ],
            "regions": regions if image else [],
            "head": "r0" if image else "m1",
            "tail": "m0",
            "gold": {"label": LABELS[number % len(LABELS)]},
        }
    )


def prediction(of: Sample, right: bool) -> Prediction:
    answer = of.gold.label if right else LABELS[(LABELS.index(of.gold.label) + 1) % 4]
    thought = "\n".join(f"Step {n}: what is seen here, {HOSTILE}, matters." for n in range(1, 7))
    return Prediction(id=of.id, completions=(f"<think>{thought}</think> <answer>{answer}</answer>",), answer=answer)


def metrics(value: float) -> dict:
    f1 = {"precision": value - 2, "recall": value + 2, "f1": value, "gold": 6, "predicted": 5}
    return {
        "protocol": "more",
        "n": 24,
        "primary": {"name": "micro_f1", "value": value},
        "figures": {
            "accuracy": value + 10,
            "micro_precision": value - 2,
            "unparseable": 4.2,
            "one_entity/n": 17.0,
            "one_entity/micro_f1": value - 7.77,
        },
        "per_label": {label: f1 for label in LABELS},
        "confusion": {label: {other: 3 + 9 * (label == other) for other in LABELS} for label in LABELS},
        "ci95": {"micro_f1": [value - 4, value + 4], "accuracy": [value + 7, value + 13]},
        "problems": {"no_answer_tag": 2},
        "settings": {"n": 1},
    }


def lines(path: Path, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def windows() -> list[dict]:
    """Four epochs of 60 hard samples and 60, 30, 15, 7 easy ones; the last window is filled up."""
    whys = [(n, why) for n in range(1, 5) for why in ["hard"] * 60 + ["easy"] * (120 >> n)] + [(4, "fill")] * 4
    prompts = [{"id": str(at), "epoch": n, "why": why, "pass_rate": 0.5} for at, (n, why) in enumerate(whys)]
    return [{"window": 1 + at // 20, "prompts": prompts[at : at + 20]} for at in range(0, len(prompts), 20)]


def draw_pictures(root: Path) -> None:
    root.mkdir(parents=True)
    image = Image.new("RGB", (640, 480), "#8fb6d8")
    draw = ImageDraw.Draw(image)
    draw.ellipse((80, 110, 250, 380), fill="#d9534f")
    draw.rectangle((330, 60, 570, 280), fill="#3c763d")
    image.save(root / "a.png")
    (root / "broken.png").write_bytes(b"no picture at all")


def training_log(stage: str) -> list[dict]:
    rows = [{"step": n, "loss": 2 / n, "grad_norm": 1.0, "learning_rate": 1e-4} for n in range(1, 60)]
    if stage == "grpo":
        for row in rows:
            n = row["step"]
            row |= {f"rewards/{name}/mean": 1 - w / n for name, w in (("format", 1), ("length", 2), ("answer", 3))}
            row |= {"reward": 3 - 6 / n, "reward_std": 0.4, "frac_reward_zero_std": n / 80, "kl": n / 1e4}
            row |= {"completions/mean_length": 200 + n}
    return [
        *rows,
        *({"step": n, "dev_f1": 40 + n / 3} for n in (10, 20, 40)),
        {"step": 59, "loss": float("nan")},
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder, data, pictures = tmp_path / "run", tmp_path / "data", tmp_path / "pictures"
    draw_pictures(pictures)
    samples = [sample(n, (None, "a.png", "a.png", "../secret.png", "broken.png", "a.png")[n % 6]) for n in range(24)]
    lines(data / "test.jsonl", [s.model_dump(mode="json") for s in samples])
    for stage, period in (("sft", 3), ("grpo", 5)):
        rows = [prediction(s, n % period > 0) for n, s in enumerate(samples)]
        predicted = [row.model_dump(mode="json") for row in rows]
        lines(folder / "predictions" / f"{stage}.test.jsonl", predicted)
        lines(folder / "predictions" / "blank_text.test.jsonl", predicted)
        lines(folder / stage / "log.jsonl", training_log(stage))
    lines(folder / "schedule.jsonl", windows())
    lines(folder / "rated.jsonl", [{"id": str(n), "n": 4, "n_correct": n % 5} for n in range(50)])
    settings = {
        "run": {"dir": "run"},
        "data": {"dir": str(data), "image_root": str(pictures), "guidelines": "more"},
    }
    (folder / "config.yaml").write_text(dump_settings(Settings.model_validate(settings)))
    (folder / "run.json").write_text(json.dumps({"git": "abc123", "versions": {"trl": "1.16.0"}, "seed": 0}))
    figures = {
        # as json.dumps(sort_keys=True) would have it
        "grpo": metrics(67.8),
        "sft": metrics(62.7),
        "controls": {"shuffled_pictures": 41.0, "blank_text": 12.5},
        "seconds": {"teach": 31.0, "sft": 420.5, "rate": 66.0, "grpo": 4000.0, "predict": 80.0},
        "peak_memory_mb": 2345.6,
    }
    (folder / "metrics.json").write_text(json.dumps(figures))
    return folder


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.inside, self.raw = [], None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = (tag, dict(attrs).get("type", "")) if tag in ("script", "style") else None

    def handle_data(self, data):
        if self.inside:
            self.raw[self.inside] = self.raw.get(self.inside, "") + data

    def handle_endtag(self, tag):
        self.inside = None


def written(run: Path) -> tuple[str, Page, dict]:
    out = run / "report.html"
    write_report(run, out)
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    return text, page, json.loads(page.raw["script", "application/json"])


def test_nothing_of_the_run_becomes_markup(run):
    text, page, data = written(run)
    assert not [tag for tag, attrs in page.tags if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 2
    assert HOSTILE not in text and "&lt;img src=x onerror" in text
    assert any(HOSTILE in "".join(piece for piece, _ in s["pieces"]) for s in data["samples"])


def test_policy_names_the_script_and_the_style_by_hash_and_allows_nothing_else(run):
    _, page, _ = written(run)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    for key in (("script", ""), ("style", "")):
        digest = base64.b64encode(hashlib.sha256(page.raw[key].encode()).digest()).decode()
        assert f"{key[0]}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    # style attributes would be refused by that policy, and addresses would never load
    assert not [a for _, a in page.tags if "style" in a or "src" in a or a.get("href", "#")[0] != "#"]


def test_every_section_shows_what_its_files_hold(run):
    text, page, _ = written(run)
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert {"results", "browser", "labels", "confusion", "curves", "mixing", "controls", "time", "about"} <= {*sections}
    for shown in (
        "67.8",
        "63.8 – 71.8",
        "+5.1",
        "shuffled_pictures",
        "1 h 06 min",
        "2,346 MB",
        "abc123",
        "1.16.0",
    ):
        assert shown in text, shown
    for title in ("Loss", "Reward, by part", "F1 on dev", "Groups whose rewards", "Completion length"):
        assert f"<figcaption>{title}" in text
    assert 'class="gap"' not in text.replace('<noscript><p class="gap">', "")
    assert "NaN" not in text.split("<script")[0] and "nan" not in re.findall(r'd="([^"]*)"', text)


def test_stages_run_from_sft_to_grpo_whatever_the_order_of_the_file(run):
    _, _, data = written(run)
    assert data["stages"] == ["sft", "grpo"]
    states = {s["id"][-2:]: s["state"] for s in data["samples"]}
    assert [states[n] for n in ("00", "01", "03", "05")] == ["wrong", "right", "fixed", "broken"]


def test_each_picture_is_embedded_once_and_a_bad_one_gives_its_reason(run):
    _, _, data = written(run)
    good = [p for p in data["pictures"] if "uri" in p]
    assert [(p["width"], p["height"]) for p in good] == [(320, 240)]
    reasons = {p["reason"].split(":")[0] for p in data["pictures"] if "reason" in p}
    assert reasons == {"outside_root", "not_an_image"}


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("metrics.json", "metrics.json is not in the run folder."),
        ("sft/log.jsonl", "sft/log.jsonl is not in the run folder."),
        ("schedule.jsonl", "schedule.jsonl is not in the run folder."),
        ("rated.jsonl", "rated.jsonl is not in the run folder."),
        ("config.yaml", "Without config.yaml it is not known where the test samples are."),
        ("../data/test.jsonl", "test.jsonl is not in the data folder that config.yaml names (data.dir)."),
    ],
)
def test_a_missing_file_is_named(run, name, sentence):
    (run / name).unlink()
    assert sentence in written(run)[0]


@pytest.mark.parametrize(
    "name", ["metrics.json", "config.yaml", "run.json", "rated.jsonl", "predictions/sft.test.jsonl"]
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(run, name):
    (run / name).write_bytes(b'{"a": [\xff')
    assert f"{name} cannot be used: " in written(run)[0]


def test_what_single_stages_left_serves_where_the_whole_is_missing(run):
    (run / "metrics.json").unlink()
    for name, value in (("sft", 62.7), ("grpo", 67.8), ("blank_text", 12.5)):
        (run / "predictions" / f"{name}.test.metrics.json").write_text(json.dumps(metrics(value)))
    for name in ("config.yaml", "run.json"):
        (run / name).rename(run / "grpo" / name)
    text, _, data = written(run)
    assert "+5.1" in text and "12.5" in text and "abc123" in text
    assert data["stages"] == ["sft", "grpo"] and len(data["samples"]) == 24


def test_groups_and_unparseable_stand_apart_from_the_rates(run):
    text, _, _ = written(run)
    assert "one_entity</th>" in text and "60.0" in text
    assert "one_entity/n" not in text and "4.2 % of 24 completions" in text


def test_labels_without_a_sample_are_said_to_weigh_on_the_macro_figures(run):
    def with_absent(*names, protocol="more"):
        data = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        for stage in ("sft", "grpo"):
            data[stage]["protocol"] = protocol
            for name in names:
                data[stage]["per_label"][name] = dict.fromkeys(("precision", "recall", "f1", "gold", "predicted"), 0)
        (run / "metrics.json").write_text(json.dumps(data), encoding="utf-8")
        return written(run)[0]

    said = "Relations without a test sample: 1;"
    assert "without a test sample" not in with_absent("none")
    assert said in with_absent(LABELS[1])
    assert said not in with_absent(LABELS[1], protocol="sem2010")  # whose average leaves them out


def test_a_torn_log_keeps_its_good_lines(run):
    with (run / "grpo" / "log.jsonl").open("a") as file:
        file.write('{"step": 60, "lo')
    text, _, _ = written(run)
    assert "grpo/log.jsonl: 1 of 64 lines could not be read and are left out." in text
    assert "<figcaption>Reward, by part" in text


def test_an_empty_folder_gives_a_page_of_sentences(tmp_path):
    text, _, data = written(tmp_path)
    assert text.count('class="gap"') >= 8
    assert data["samples"] == []


def test_no_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(DataError, match="no run folder"):
        write_report(tmp_path / "nowhere", tmp_path / "report.html")


def test_one_stage_alone_has_no_before(run):
    shutil.rmtree(run / "grpo")
    (run / "predictions" / "grpo.test.jsonl").unlink()
    figures = json.loads((run / "metrics.json").read_text())
    del figures["grpo"]
    (run / "metrics.json").write_text(json.dumps(figures))
    text, _, data = written(run)
    assert {s["state"] for s in data["samples"]} == {"right", "wrong"}
    assert "against" not in text.split("<script")[0]


def test_json_in_a_script_cannot_end_it():
    hostile = "</script><!--<script>\u2028&"
    text = script_json([hostile])
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == [hostile]


def test_pieces_join_to_the_text_and_know_their_role():
    for number in range(len(TITLES)):
        one = sample(number, image=None)
        cut = pieces(one)
        assert "".join(piece for piece, _ in cut) == one.text
        assert [piece for piece, kind in cut if kind == "tail"] == [one.argument("m0").text]
        assert [piece for piece, kind in cut if kind == "head"] == [one.argument("m1").text]


def test_reasoning_is_cut_at_its_steps():
    completion = "<think>First. Step 1: a, as in Step 2 below. **Step 2:** b</think> <answer>x</answer>"
    thought, rest = split_thought(completion)
    assert [title for title, _ in steps(thought)] == ["", "Step 1", "Step 2"]
    assert rest == "<answer>x</answer>"
    assert split_thought("<think>never closed") == ("", "<think>never closed")


def test_outcome_compares_the_last_two_stages():
    one = sample(1)
    right, wrong = prediction(one, True), prediction(one, False)
    assert outcome(one, wrong, right) == "fixed"
    assert outcome(one, right, wrong) == "broken"
    assert outcome(one, None, right) == "right"
    assert outcome(one, wrong, wrong) == "wrong"
    assert outcome(one, right, None) == "unknown"


def test_choice_is_seeded_and_prefers_telling_samples():
    found = {str(n): "right" if n % 3 else "wrong" for n in range(300)}
    chosen = choose(found, 30, seed=1)
    assert chosen == choose(found, 30, seed=1) != choose(found, 30, seed=2)
    assert [found[id_] for id_ in chosen].count("wrong") == 20
    assert len(choose({str(n): "right" for n in range(50)}, 30, 0)) == 30
    assert len(choose({str(n): "wrong" for n in range(50)}, 30, 0)) == 30


def test_ticks_are_round_and_enclose_the_values():
    for low, high in ((0, 1), (0.013, 0.4), (-3, 997), (5, 5), (0, 0), (1e-7, 3e-7)):
        found = ticks(low, high)
        assert found[0] <= low and found[-1] >= high
        assert 2 <= len(found) <= 8


def test_thinning_keeps_spikes():
    points = [(float(n), 0.0) for n in range(10_000)]
    points[5_003] = (5_003.0, 9.0)
    kept = thin(points)
    assert len(kept) <= 400 and (5_003.0, 9.0) in kept and kept == sorted(kept)


def test_a_chart_of_nothing_is_none():
    assert line_chart("Loss", {"loss": []}) is None


CHROMIUM = shutil.which("chromium")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")


def opened(page: Path, fragment: str = "") -> str:
    """The document after its script has run."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    address = f"file://{page}{fragment}"
    return subprocess.run([CHROMIUM, *flags, address], capture_output=True, text=True, timeout=120).stdout


@pytest.mark.slow
@in_chromium
def test_the_browser_draws_a_sample_and_its_line(run):
    write_report(run, run / "report.html")
    dom = opened(run / "report.html", "#sample=more%2Ftest%2F000001")
    assert "2 of 24" in dom
    assert dom.count('<li><button type="button"') == 24
    assert len(re.findall(r'<path d="M[^"]+" class="line right (?:head|tail)"', dom)) == 2
    for drawn in ('src="data:image/', 'id="arg-head"', 'id="arg-tail"', "<b>Step 6</b>"):
        assert drawn in dom, drawn
    assert HOSTILE not in dom and "&lt;img src=x onerror=alert(1)&gt;" in dom


ACTIONS = """
const seen = [];
const note = () => seen.push(state.parts.place.textContent);
const key = (name) => {
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  note();
};
const pick = (name, value) => {
  state.parts[name].value = value;
  state.parts[name].dispatchEvent(new Event(name === "search" ? "input" : "change"));
  note();
};
["j", "ArrowRight", "k", "ArrowLeft", "k"].forEach(key);
pick("outcome", "fixed"); pick("outcome", "broken"); pick("outcome", "");
pick("search", "NOBEL"); pick("search", "no such words"); key("j"); pick("search", "");
document.querySelector(".matrix .jump").click(); note();
document.getElementById("theme").click();
document.body.append(`seen: ${seen.join(", ")}.`);
"""


@pytest.mark.slow
@in_chromium
def test_keys_and_filters_choose_the_sample(run):
    write_report(run, run / "report.html")
    page = (run / "report.html").read_text(encoding="utf-8")
    # the policy would refuse the test's own script, which is its purpose
    page = re.sub(r"<meta http-equiv.*", "", page).replace("</body>", f"<script>{ACTIONS}</script></body>")
    (run / "acted.html").write_text(page, encoding="utf-8")
    dom = opened(run / "acted.html")
    moved = "2 of 24, 3 of 24, 2 of 24, 1 of 24, 24 of 24"
    filtered = "1 of 6, 1 of 3, 6 of 24, 1 of 6, none, none, 1 of 24"
    assert f"seen: {moved}, {filtered}, 1 of" in dom, re.findall("seen: .*", dom)[-1]
    assert 'data-theme="' in dom
