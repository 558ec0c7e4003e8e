"""What annotators leave in Label Studio and brat: edited exports, projects made by hand, every way to be wrong."""

import json
from pathlib import Path

import pytest

from morerl.errors import DataError
from morerl.interchange import brat, label_studio
from morerl.schema import Gold, Region, Reject, Sample, extraction

DATA = Path(__file__).parent / "data" / "interchange"
TEXT = "Mira Tolan 🎻 leads the Harrow Quartet."


def read(tool, folder, split="train"):
    return list(tool.read(folder, split, corpus="hand"))


def edit(folder, change):
    """An exported file as Label Studio gives it back after `change` to its first task."""
    (path,) = folder.glob("*.json")
    tasks = json.loads(path.read_text(encoding="utf-8"))
    change(tasks[0])
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return read(label_studio, folder)


@pytest.fixture
def pair(text_pair):
    region = Region(id="r0", box=(0.1, 1 / 3, 0.7, 1.0), type="per")
    return text_pair().model_copy(update={"regions": (region,), "image": "a/b.png", "head": "r0"})


@pytest.fixture
def exported(tmp_path, pair):
    label_studio.write([pair], tmp_path / "ls")
    return tmp_path / "ls"


def test_a_label_studio_project_made_by_hand():
    folder = DATA / "label_studio"
    assert label_studio.splits(folder) == ("dev", "project-3-at-noon")
    stated, unknown, skipped, nothing = read(label_studio, folder, "project-3-at-noon")
    assert (stated.id, stated.task, stated.corpus) == ("hand/project-3-at-noon/11", "extract", "hand")
    assert [(e.id, e.text, e.type) for e in extraction(stated).entities] == [
        ("k1", "Mira Tolan", "per"),
        ("k2", "Harrow Quartet", "org"),
    ]
    assert [(r.head, r.tail, r.label) for r in extraction(stated).relations] == [("k1", "k2", "led_by")]
    assert unknown.gold is None and unknown.text == TEXT
    assert (skipped.line, skipped.reason) == (3, "cancelled")
    assert extraction(nothing).entities == () and nothing.image == "news/1.jpg"
    (pair,) = read(label_studio, folder, "dev")
    assert (pair.head, pair.tail, pair.gold, pair.image) == (
        "b1",
        "k1",
        Gold(label="/per/per/alternate_names"),
        "news/p & q.jpg",
    )
    assert pair.regions == (Region(id="b1", box=(0.25, 0.1, 0.75, 1.0)),) and pair.mentions[0].type is None


def results(task):
    return {result.get("id", "relation"): result for result in task["annotations"][0]["result"]}


def test_the_annotation_is_right_where_it_differs_from_what_was_exported(exported, pair):
    def change(task):
        found = results(task)
        found["r0"]["value"] |= {"x": 20.0, "width": 60.0, "rectanglelabels": ["org"]}
        found["m0"]["value"] |= {"start": 5, "end": 10, "text": "helps", "labels": ["per"]}
        found["relation"] |= {"from_id": "m1", "to_id": "m0", "labels": ["none"]}
        task["predictions"] = [{"result": []}]

    (sample,) = edit(exported, change)
    assert sample.regions[0].type == "org"
    assert sample.regions[0].box == pytest.approx((0.2, 1 / 3, 0.8, 1.0), abs=1e-9)
    assert (sample.mentions[0].text, sample.mentions[0].type, sample.mentions[1]) == ("helps", "per", pair.mentions[1])
    assert (sample.head, sample.tail, sample.gold) == ("m1", "m0", Gold(label="none"))


def test_a_box_is_exact_to_a_billionth_without_what_was_exported(exported, pair):
    (sample,) = edit(exported, lambda task: task["data"]["meta"].pop("regions"))
    assert sample.regions[0].box == pytest.approx(pair.regions[0].box, abs=1e-9)


def test_without_its_relation_a_pair_keeps_the_question_and_has_no_gold(exported, pair):
    (sample,) = edit(exported, lambda task: task["annotations"][0]["result"].pop())
    assert sample == pair.model_copy(update={"gold": None})


def put(id_, path, value):
    def change(task):
        target = results(task)[id_] if id_ else task
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return change


