import base64
import gzip
import hashlib
import json
import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_runs import (
    HOSTILE,
    LABELS,
    TITLES,
    extract_answer,
    extract_run,
    extract_sample,
    guideline,
    metrics,
    pair_run,
    sample,
)
from typer.testing import CliRunner

from morerl.cli import app
from morerl.errors import DataError
from morerl.evaluation import score_files
from morerl.guidelines import load_spec
from morerl.prompts.parse import Parsed
from morerl.report import write_report
from morerl.report.against import beside, paired
from morerl.report.browser import choose, units
from morerl.report.chain import pieces
from morerl.report.charts import line_chart, thin, ticks
from morerl.report.judged import Verdict, outcome, verdict
from morerl.report.page import packed, script_json
from morerl.report.pictures import gallery
from morerl.report.read import read_run
from morerl.report.said import MAX_CHARACTERS, split_thought, steps, told
from morerl.schema import Gold
from morerl.scoring.compare import Comparison

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return pair_run(tmp_path)


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.inside, self.raw = [], None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = (tag, dict(attrs).get("id", "")) if tag in ("script", "style") else None

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
    return text, page, unpacked(page)


def unpacked(page: Page) -> dict:
    """The data as the script reads it, with the pictures among it."""
    data, told = (json.loads(gzip.decompress(base64.b64decode(page.raw["script", id_]))) for id_ in ("data", "told"))
    assert len(told) == len(data["samples"])
    return (
        data
        | {"told": told}
        | {"pictures": [json.loads(line) for line in page.raw.get(("script", "pictures"), "").splitlines()]}
    )


