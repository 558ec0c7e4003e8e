"""MORE's family: files that are one JSON array, boxes told over all splits, labels that two sources tell, notes."""

import json

import pytest

from morerl.corpora import more_lines
from morerl.corpora.more import notes, read
from morerl.errors import DataError
from morerl.schema import Reject

FACT = {
    "img_id": "a.jpg",
    "token": ["Ana", "Ruiz", "wins"],
    "h": {"name": "Ana Ruiz", "pos": [0, 2]},
    "t": {"name": "[OBJ0]", "pos": [0.5, 0.4, 0.2, 0.4]},
    "relation": "none",
}


def boxed(*box):
    return FACT | {"t": {"name": "x", "pos": box}}


CORNERS, CENTRE, EITHER = boxed(0.1, 0.2, 0.9, 0.8), boxed(0.5, 0.4, 0.2, 0.4), boxed(0.3, 0.3, 0.4, 0.4)


def write(root, name, content):
    (path := root / name).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return root


def told(root, corpus="umre"):
    return [(r.line, r.reason) if isinstance(r, Reject) else r.id for r in read(root, "test", corpus=corpus)]


# --- one array


@pytest.mark.parametrize("form", [{}, {"indent": 1}, {"separators": (",", ":")}])
@pytest.mark.parametrize("around", [("", ""), ("\ufeff \n", " \r\n\n")])
def test_one_json_array_is_read_whatever_its_layout(tmp_path, form, around):
    rows = [FACT, FACT | {"checked": True, "note": None, "relation": "/per/per/self"}]
    write(tmp_path, "test_set.json", around[0] + json.dumps(rows, **form) + around[1])
    first, second = read(tmp_path, "test", corpus="umre")
    assert [first.id, second.id] == ["umre/test/000001", "umre/test/000002"]
    assert first.text == "Ana Ruiz wins" and second.gold.label == "/per/per/self"


def test_bad_facts_of_an_array_are_named_by_their_number(tmp_path):
    rows = [FACT, 7, None, [FACT], "x", {}, FACT | {"img_id": "x" * more_lines.MAX_LINE}, FACT]
    good, *bad, last = told(write(tmp_path, "test_set.json", json.dumps(rows, indent=1)))
    assert (good, last) == ("umre/test/000001", "umre/test/000008")
    assert bad[:4] == [(number, "no_object") for number in (2, 3, 4, 5)]
    assert bad[4:] == [(6, "missing_field"), (7, "line_too_long")]


def test_a_number_of_too_many_digits_and_bytes_that_are_no_text_spoil_one_fact(tmp_path):
    huge = json.dumps([FACT, FACT | {"n": "N"}, FACT | {"n": "B"}, FACT]).replace('"N"', "9" * 5000)
    (tmp_path / "test_set.json").write_bytes(huge.encode().replace(b'"B"', b'"\xff"'))
    assert told(tmp_path) == ["umre/test/000001", (2, "not_a_literal"), (3, "not_utf8"), "umre/test/000004"]


def test_an_empty_array_is_an_empty_file(tmp_path):
    assert told(write(tmp_path, "test_set.json", " [ ] ")) == []


WHOLE = json.dumps(FACT)
BROKEN = ["[", f"[{WHOLE}", f"[{WHOLE},", f"[{WHOLE},]", f"[{WHOLE}] x", f"[{WHOLE} {WHOLE}]", "[,]", f"[{FACT}]"]


@pytest.mark.parametrize("content", [*BROKEN, "[" * 100_000])
def test_a_broken_array_is_an_error(tmp_path, content):
    write(tmp_path, "test_set.json", content)
    with pytest.raises(DataError, match=r"test_set\.json begins like one JSON array, but is none"):
        told(tmp_path)


def test_json_is_tried_before_python_and_lines_are_read_as_before(tmp_path):
    blanks = "{ " + json.dumps(FACT | {"checked": None, "text": "Ana Ruiz wins \U0001f600"})[1:]
    write(tmp_path, "test_set.json", "\n".join([blanks, "", repr(FACT), "null", "[1]"]))
    first, second, *bad = read(tmp_path, "test", corpus="umre")
    assert first.text == "Ana Ruiz wins \U0001f600" and second.id == "umre/test/000003"
    assert [(r.line, r.reason) for r in bad] == [(4, "no_object"), (5, "no_object")]


