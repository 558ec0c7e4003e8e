"""The relatives of MORE's release: MNRE's pairs of mentions, UMRE's boxes, side files, labels, odd names and speed."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.corpora.more import read, splits
from morerl.corpora.more_boxes import corners, cut, fit, line_convention
from morerl.errors import ConfigError, DataError
from morerl.guidelines import load_spec
from morerl.jsonl import write_records
from morerl.schema import Reject, Sample

DATA = Path(__file__).parent / "data/more"
FACT = {
    "img_id": "a.jpg",
    "token": ["Ana", "Ruiz", "wins"],
    "h": {"name": "Ana Ruiz", "pos": [0, 2]},
    "t": {"name": "[OBJ0]", "pos": [0.5, 0.4, 0.2, 0.4]},
    "relation": "none",
}


@pytest.fixture
def folder(tmp_path):
    """Writes files, given as name -> text, JSON value or list of facts, and returns their folder."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, list):
                content = "".join((row if isinstance(row, str) else repr(row)) + "\n" for row in content)
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path

    return write


def one(raw, corpus="more"):
    (found,) = read(raw, "test", corpus=corpus)
    return found


def boxes(sample):
    return {region.id: pytest.approx(region.box) for region in sample.regions}


def test_both_arguments_of_mnre_are_mentions_in_the_order_of_the_file():
    samples = list(read(DATA / "mnre", "test", corpus="mnre"))
    assert [sample.id for sample in samples] == [f"mnre/test/00000{i}" for i in range(1, 6)]
    first, _, _, swapped, _ = samples
    assert first.text == "RT @velmora_daily : Ilo Marsh sings in Port Anselm"
    assert [first.argument(role).text for role in (first.head, first.tail)] == ["Ilo Marsh", "Port Anselm"]
    assert (swapped.head, swapped.argument("m0").text, swapped.argument("m1").text) == ("m0", "Rue", "Tyl")
    assert {s.corpus for s in samples} == {"mnre"} and not any(s.regions for s in samples)
    assert first.image == "img_org/test/post_0.jpg"
    spec = load_spec("mnre")
    assert {s.gold.label for s in samples} <= set(spec.answers) and samples[1].gold.label == spec.none == "None"


def test_the_names_of_the_first_release_are_found_blank_included(tmp_path):
    for name in ("mnre_train.txt", "mnre_val .txt", "mnre_test.txt"):
        (tmp_path / "mnre_txt").mkdir(exist_ok=True)
        shutil.copy(DATA / "mnre/txt/ours_test.txt", tmp_path / "mnre_txt" / name)
    (tmp_path / "mnre_image").mkdir()
    assert splits(tmp_path) == ("train", "dev", "test")
    assert next(read(tmp_path, "dev", corpus="mnre")).image == "mnre_image/post_0.jpg"
    assert len(list(read(tmp_path / "mnre_txt", "dev", corpus="mnre"))) == 5


# --- UMRE


def test_umre_joins_mentions_and_objects_in_every_way():
    texts, object_first, object_last, objects, alone = read(DATA / "umre", "train", corpus="umre")
    assert (texts.head, texts.tail, len(texts.regions)) == ("m0", "m1", 3)
    assert (object_first.head, object_first.tail) == (object_last.head, object_last.tail) == ("r0", "m0")
    assert (objects.head, objects.tail, len(objects.regions)) == ("r0", "r1", 3)
    assert objects.argument("r0").box == alone.argument("r1").box == (0.1, 0.2, 0.4, 0.9)  # corners, as they stand
    assert object_last.argument("m0").text == "Port Anselm" and len(alone.regions) == 2
    assert object_first.gold.label == "/per/per/self" and texts.id == "umre/train/000001"


def test_umre_boxes_are_centres_where_most_could_not_be_corners(folder):
    row = FACT | {"t": {"name": "x", "pos": (0.5, 0.4, 0.2, 0.4)}}
    corner = FACT | {"t": {"name": "x", "pos": (0.1, 0.2, 0.9, 0.8)}}
    raw = folder({"test_set.json": [row, row, corner]})
    first, _, odd = read(raw, "test", corpus="umre")
    assert first.regions[0].box == pytest.approx((0.4, 0.2, 0.6, 0.6))
    assert odd.regions[0].box == pytest.approx((0.0, 0.0, 0.55, 0.6))
    (raw / "test_set.json").write_text("".join(repr(r) + "\n" for r in (row, corner, corner)))
    assert [type(found) for found in read(raw, "test", corpus="umre")] == [Reject, Sample, Sample]
    assert next(read(raw, "test", corpus="more")).regions[0].box == pytest.approx((0.4, 0.2, 0.6, 0.6))