def test_nothing_of_the_run_becomes_markup(run):
    text, page, data = written(run)
    assert not [tag for tag, attrs in page.tags if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert len([attrs for tag, attrs in page.tags if tag == "script" and attrs.get("type") != "text/plain"]) == 1
    assert HOSTILE not in text and "&lt;img src=x onerror" in text
    assert any(HOSTILE in s["text"] for s in data["samples"])


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
    good = [p for p in data["pictures"] if isinstance(p, list)]
    assert [(width, height) for width, height, _ in good] == [(480, 360)]
    reasons = {p.split(":")[0] for p in data["pictures"] if isinstance(p, str)}
    assert reasons == {"outside_root", "not_an_image"}


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("metrics.json", "No figures yet: morerl score CONFIG"),
        ("sft/log.jsonl", "sft/log.jsonl is not in the run folder."),
        ("schedule.jsonl", "schedule.jsonl is not in the run folder."),
        ("rated.jsonl", "rated.jsonl is not in the run folder."),
        ("config.yaml", "It is not known where the test samples are: there is no config.yaml that names them."),
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


def ended(run: Path, **done) -> None:
    (run / "grpo" / "done.json").write_text(json.dumps(done))


def test_windows_that_were_planned_and_never_trained_are_not_shown_as_trained(run):
    row = '<tr><th>{}</th><td class="n">60</td><td class="n">{}</td>'
    whole = written(run)[0]
    assert "Planned" not in whole and row.format(4, 7) in whole
    ended(run, steps=8)
    text, _, _ = written(run)
    assert "Planned 18 windows, trained 8: the run went to step 8." in text
    assert row.format(1, 60) in text and "<th>3</th>" not in text and "ends at" in text
    write_report(run, run / "report.html", against=shutil.copytree(run, run.parent / "other"))
    assert "other: Planned 18 windows, trained 8" in (run / "report.html").read_text(encoding="utf-8")


def test_a_run_that_was_stopped_is_cut_at_the_last_step_it_logged(run):
    log = run / "grpo" / "log.jsonl"
    log.write_text("".join(line + "\n" for line in log.read_text().splitlines() if json.loads(line)["step"] < 4))
    assert "trained 3: the run went to step 3." in written(run)[0]
    log.write_text("")
    assert "how many were trained is not known" in written(run)[0]


def test_the_step_that_was_kept_is_said_and_marked_on_dev(run):
    assert 'class="kept"' not in written(run)[0]
    ended(run, steps=59, dev={"step": 20, "value": 46.666})
    text, _, _ = written(run)
    assert "Kept: step 20 of 59, 46.7 on dev, the best." in text
    assert text.split("<figcaption>F1 on dev")[2].split("</figure>")[0].count('class="kept"') == 1
    assert text.count('class="kept"') == 1
    (run / "grpo" / "done.json").unlink()
    (run / "grpo" / "model").mkdir()
    (run / "grpo" / "model" / "dev.json").write_text('{"step": 0, "value": 41.0}')
    assert "Kept: step 0, 41.0 on dev: the untrained start, the very model that grpo began with" in written(run)[0]


def test_parts_of_the_reward_are_said_to_be_unweighted_and_solved_is_none(run):
    log = [{"step": n, "reward": 2.5, "rewards/answer/mean": 0.9, "rewards/solved/mean": 0.8} for n in (1, 2)]
    (run / "grpo" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    chart = written(run)[0].split("<figcaption>Reward, by part")[1].split("</figure>")[0]
    assert "parts before their weights, all parts: the weighted sum" in chart
    assert "all parts <b>2.5" in chart and "answer <b>0.9" in chart and "solved" not in chart


def test_times_are_those_of_the_stages_where_nobody_kept_them_together(run):
    (run / "metrics.json").unlink()
    assert "No stage has written down its time" in written(run)[0]
    ended(run, steps=59, seconds=4000.0)
    time = written(run)[0].split('id="time"')[1].split("</section>")[0]
    assert "<th>grpo</th>" in time and "1 h 06 min" in time and "As grpo wrote down" in time


def test_what_nobody_scored_is_said_once_and_controls_alone_have_a_section(run):
    (run / "metrics.json").unlink()
    text, page, _ = written(run)
    assert text.count("No figures yet") == 1 and "is not in the run folder" not in text
    assert "controls" not in [attrs.get("id") for _, attrs in page.tags] and 'href="#labels"' not in text
    for stage in ("sft", "grpo"):
        (run / "predictions" / f"{stage}.test.metrics.json").write_text(json.dumps(metrics(60)))
    text, page, _ = written(run)
    assert 'href="#labels"' in text and "ontrols" not in text.split("<script")[0] and "No figures" not in text


def test_counts_are_buttons_and_labels_are_told_without_a_pointer(run):
    text, page, _ = written(run)
    buttons = [
        attrs for tag, attrs in page.tags if tag == "button" and attrs.get("aria-label", "").startswith("3 times")
    ]
    wrong = len(LABELS) * (len(LABELS) - 1)
    assert len(buttons) == 2 * (wrong + 10)  # of either stage: the matrix, and the most frequent mistakes
    assert f"3 times none taken for {HOSTILE}" in {one["aria-label"] for one in buttons}
    told = text.split("What the labels mean")[1].split("</details>")[0]
    assert "<dt><bdi>none</bdi></dt><dd>what none means</dd>" in told and told.count("<dt>") == len(LABELS)


def test_controls_are_headed_by_the_official_figure(run):
    assert '<th>Test</th><th class="n">micro_f1</th>' in written(run)[0]


def test_settings_of_an_older_run_name_the_file_the_key_and_what_to_do(run):
    told = (run / "config.yaml").read_text().replace("length_threshold:", "length_thresh:")
    (run / "config.yaml").unlink()
    (run / "grpo" / "config.yaml").write_text(told)
    text, _, _ = written(run)
    note = next(one for one in re.findall(r'<p class="gap">(.*?)</p>', text, re.DOTALL) if "cannot be used" in one)
    assert note.startswith("grpo/config.yaml cannot be used: ") and "length_thresh" in note and "delete the key" in note
    assert "there is no config.yaml" not in text and "config.yaml would say it" in text


def test_a_schedule_of_which_no_line_can_be_used_is_named(run):
    (run / "schedule.jsonl").write_text('{"epoch": 1, "ids": ["a"]}\n')
    assert "Nothing of schedule.jsonl can be shown: none of its 1 lines" in written(run)[0]


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
    assert split_thought("</think><think>a</think>b") == ("a", "</think>b")
    opened = "<think>" * 200_000  # in seconds, not hours
    assert split_thought(opened) == ("", opened)


def test_outcome_compares_the_last_two_stages():
    right, wrong, unknown = (Verdict(Parsed(), state, (), 0, ()) for state in (True, False, None))
    assert outcome(wrong, right) == "fixed"
    assert outcome(right, wrong) == "broken"
    assert outcome(None, right) == outcome(unknown, right) == "right"
    assert outcome(wrong, wrong) == "wrong"
    assert outcome(right, None) == outcome(right, unknown) == "unknown"


@pytest.mark.parametrize(
    ("gold", "completion", "errors"),
    [
        (LABELS[1], f"<think>x</think><answer>{LABELS[1]}</answer>", ()),
        (LABELS[1], f"<think>x</think><answer>{LABELS[2]}</answer>", ("wrong label",)),
        (LABELS[1], "<think>x</think><answer>none</answer>", ("missed",)),
        ("none", f"<think>x</think><answer>{LABELS[1]}</answer>", ("made up",)),
        (LABELS[1], "<answer>", ("no readable answer",)),
    ],
)
def test_a_pair_is_judged_by_the_scorer_and_its_error_named(tmp_path, gold, completion, errors):
    spec = load_spec(str(guideline(tmp_path / "g.yaml")))
    one = sample(1).model_copy(update={"gold": Gold(label=gold)})
    found = verdict(one, (completion, f"<think>x</think><answer>{gold}</answer>"), spec)
    assert (found.right, found.errors, found.passed) == (not errors, errors, 1 + (not errors))


def test_an_extraction_names_the_errors_of_entities_and_of_relations_apart():
    spec, one = load_spec("scier"), extract_sample(1)
    assert verdict(one, (extract_answer(one, 0),), spec).errors == ()
    wrong = verdict(one, (extract_answer(one, 1),), spec)
    assert wrong.right is False
    assert wrong.errors == ("entity: wrong type", "relation: missed", "relation: made up")
    assert verdict(one, (), spec).errors == verdict(one, ("[",), spec).errors == ("no readable answer",)


@given(st.text(), st.integers(0, 40))
def test_offsets_count_as_javascript_does(text, at):
    at = min(at, len(text))
    assert units(text)(at) == len(text[:at].encode("utf-16-le", "surrogatepass")) // 2


def test_offsets_past_what_is_shown_become_its_end():
    for text in ("x" * (MAX_CHARACTERS + 9), "🏟" * (MAX_CHARACTERS + 9)):
        assert units(text)(len(text)) == units(text)(MAX_CHARACTERS)


def test_packed_data_means_nothing_to_html():
    hostile = ["</script><!--<script>", "\ud800"]
    text = packed(hostile)
    assert re.fullmatch(r"[A-Za-z0-9+/=]*", text)
    assert json.loads(gzip.decompress(base64.b64decode(text))) == ["</script><!--<script>", "?"]


def test_extractions_keep_their_places_and_their_rewards(tmp_path):
    _, _, data = written(extract_run(tmp_path / "run"))
    first, second, *_ = data["samples"]
    emoji = first["text"].encode("utf-16-le")
    for one in first["gold"]["entities"]:
        start, end, _, words = one
        assert emoji[2 * start : 2 * end].decode("utf-16-le") == words
    assert first["gold"]["relations"] == [[0, 1, "Evaluated-With"], [0, 2, "Used-For"]]
    assert [one["state"] for one in data["samples"][:4]] == ["right", "wrong", "wrong", "wrong"]
    rewards = {name: value * weight for name, value, weight in second["answers"][0]["rewards"]}
    assert {"ner_f1", "rel_f1", "format"} <= set(rewards) and 0 < rewards["ner_f1"] < 1
    assert (first["rate"], second["rate"], second["answers"][0]["passed"]) == (1.0, 0.5, 1)


def test_types_and_relations_have_tables_of_their_own(tmp_path):
    folder = extract_run(tmp_path / "run")
    predictions = folder / "predictions" / "grpo.test.jsonl"
    score_files(
        tmp_path / "extract-data" / "test.jsonl", predictions, "scier", predictions.with_suffix(".metrics.json")
    )
    text, _, _ = written(folder)
    for shown in ("Types of entities", "Types of the same span", "Relations between the same two spans"):
        assert f"<h3>{shown}</h3>" in text
    types = text.split("Types of the same span")[1].split("</table>")[0]
    assert "<bdi>Dataset</bdi></td><td><bdi>Task</bdi>" in types and "Evaluated-With" not in types
    assert 'data-error="relation: missed"' in text


def test_models_with_dots_in_their_names_are_shown_and_files_of_no_stage_named(tmp_path):
    folder = pair_run(tmp_path) / "predictions"
    for name in ("Qwen2.5-1.5B-Instruct.test", "Qwen2.5-VL-3B-Instruct.dev", "notes"):
        (folder / f"{name}.jsonl").write_bytes((folder / "sft.test.jsonl").read_bytes())
    run = read_run(folder.parent)
    assert {one.name: set(one.predictions) for one in run.sets} == {
        "test": {"sft", "grpo", "Qwen2.5-1.5B-Instruct"},
        "dev": {"Qwen2.5-VL-3B-Instruct"},
    }
    assert run.notes["predictions/notes"] == "predictions/notes.* is not shown: its name is not <stage>.<split>."


def test_reasoning_that_is_cut_is_shown_in_its_steps():
    said = "<think>Step 1: a man.\nStep 2: a prize.</think> <answer>none</answer>"
    assert told(said) == ([["Step 1", "a man."], ["Step 2", "a prize."]], "<answer>none</answer>")
    assert told(said, 35) == ([["Step 1", "a man."], ["Step 2", "a pri"]], "")
    assert told("none at all", 4) == ([], "none")


def test_two_runs_stand_side_by_side_with_their_paired_difference(tmp_path):
    one, other = extract_run(tmp_path / "one"), extract_run(tmp_path / "other", shift=1)
    for folder in (one, other):
        predictions = folder / "predictions" / "grpo.test.jsonl"
        gold = tmp_path / "extract-data" / "test.jsonl"
        score_files(gold, predictions, "scier", predictions.with_suffix(".metrics.json"))
    write_report(one, one / "against.html", against=other)
    files = [str(folder / "predictions" / "grpo.test.jsonl") for folder in (other, one)]
    CliRunner().invoke(app, ["compare", *files, "--out", str(tmp_path / "compared.json")])
    compared = Comparison.model_validate_json((tmp_path / "compared.json").read_text())
    assert paired(beside(read_run(one), read_run(other))[0].sets[0]) == compared
    page = Page(text := (one / "against.html").read_text(encoding="utf-8"))
    data = unpacked(page)
    assert data["stages"] == ["other", "one"]
    assert [sample["state"] for sample in data["samples"][:4]] == ["fixed", "wrong", "wrong", "broken"]
    assert "paired 95% interval" in text and "2 samples fixed, 2 broken" in text
    assert "Settings that differ" in text and "<th>run.seed</th><td>1</td><td>0</td>" in text
    loss = text.split("<figcaption>Loss")[1].split("</figure>")[0]
    assert 's0 other"' in loss and "other <b>" in loss and "one <b>" in loss


def test_runs_on_different_samples_are_not_laid_side_by_side(tmp_path, run):
    shutil.copytree(run, other := tmp_path / "elsewhere")
    data = tmp_path / "data2"
    shutil.copytree(tmp_path / "data", data)
    changed = (data / "test.jsonl").read_text().replace("Prize Goes", "Prize came")
    (data / "test.jsonl").write_text(changed)
    (other / "config.yaml").write_text((run / "config.yaml").read_text().replace(str(tmp_path / "data"), str(data)))
    write_report(run, run / "report.html", against=other)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "the two runs were asked different samples" in text
    assert unpacked(Page(text))["stages"] == ["run"]


def test_several_corpora_are_several_sets(tmp_path, run):
    other = extract_run(tmp_path / "extracted")
    for path in (other / "predictions").iterdir():
        shutil.copy(path, run / "predictions" / "grpo.test.scier.jsonl")
    gold = tmp_path / "extract-data" / "test.jsonl"
    predictions = run / "predictions" / "grpo.test.scier.jsonl"
    score_files(gold, predictions, "scier", predictions.with_suffix(".metrics.json"))
    text, _, data = written(run)
    assert re.findall(r'<option value="(\d)">([^<]*)', text) == [("0", "test"), ("1", "scier · test")]
    assert [sum(s["set"] == n for s in data["samples"]) for n in (0, 1)] == [24, 8]
    assert data["samples"][-1]["answers"][0] is None  # sft answered the other corpus alone
    assert '<select id="set"' in text and "rel_f1" in text and "67.8" in text


def test_pictures_that_are_not_where_the_run_says_are_found_or_told_how_to_be(run, tmp_path):
    (tmp_path / "pictures").rename(tmp_path / "moved")
    lost = [one for one in written(run)[2]["pictures"] if isinstance(one, str)]
    said = f"missing: a.png, under {tmp_path / 'pictures'} (data.image_root, relative to where the run was started;"
    assert [one for one in lost if one.startswith(said)]
    out = tmp_path / "page.html"
    told = ["report", str(run), "--out", str(out), "--image-root", str(tmp_path / "moved")]
    assert CliRunner().invoke(app, told).exit_code == 0
    assert [one for one in unpacked(Page(out.read_text(encoding="utf-8")))["pictures"] if isinstance(one, list)]


def test_a_run_folder_that_carries_its_data_and_pictures_may_be_moved(run, tmp_path):
    (tmp_path / "pictures").rename(run / "raw")
    (tmp_path / "data").rename(run / "data")
    config = (run / "config.yaml").read_text().replace("dir: run\n", "dir: runs/x\n")
    config = config.replace(str(tmp_path / "pictures"), "runs/x/raw").replace(str(tmp_path / "data"), "runs/x/data")
    (run / "config.yaml").write_text(config)
    _, _, data = written(run)
    assert len(data["samples"]) == 24 and [one for one in data["pictures"] if isinstance(one, list)]


def test_pictures_share_the_room_there_is(tmp_path):
    noise = Image.effect_noise((500, 400), 90).convert("RGB")
    for number in range(3):
        noise.save(tmp_path / f"{number}.png")
    names = [(tmp_path, f"{number}.png") for number in range(3)]
    large, small = (gallery(names, room) for room in (1_000_000, 4_000))
    assert {(one.width, len(one.uri) <= 1_000_000) for one in large} == {(480, True)}
    assert {len(one.uri) <= 4_000 for one in small} == {True} and small[0].width < 300


def test_the_verb_writes_the_page_and_says_where(run, tmp_path):
    result = CliRunner().invoke(app, ["report", str(run), "--out", str(tmp_path / "page.html")])
    assert result.exit_code == 0 and "page.html" in result.output, result.output
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    result = CliRunner().invoke(app, ["report", str(tmp_path / "nowhere")])
    assert result.exit_code == 2 and "no run folder" in result.output


def test_the_wheel_would_hold_every_asset():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["morerl"]
    assets = [path for path in (ROOT / "morerl" / "report").iterdir() if path.suffix in (".js", ".css", ".jinja")]
    assert len(assets) > 8
    assert not [path for path in assets if not any(path.match(pattern) for pattern in told)]


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


@pytest.mark.parametrize("low, high, bounds", [(0, 0, (0, 100)), (100, 100, (0, 100)), (1, 1, (0, 1)), (0, 0, (0, 1))])
def test_ticks_show_nothing_that_cannot_be(low, high, bounds):
    found = ticks(low, high, bounds=bounds)
    assert found[0] <= low and found[-1] >= high and len(found) > 1
    assert bounds[0] <= found[0] and found[-1] <= bounds[1]


def test_charts_of_rates_keep_to_them(run):
    rows = [{"step": 0, "dev_f1": 0.0}, {"step": 1, "frac_reward_zero_std": 1.0, "completions/mean_length": 0.0}]
    (run / "grpo" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    charts = written(run)[0].split('id="curves"')[1].split("<h3>grpo")[1].split("</section>")[0]
    said = {float(number) for number in re.findall(r"<text [^>]*>([-\d.]+)</text>", charts)}
    assert min(said) == 0 and max(said) < 3  # steps 0 to 2 beside the rates


def test_an_interval_without_a_width_is_no_interval(run):
    figures = json.loads((run / "metrics.json").read_text())
    figures["sft"] |= {"primary": {"name": "micro_f1", "value": 0.0}, "ci95": {"micro_f1": [0.0, 0.0]}}
    (run / "metrics.json").write_text(json.dumps(figures))
    text, _, _ = written(run)
    assert "0.0 to 0.0" not in text and "0.0 – 0.0" not in text
    assert "every resample gives the same, so the bootstrap cannot tell" in text and ">cannot tell</td>" in text
    assert "63.8 – 71.8" in text


def test_thinning_keeps_spikes():
    points = [(float(n), 0.0) for n in range(10_000)]
    points[5_003] = (5_003.0, 9.0)
    kept = thin(points)
    assert len(kept) <= 400 and (5_003.0, 9.0) in kept and kept == sorted(kept)


def test_a_chart_of_nothing_is_none():
    assert line_chart("Loss", {"loss": []}) is None