# --- UMRE's boxes


def first_box(root, split):
    return next(read(root, split, corpus="umre")).regions[0].box


def test_the_boxes_are_told_once_by_all_splits(tmp_path):
    write(tmp_path, "train_set.json", [CORNERS] * 3)
    write(tmp_path, "val_set.json", [EITHER])
    write(tmp_path, "test_set.json", json.dumps([CENTRE, EITHER]))
    assert first_box(tmp_path, "dev") == (0.3, 0.3, 0.4, 0.4)  # as in train, though it says nothing itself
    assert told(tmp_path) == [(1, "bad_field"), "umre/test/000002"]
    (note,) = notes(tmp_path, "umre")
    assert note == "boxes read as corners (x1, y1, x2, y2): 5 of 6 fit, and 3 would as centres (cx, cy, w, h)"


@pytest.mark.parametrize(("rows", "count"), [([EITHER], 2), ([CORNERS, CENTRE], 2)])
def test_a_tie_or_no_evidence_is_centres(tmp_path, rows, count):
    write(tmp_path, "train_set.json", rows)
    write(tmp_path, "test_set.json", [EITHER])
    assert first_box(tmp_path, "test") == pytest.approx((0.1, 0.1, 0.5, 0.5))
    told = f"boxes read as centres (cx, cy, w, h): {count} of {len(rows) + 1} fit, and {count} would as corners"
    assert [note.startswith(told) for note in notes(tmp_path, "umre")] == [True]


def test_another_corpus_is_told_only_what_matters(tmp_path):
    write(tmp_path, "txt/test.txt", [CENTRE, EITHER])
    assert notes(tmp_path, "more") == notes(tmp_path, "mine") == []
    write(tmp_path, "txt/train.txt", [CORNERS] * 2)
    (note,) = notes(tmp_path, "mine")
    assert note.startswith("boxes read as centres (cx, cy, w, h): 2 of 4 fit, and 3 would as corners")


def test_a_side_file_of_all_splits_means_the_same_in_each(tmp_path):
    write(tmp_path, "txt/train.txt", [CENTRE])
    write(tmp_path, "txt/test.txt", [EITHER | {"img_id": "b.jpg"}])
    side = {"a.jpg": {"x": [0.4, 0.2, 0.6, 0.6]}, "b.jpg": {"y": [0.1, 0.2, 0.9, 0.8]}}
    write(tmp_path, "pos_all.json", side)
    (sample,) = read(tmp_path, "test")
    assert sample.regions[1].box == (0.1, 0.2, 0.9, 0.8)  # corners, as train shows
    told = "pos_all.json: the pictures' other objects, read as corners (x1, y1, x2, y2)"
    assert notes(tmp_path, "more") == [told]


# --- labels


def test_the_reason_says_which_of_the_two_lacks_a_label(tmp_path):
    names = ["/per/per/own", "/per/per/partner", "/no/where", "none"]
    write(tmp_path, "txt/test.txt", [FACT | {"relation": name} for name in names])
    ours, theirs, neither, _ = read(write(tmp_path, "ours_rel2id.json", {"none": 0, "/per/per/own": 1}), "test")
    assert [r.reason for r in (ours, theirs, neither)] == ["unknown_label"] * 3
    fix = "prepare under --name NAME with a guideline of your own"
    assert ours.detail == f"'/per/per/own': ours_rel2id.json has it, the guideline more does not; {fix}"
    assert theirs.detail.startswith("'/per/per/partner': the guideline more has it, ours_rel2id.json does not; add")
    assert neither.detail == ("'/no/where' is no label of this corpus (asked: ours_rel2id.json and the guideline more)")
    assert notes(tmp_path, "more")[:2] == [
        "ours_rel2id.json: 2 labels; no others are legal",
        "ours_rel2id.json has labels that the guideline more lacks: /per/per/own",
    ]
    assert notes(tmp_path, "mine") == ["ours_rel2id.json: 2 labels; no others are legal"]
    *_, bad = [r for r in read(tmp_path, "test", corpus="mine") if isinstance(r, Reject)]
    assert bad.detail == "'/no/where' is no label of this corpus (asked: ours_rel2id.json)"