@given(st.lists(st.tuples(*[st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(0.05, 0.4), st.floats(0.05, 0.4)])))
def test_either_convention_is_recognised(centres):
    placed = [corners(box) for box in centres]
    reach = [end for x1, y1, x2, y2 in placed for end in (x1 - x2 / 2, x1 + x2 / 2, y1 - y2 / 2, y1 + y2 / 2)]
    telling = any(end < -0.02 or end > 1.02 for end in reach)
    assert line_convention(fit(placed)) is (cut if telling else corners)
    assert line_convention(fit(centres)) is corners


# --- the side file


def test_the_other_objects_of_the_picture_become_further_regions():
    samples = list(read(DATA / "release", "train"))
    assert boxes(samples[0]) == {"r0": (0.2, 0.2, 0.4, 0.8), "r1": (0.6, 0.2, 0.8, 0.8), "r2": (0.45, 0.85, 0.55, 0.95)}
    assert boxes(samples[2]) == {"r0": (0.6, 0.2, 0.8, 0.8), "r1": (0.2, 0.2, 0.4, 0.8), "r2": (0.45, 0.85, 0.55, 0.95)}
    assert [len(sample.regions) for sample in samples] == [3, 3, 3, 1, 1]
    assert all((sample.head, sample.tail) == ("r0", "m0") for sample in samples)


@pytest.mark.parametrize("name", ["ent_test_dict.json", "txt/ent_test_dict.json", "txt/test.json", "pos_all.json"])
def test_a_side_file_may_hold_corners(folder, name):
    side = {"a.jpg": {"[OBJ0]": [0.4, 0.2, 0.6, 0.6], "[OBJ1]": [0.1, 0.1, 0.3, 0.3]}}
    sample = one(folder({"txt/test.txt": [FACT], name: side}))
    assert boxes(sample) == {"r0": (0.4, 0.2, 0.6, 0.6), "r1": (0.1, 0.1, 0.3, 0.3)}


def test_a_side_file_that_shows_no_asked_box_holds_centres(folder):
    side = {"a.jpg": {"[OBJ1]": ["0.2", "0.2", "0.2", "0.2"]}, "b.jpg": {"x": [0.5, 0.5, 1, 1]}}
    assert boxes(one(folder({"txt/test.txt": [FACT], "ent_test_dict.json": side})))["r1"] == (0.1, 0.1, 0.3, 0.3)


def test_without_a_side_file_nothing_changes_and_a_pickle_is_never_opened(folder):
    raw = folder({"txt/test.txt": [FACT]})
    before = one(raw)
    (raw / "ent_test_dict.pth").write_bytes(b"cos\nsystem\n(S'echo hacked > hacked'\ntR.")
    (raw / "test_caption.json").write_text('{"a.jpg": {"[OBJ0]": "a woman"}}')
    assert one(raw) == before and len(before.regions) == 1 and not (raw / "hacked").exists()