WRONG = {
    "rotated_box": put("r0", ["value", "rotation"], 12.5),
    "unsupported_result": put("r0", ["type"], "polygonlabels"),
    "no_label": put("m0", ["value", "labels"], []),
    "several_labels": put("m0", ["value", "labels"], ["a", "b"]),
    "text_mismatch": put("m0", ["value", "start"], 1),
    "bad_value": put("m0", ["value", "end"], "four"),
    "two_way_relation": put("relation", ["direction"], "bi"),
    "cancelled": put(None, ["annotations", 0, "was_cancelled"], True),
    "url": put(None, ["data", "image"], "https://example.org/a.png"),
    "unsafe_image": put(None, ["data", "image"], "/data/local-files/?d=a/%2e./%2E%2E/b.png"),
    "no_text": put(None, ["data", "text"], None),
    "bad_meta": put(None, ["data", "meta", "task"], "guess"),
    "bad_task": put(None, ["annotations"], "none"),
    "bad_field": put("relation", ["to_id"], "gone"),
    "several_relations": lambda task: task["annotations"][0]["result"].append(results(task)["relation"]),
}
ALSO_WRONG = [
    ("no_label", put("relation", ["labels"], None)),
    ("no_label", put("r0", ["value", "rectanglelabels"], None)),
    ("text_mismatch", put("m0", ["value", "end"], 10**30)),
    ("bad_field", put("r0", ["value", "width"], 99.0)),
    ("bad_field", put("r0", ["value", "width"], 0)),
    ("bad_value", put("r0", ["value", "x"], [])),
    ("bad_field", put("r0", ["value", "x"], float("nan"))),
    ("bad_json", put(None, ["data", "id"], "\ud800")),
    ("unsafe_image", put(None, ["data", "image"], "/data/upload/3/a.png")),
    ("unsafe_image", put(None, ["data", "image"], "/data/local-files/?d=%ff")),
    ("unsafe_image", put(None, ["data", "image"], ["a.png"])),
    ("url", put(None, ["data", "image"], "data:image/png;base64,AA")),
    ("bad_task", put(None, ["data"], [])),
]


@pytest.mark.parametrize(("reason", "change"), [*WRONG.items(), *ALSO_WRONG])
def test_what_a_sample_cannot_hold_is_refused_by_name(exported, reason, change):
    (reject,) = edit(exported, change)
    assert isinstance(reject, Reject) and (reject.file, reject.line, reject.reason) == ("train.json", 1, reason)
    assert reject.detail and reject.model_dump_json()


BAD_SPLITS = ["/abs", "../../evil", "..", "", "rejected", "corpus.json/x", "train\n", 7]


@pytest.mark.parametrize("split", BAD_SPLITS)
def test_a_split_that_could_lead_out_of_the_folder_is_refused(exported, split):
    (reject,) = edit(exported, put(None, ["data", "meta", "split"], split))
    assert (reject.file, reject.line, reject.reason) == ("train.json", 1, "bad_meta") and "split" in reject.detail
    assert label_studio.splits(exported) == ("train",)


def test_a_label_studio_file_names_a_split_only_where_it_must(tmp_path):
    path = tmp_path / "my export.json"
    path.write_text('[{"data": {"text": "a", "meta": {"split": "dev"}}}]')
    assert label_studio.splits(tmp_path) == ("dev",)
    path.write_text('[{"data": {"text": "a"}}]')
    with pytest.raises(DataError, match=r"my export\.json: .*name it like train\.json"):
        label_studio.splits(tmp_path)


@pytest.mark.parametrize("raw", [b"{}", b"[", b"[" * 100_000, b"[" + b"9" * 5000 + b"]", b"\xff[]"])
def test_a_file_that_is_no_export_is_named(tmp_path, raw):
    (tmp_path / "a.json").write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.json"):
        label_studio.splits(tmp_path)


def test_tasks_that_are_no_tasks_are_counted(tmp_path):
    (tmp_path / "train.json").write_text('[1, null, {"text": "a", "label": []}, {"data": {"text": "ok"}}]')
    *rejects, sample = read(label_studio, tmp_path)
    assert [(r.line, r.reason) for r in rejects] == [(1, "bad_task"), (2, "bad_task"), (3, "bad_task")]
    assert sample == Sample(id="hand/train/4", corpus="hand", split="train", text="ok", task="extract")


