"""Reading MORE's release: every way a line can be wrong; nothing is ever run."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.corpora.more import corners, read, token_offsets
from morerl.errors import DataError
from morerl.schema import Gold, Reject, Sample

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT.parent / "shared/data/more/example_record.txt"
ROW = {
    "img_id": "0400.jpg",
    "text": "Rovers' Ana Ruiz wins, says Ana Ruiz",
    "token": ["Rovers", "'", "Ana", "Ruiz", "wins", ",", "says", "Ana", "Ruiz"],
    "h": {"name": ["Ana", "Ruiz"], "pos": [2, 4]},
    "t": {"name": "[OBJ0]", "pos": ("0.5", "0.4", "0.2", "0.4")},
    "relation": "/per/per/alternate_names",
}


def row(**fields):
    return repr(ROW | fields)


BAD = {
    "not_a_literal": [
        "img_id: 0400.jpg",
        "__import__('os').system('echo hacked > hacked')",
        repr(ROW).replace("'none'", "x").replace("'[OBJ0]'", "open('hacked', 'w')"),
        repr(ROW)[:-20],
        repr(ROW).replace("Ruiz", "Ru\0iz"),
        "[" * 50_000,
        "-" * 90_000 + "1",
        "1" + "+1" * 40_000,
        "{[]: 1}",
        b"\xef\xbb\xbf" + repr(ROW).encode(),
        '{"a":' * 15_000,
        json.dumps(ROW)[:-1],
    ],
    "not_utf8": [
        repr(ROW).encode().replace(b"wins", b"w\xefns"),
    ],
    "line_too_long": [
        repr(ROW).replace("wins", "w" * 100_000),
    ],
    "no_object": ["[1]", "7", "null", "'{}'"],
    "missing_field": [
        "{}",
        repr({key: value for key, value in ROW.items() if key != "relation"}),
        row(h={"name": ["Ana"]}),
    ],
    "bad_field": [
        row(text=7),
        row(text="Rovers' Ana Ruiz\ud800"),
        row(img_id=None),
        row(relation=3),
        row(token=7),
        row(token="Rovers' Ana"),
        row(token={}),
        row(text=None),
        json.dumps(ROW | {"relation": None}),
        row(token=[1] * 9),
        row(token=["Rovers", "'", "Anna", "Ruiz"]),
        row(token=["wins", "Rovers", "Ana", "Ruiz"]),  # all there, but not in this order
        row(h={"pos": [4, 4]}),
        row(h={"pos": [-1, 2]}),
        row(h={"pos": [8, 10]}),
        row(h={"pos": [2]}),
        row(h={"pos": 2}),
        row(h={"pos": "24"}),
        row(h={"pos": "\ud800"}),
        row(h={"pos": [2.5, 4]}),
        row(h={"pos": [10**400, 4]}),
        row(h={"pos": [float("inf"), 2]}).replace("inf", "1e999"),
        row(t={"pos": (1.5, 0.5, 0.2, 0.2)}),
        row(t={"pos": (0.5, 0.5, 0, 0.2)}),
        row(t={"pos": (0.5, 0.5, -0.2, 0.2)}),
        row(t={"pos": (0.5, 0.5, 0.2)}),
        row(t={"pos": ("nan", 0.5, 0.2, 0.2)}),
        row(t={"pos": (0.5, 0.5, "inf", 0.2)}),
        row(t={"pos": (10**400, 0.5, 0.2, 0.2)}),
        row(t={"pos": ("wide", 0.5, 0.2, 0.2)}),
        row(t={"pos": "1234"}),
    ],
    "bad_image_path": [
        row(img_id=name)
        for name in (
            "../x.jpg",
            "a/../../x.jpg",
            "/x.jpg",
            "x\0.jpg",
            "file:///x.jpg",
            "file:x",
            "",
            ".",
            "C:x",
            "a\\b",
        )
    ],
    "unknown_label": [row(relation=name) for name in ("/per/per/friend", "None", "", "NONE", " none")],
    "inconsistent": [
        row(h={"pos": [0, 1]}, token=[""]),
    ],
}


@pytest.fixture
def release(tmp_path):
    """Writes one split (and the other two with one good line each) and returns the folder."""

    def write(*lines, split="test"):
        raw = tmp_path / "raw"
        (raw / "txt").mkdir(parents=True, exist_ok=True)
        for name in ("train", "valid", "test"):
            (raw / "txt" / f"{name}.txt").write_text(repr(ROW) + "\n")
        data = [line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass") for line in lines]
        (raw / "txt" / f"{split}.txt").write_bytes(b"\n".join(data))
        return raw

    return write


@pytest.mark.skipif(not EXAMPLE.is_file(), reason="the shared data are not here")
def test_the_published_example_is_read(release):
    (sample,) = read(release(EXAMPLE.read_text()), "test")
    assert sample.argument(sample.tail).text == "World Cup"
    assert sample.gold == Gold(label="/per/misc/present_in")
    assert sample.argument(sample.head).box == pytest.approx((0.401667, 0.037594, 0.476667, 0.223058))
    assert sample.image == "img_org/test/04008917-9552-57d5-91cc-299073f2f005.jpg"


def test_a_line_becomes_a_sample_whose_head_is_the_object_and_tail_the_entity(release):
    raw = release(row(), row(h={"name": [], "pos": [7, 9]}), row(relation="none"))
    samples = list(read(raw, "test"))
    assert [sample.id for sample in samples] == [f"more/test/00000{i}" for i in (1, 2, 3)]
    first, later, none = samples
    assert first.argument(first.head).box == pytest.approx((0.4, 0.2, 0.6, 0.6))
    assert (first.argument("m0").start, later.argument("m0").start) == (8, 28)  # the second Ana Ruiz
    assert first.argument(first.tail).text == later.argument(later.tail).text == "Ana Ruiz"
    assert (first.gold.label, none.gold.label) == ("/per/per/alternate_names", "none")


@pytest.mark.parametrize("box", [("0.5", "0.4", "0.2", "0.4"), (0.5, 0.4, 0.2, 0.4), ["0.5", 0.4, 0.2, ".4"]])
def test_box_numbers_may_be_strings(release, box):
    (sample,) = read(release(row(t={"name": "x", "pos": box})), "test")
    assert sample.regions[0].box == pytest.approx((0.4, 0.2, 0.6, 0.6))


def test_a_box_beyond_the_edge_is_cut_there():
    assert corners((0.0, 0.95, 0.4, 0.2)) == pytest.approx((0.0, 0.85, 0.2, 1.0))


@pytest.mark.parametrize(("reason", "which"), [(name, i) for name in BAD for i in range(len(BAD[name]))])
def test_a_bad_line_is_named_and_its_neighbours_are_read(release, tmp_path, monkeypatch, reason, which):
    monkeypatch.chdir(tmp_path)
    raw = release(repr(ROW), BAD[reason][which], repr(ROW))
    good, bad, good_too = read(raw, "test")
    assert isinstance(good, Sample) and isinstance(good_too, Sample) and isinstance(bad, Reject)
    assert (bad.file, bad.line, bad.reason) == (str(raw / "txt/test.txt"), 2, reason)
    assert len(bad.detail) <= 300 and bad.model_dump_json()
    assert not (tmp_path / "hacked").exists()  # nothing was run


@given(st.text(max_size=60).map(lambda text: text.replace("\n", " ")))
def test_any_text_is_a_sample_or_a_reject(tmp_path_factory, text):
    (tmp_path_factory.getbasetemp() / "txt").mkdir(exist_ok=True)
    (tmp_path_factory.getbasetemp() / "txt/test.txt").write_text(text + "\n", encoding="utf-8", newline="\n")
    assert all(isinstance(found, Reject) for found in read(tmp_path_factory.getbasetemp(), "test"))


@given(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=6), st.data())
def test_token_offsets_are_those_of_the_joined_text(tokens, data):
    text = " ".join(tokens)
    first = data.draw(st.integers(0, len(tokens) - 1))
    last = data.draw(st.integers(first + 1, len(tokens)))
    start = len(" ".join(tokens[:first])) + (first > 0)
    assert token_offsets(text, tokens, first, last) == (start, start + len(" ".join(tokens[first:last])))


def test_line_ends_and_empty_lines_do_not_matter(release):
    found = list(read(release(repr(ROW) + "\r", "", "  ", repr(ROW)), "test"))
    assert [sample.id for sample in found] == ["more/test/000001", "more/test/000004"]


@pytest.mark.parametrize("folders", [["dev"], ["valid"], ["val"], []])
def test_the_dev_pictures_are_found_under_any_of_their_names(release, folders):
    raw = release(repr(ROW), split="valid")
    for folder in folders:
        (raw / "img_org" / folder).mkdir(parents=True)
    (sample,) = read(raw, "dev")
    assert sample.image == f"img_org/{(folders or ['dev'])[0]}/0400.jpg" and sample.split == "dev"


def test_a_missing_file_says_what_is_wanted(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt.*Want the MORE release.*img_org"):
        next(read(tmp_path, "train"))