BAD_SIDES = {
    "syntax": ("{", "not valid JSON"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "list": ([], "holds list, not a JSON object"),
    "flat": ({"a.jpg": [0, 0, 1, 1]}, r"'a.jpg' is no object of boxes"),
    "three": ({"a.jpg": {"x": [0, 0, 1]}}, r"'a.jpg', 'x'"),
    "nan": ('{"a.jpg": {"x": [0, 0, 1, NaN]}}', r"'a.jpg', 'x': .*not finite"),
    "huge": ('{"a.jpg": {"x": [0, 0, 1, 1' + "0" * 400 + "]}}", r"'a.jpg', 'x'"),
    "word": ({"a.jpg": {"x": "0.1"}}, r"'a.jpg', 'x': .*str"),
    "outside": ({"b.jpg": {"x": [3, 3, 1, 1]}}, r"'b.jpg': .*no area"),
}


@pytest.mark.parametrize("case", BAD_SIDES)
def test_a_bad_side_file_is_named(folder, case):
    content, message = BAD_SIDES[case]
    content = json.dumps(content) if isinstance(content, list) else content
    raw = folder({"txt/test.txt": [FACT], "ent_test_dict.json": content})
    with pytest.raises(DataError, match=r"(?s)ent_test_dict\.json.*" + message):
        next(read(raw, "test"))


def labels(raw, corpus="more"):
    return [row.gold.label if isinstance(row, Sample) else row.reason for row in read(raw, "test", corpus=corpus)]


def test_labels_get_the_name_the_guideline_gives_them(folder):
    names = ["/per/per/self", "/org/org/self", "/per/per/alternate_names", "/per/per/friend", "None", ""]
    raw = folder({"txt/test.txt": [FACT | {"relation": name} for name in names]})
    wanted = ["/per/per/alternate_names", "/org/org/alternate_names", "/per/per/alternate_names"]
    assert labels(raw) == [*wanted, "unknown_label", "unknown_label", "unknown_label"]
    assert labels(raw, corpus="mine") == [*names[:-1], "unknown_label"]


def test_rel2id_says_which_labels_are_legal_whatever_their_ids(folder):
    names = ["/per/per/self", "none", "/per/per/partner", "/per/per/own"]
    ids = {"/per/per/self": 0, "/per/per/own": 1, "none": 7}
    raw = folder({"txt/test.txt": [FACT | {"relation": name} for name in names], "rel2id.json": ids})
    assert labels(raw) == ["/per/per/alternate_names", "none", "unknown_label", "unknown_label"]
    assert labels(raw, corpus="mine") == ["/per/per/self", "none", "unknown_label", "/per/per/own"]
    (raw / "rel2id.json").write_text("[]")
    with pytest.raises(DataError, match=r"rel2id\.json holds list, not a JSON object"):
        labels(raw)


# --- files, lines and fields


def test_a_missing_a_double_and_an_unknown_split(folder):
    raw = folder({"txt/train.txt": [FACT], "val.txt": [FACT], "latest.txt": "", "evaluation.txt": "", ".test.txt": ""})
    assert splits(raw) == ("train", "dev")
    with pytest.raises(DataError, match=r"train\.txt, .*old_train\.txt; keep one"):
        list(read(folder({"old_train.txt": [FACT]}), "train"))
    with pytest.raises(DataError, match=r"Want the MORE release.*MNRE.*UMRE"):
        splits(raw / "txt/no")
    with pytest.raises(ConfigError, match="no split 'valid'; it has train, dev, test"):
        list(read(raw, "valid"))


PICTURES = {".": "img_org/test", "img_org": "img_org", "img_org/train": "img_org/test", "images/test": "images/test"}


@pytest.mark.parametrize("made", PICTURES)
def test_the_folder_of_the_pictures(folder, made):
    raw = folder({"txt/test.txt": [FACT]})
    (raw / made).mkdir(parents=True, exist_ok=True)
    assert one(raw).image == f"{PICTURES[made]}/a.jpg"


def test_json_lines_and_fields_of_other_types_are_read(folder):
    strings = FACT | {"h": {"name": ["Ana", "Ruiz"], "pos": ("0", "2")}, "t": {"pos": ("0.5", ".4", "0.2", 0.4)}}
    odd = json.dumps(FACT | {"checked": True, "note": None})
    both = "{\"text\": 'Ana Ruiz wins', " + repr(strings)[1:]
    raw = folder({"txt/test.txt": [FACT, strings, odd, both]})
    plain, *others = read(raw, "test")
    assert plain.text == "Ana Ruiz wins" and plain.argument("m0").text == "Ana Ruiz"
    assert [other.model_copy(update={"id": plain.id}) for other in others] == [plain] * 3


def test_a_line_without_end_is_one_reject_and_the_next_is_read(folder):
    raw = folder({"txt/test.txt": ["x" * 1_000_000, " " * 300_000 + repr(FACT), FACT]})
    assert [getattr(found, "reason", "sample") for found in read(raw, "test")] == ["line_too_long"] * 2 + ["sample"]


def test_twenty_thousand_facts_are_read_and_written_in_ten_seconds(folder, tmp_path):
    names = load_spec("more").answers
    text = "one two three four five six seven eight nine ten eleven twelve thirteen"
    rows = [
        FACT | {"text": text, "token": text.split(), "h": {"pos": [i % 11, i % 11 + 2]}, "relation": names[i % 21]}
        for i in range(20_000)
    ]
    raw = folder({"txt/test.txt": rows})
    start = time.process_time()
    write_records(tmp_path / "out.jsonl", read(raw, "test"))
    assert time.process_time() - start < 10
    assert (tmp_path / "out.jsonl").read_text().count('"label"') == 20_000


@pytest.mark.parametrize(("name", "count", "none"), [("mnre", 23, "None"), ("umre", 28, "none")])
def test_the_guidelines_fit_their_label_paths_and_near_misses_name_others(name, count, none):
    spec = load_spec(name)
    assert (len(spec.answers), spec.none, spec.answers[0]) == (count, none, none)
    for label in spec.labels[1:]:
        assert (label.head, label.tail) == tuple((part,) for part in label.name.split("/")[1:3])
        named = set(re.findall(rf"/\w+/\w+/\w+|\b{none}\b", label.near_miss))
        assert named and named <= set(spec.answers) - {label.name}, label.name