def test_a_brat_folder_made_by_hand():
    assert brat.splits(DATA / "brat") == ("train",)
    (sample,) = read(brat, DATA / "brat")
    assert (sample.id, sample.corpus, sample.task) == ("hand/train/doc-1", "hand", "extract")
    assert "\r\n" in sample.text
    gold = extraction(sample)
    assert [(e.id, e.type, e.text) for e in gold.entities] == [
        ("T1", "Person", "Mira Tolan"),
        ("T2", "Ensemble", "Harrow Quartet"),
        ("T7", "Phrase", "leads\r\nthe"),
        ("T9", "Place", "Dunmere"),
    ]
    assert [(r.head, r.tail, r.label) for r in gold.relations] == [("T1", "T2", "leader_of"), ("T1", "T9", "lives_in")]


BAD_LINES = [
    ("discontinuous", "T2\tPer 0 4;11 12\tMira 🎻"),
    ("discontinuous", "T2\tPer 5 10;0 4\tTolan Mira"),
    ("text_mismatch", "T2\tPer 0 4\tTolan"),
    ("text_mismatch", "T2\tPer 0 999999999\tMira"),
    ("text_mismatch", "T2\tPer 4 4\t"),
    ("duplicate_id", "T1\tPer 0 4\tMira"),
    ("unknown_argument", "R1\tknows Arg1:T1 Arg2:E1"),
    ("unknown_line", "T2\tPer zero 4\tMira"),
    ("unknown_line", "T2\tPer 0 99999999999999\tMira"),
    ("unknown_line", "hello"),
    ("unknown_line", "R1\tknows Arg1:T1"),
    ("bad_note", '#1\tMorerl document\t{"task": "guess"}'),
    ("bad_note", "#1\tMorerl document\t" + "[" * 100_000),
]


@pytest.mark.parametrize(("reason", "line"), BAD_LINES)
def test_one_bad_line_costs_its_brat_document_and_no_other(tmp_path, reason, line):
    for name, lines in (("a", ["", "T1\tPer 0 10\tMira Tolan", line]), ("b", ["T1\tPer 0 10"])):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / f"{name}.txt").write_text(TEXT, encoding="utf-8")
        (tmp_path / "train" / f"{name}.ann").write_text("\n".join(lines), encoding="utf-8")
    reject, sample = read(brat, tmp_path)
    assert (reject.file, reject.line, reject.reason) == ("train/a.ann", 3, reason) and len(reject.detail) <= 300
    assert [e.text for e in extraction(sample).entities] == ["Mira Tolan"]


def test_brat_files_without_their_other_half(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "a.txt").write_text("x")
    (folder / "b.ann").write_text("")
    (folder / "c.txt").write_bytes(b"\xff")
    (folder / "c.ann").write_bytes(b"")
    assert [r.reason for r in read(brat, tmp_path)] == ["no_annotation", "no_text", "bad_encoding"]


def test_a_brat_folder_that_no_split_may_be_called_is_none(tmp_path):
    for name in ("rejected", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("x")
    with pytest.raises(DataError, match="no folder of"):
        brat.splits(tmp_path)


def test_an_edited_brat_annotation_is_right(tmp_path, text_pair):
    brat.write([text_pair()], tmp_path / "out")
    (path,) = (tmp_path / "out" / "train").glob("*.ann")
    text = path.read_text()
    for old, new in (("R1\t_per_per_partner", "R1\tnone"), ("T2\tMention 11 15\tOsei", "T2\tper 5 10\thelps")):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    (sample,) = read(brat, tmp_path / "out")
    assert sample.gold == Gold(label="none") and sample.id == "text/0"
    assert [(m.id, m.text, m.type) for m in sample.mentions] == [("m0", "Hale", None), ("m1", "helps", "per")]
    path.write_text(text + "R2\tnone Arg1:T2 Arg2:T1\n")
    assert [r.reason for r in read(brat, tmp_path / "out")] == ["several_relations"]
