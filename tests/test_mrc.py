"""Reading entities asked for type by type: what a record becomes, and every way one can contradict itself."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.corpora import mrc
from morerl.errors import DataError
from morerl.schema import Reject, Sample

DATA = Path(__file__).parent / "data/mrc"
GOOD = {
    "context": "Ilse Varga of Norrby left .",
    "entity_label": "PER",
    "query": "which names are people ?",
    "span_position": ["0;1"],
    "start_position": [0],
    "end_position": [1],
    "impossible": False,
    "qas_id": "7.0",
}
NONE = {"span_position": [], "start_position": [], "end_position": [], "impossible": True}


def read(folder, records, name="mrc-ner.train"):
    (folder / name).write_text(json.dumps(records))
    return list(mrc.read(folder, "train", corpus="own"))


def test_a_small_file():
    assert mrc.splits(DATA) == ("train", "test")
    samples = list(mrc.read(DATA, "train", corpus="own"))
    assert [s.id for s in samples] == [f"own/train/{i}" for i in ("0.0", "0.1", "0.2", "1.0", "1.1")]
    assert [s.types for s in samples] == [("PER",), ("ORG",), ("LOC",), ("ORG",), ("PER",)]
    assert samples[0].text == samples[1].text == "Ilse Varga of Norrby Shipping flew to Velmora ."
    assert [[(e.id, e.text, e.type) for e in s.gold.entities] for s in samples] == [
        [("e0", "Ilse Varga", "PER")],
        [("e0", "Norrby Shipping", "ORG")],
        [("e0", "Velmora", "LOC")],
        [("e0", "Bank of the Port of Velmora", "ORG"), ("e1", "Port of Velmora", "ORG")],
        [],
    ]
    assert all(s.task == "entities" and s.image is None and not s.gold.relations for s in samples)
    (test,) = mrc.read(DATA, "test", corpus="own")
    assert test.split == "test" and test.gold.entities[0].text == "Sallowmere"


def test_spans_come_in_the_order_of_the_text_and_may_share_ends(tmp_path):
    spans = {"span_position": ["3;3", "0;1", "0;0"], "start_position": [0, 3], "end_position": [3, 0, 1]}
    (sample,) = read(tmp_path, [GOOD | spans])
    assert [(e.text, e.start, e.end) for e in sample.gold.entities] == [
        ("Ilse", 0, 4),
        ("Ilse Varga", 0, 10),
        ("Norrby", 14, 20),
    ]


BAD = {
    "no object": (["x"], "bad_field"),
    "no context": ({k: v for k, v in GOOD.items() if k != "context"}, "missing_field"),
    "no impossible": ({k: v for k, v in GOOD.items() if k != "impossible"}, "missing_field"),
    "number as text": (GOOD | {"context": 5}, "bad_field"),
    "empty text": (GOOD | NONE | {"context": " "}, "bad_field"),
    "half a pair": (GOOD | {"context": "a b \ud800"}, "bad_field"),
    "half a pair in a span": (GOOD | {"span_position": ["\ud800;1"]}, "bad_field"),
    "no type": (GOOD | {"entity_label": ""}, "bad_field"),
    "path as id": (GOOD | {"qas_id": "../7"}, "bad_field"),
    "number as id": (GOOD | {"qas_id": 7.0}, "bad_field"),
    "no list": (GOOD | {"span_position": "0;1"}, "bad_field"),
    "no numbers": (GOOD | {"start_position": ["0"]}, "bad_field"),
    "truth as number": (GOOD | {"start_position": [False]}, "bad_field"),
    "number as truth": (GOOD | {"impossible": 0}, "bad_field"),
    "comma": (GOOD | {"span_position": ["0,1"]}, "bad_field"),
    "negative": (GOOD | {"span_position": ["-1;1"]}, "bad_field"),
    "huge": (GOOD | {"span_position": ["0;" + "9" * 5000]}, "bad_field"),
    "other digits": (GOOD | {"span_position": ["0;\u0661"]}, "bad_field"),
    "nested": (GOOD | {"span_position": [[["0;1"]]]}, "bad_field"),
    "outside": (GOOD | {"span_position": ["0;6"]}, "bad_span"),
    "backwards": (GOOD | {"span_position": ["1;0"]}, "bad_span"),
    "twice": (GOOD | {"span_position": ["0;1", "0;1"]}, "bad_span"),
    "two blanks": (GOOD | {"context": "Ilse  Varga left"}, "bad_span"),
    "another start": (GOOD | {"start_position": [1]}, "position_mismatch"),
    "one end more": (GOOD | {"end_position": [1, 3]}, "position_mismatch"),
    "no spans": (GOOD | {"span_position": []}, "position_mismatch"),
    "impossible": (GOOD | {"impossible": True}, "impossible_mismatch"),
    "possible": (GOOD | NONE | {"impossible": False}, "impossible_mismatch"),
    "id twice": (GOOD | {"qas_id": "1"}, "duplicate_id"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_named_and_its_neighbours_stay(tmp_path, case):
    record, reason = BAD[case]
    items = read(tmp_path, [GOOD | {"qas_id": "1"}, record, GOOD | {"qas_id": "3"}])
    assert [item.id for item in (items[0], items[2])] == ["own/train/1", "own/train/3"]
    assert (items[1].file, items[1].line, items[1].reason) == ("mrc-ner.train", 2, reason)
    assert items[1].detail.encode()


def test_the_places_may_be_told_in_one_form_alone(tmp_path):
    whole = GOOD | {"span_position": ["0;1", "3;3"], "start_position": [3, 0], "end_position": [1, 3]}
    for lacking in ({"start_position", "end_position"}, {"end_position"}, {"span_position"}):
        (sample,) = read(tmp_path, [{key: value for key, value in whole.items() if key not in lacking}])
        assert [e.text for e in sample.gold.entities] == ["Ilse Varga", "Norrby"]


PAIRS = {
    "overlap": ([0, 1], [1, 3], "position_mismatch"),
    "nested": ([0, 0], [0, 1], "position_mismatch"),
    "one more": ([0, 3], [1], "position_mismatch"),
    "backwards": ([1], [0], "bad_span"),
    "outside": ([0], [6], "bad_span"),
    "negative": ([-1], [1], "bad_span"),
    "no list": ("0", [1], "bad_field"),
    "no number": ([0.0], [1], "bad_field"),
    "no ends": ([0], None, "missing_field"),
    "neither": (None, None, "missing_field"),
}


@pytest.mark.parametrize("case", PAIRS)
def test_starts_and_ends_that_tell_no_spans(tmp_path, case):
    *lists, reason = PAIRS[case]
    said = dict(zip(("start_position", "end_position", "span_position"), (*lists, None), strict=True))
    record = {key: value for key, value in (GOOD | said).items() if value is not None}
    (reject,) = read(tmp_path, [record])
    assert (reject.line, reject.reason) == (1, reason)


def test_two_blanks_after_the_last_span_and_where_there_is_none_do_no_harm(tmp_path):
    items = read(tmp_path, [GOOD | {"context": "Ilse Varga  left"}, GOOD | NONE | {"context": "a  b", "qas_id": "8"}])
    assert [item.text for item in items] == ["Ilse Varga  left", "a  b"]


BROKEN = {
    b"": "is not JSON",
    b'[{"context": "a"': "is not JSON",
    b"\xff[]": "is not JSON",
    b"[" * 100_000: "is not JSON",
    b"[" + b"9" * 5000 + b"]": "is not JSON",
    b'{"data": []}': "holds a dict; want one array",
}


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_is_no_array_is_an_error(tmp_path, content):
    (tmp_path / "mrc-ner.dev").write_bytes(content)
    with pytest.raises(DataError, match=rf"mrc-ner\.dev {BROKEN[content]}"):
        mrc.read(tmp_path, "dev", corpus="own")


def test_the_files_of_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"no file mrc-ner\.train, mrc-ner\.dev or mrc-ner\.test"):
        mrc.splits(tmp_path)
    assert read(tmp_path, [], name="mrc-ner.train.json") == [] and mrc.splits(tmp_path) == ("train",)
    with pytest.raises(DataError, match=r"no file of the split 'dev' in .*; it has train"):
        mrc.read(tmp_path, "dev", corpus="own")
    (tmp_path / "mrc-ner.train").write_text("[]")
    with pytest.raises(DataError, match=r"mrc-ner\.train and .*mrc-ner\.train\.json are of one split; keep one"):
        mrc.splits(tmp_path)


WORD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=" "), min_size=1, max_size=5)


@given(st.lists(WORD, min_size=1, max_size=8), st.data())
def test_any_words_keep_their_offsets(tmp_path_factory, words, data):
    place = st.integers(0, len(words) - 1)
    spans = data.draw(st.sets(st.tuples(place, place).map(lambda pair: (min(pair), max(pair))), min_size=1))
    starts, ends = ([span[i] for span in spans] for i in (0, 1))
    said = {"span_position": [f"{a};{b}" for a, b in spans], "start_position": starts, "end_position": ends}
    record = GOOD | said | {"context": " ".join([*words, "z"])}
    (sample,) = read(tmp_path_factory.mktemp("any"), [record])
    assert [e.text for e in sample.gold.entities] == [" ".join(words[a : b + 1]) for a, b in sorted(spans)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(JSON | st.dictionaries(st.sampled_from(sorted(GOOD)), JSON).map(lambda odd: GOOD | odd), max_size=4))
def test_any_record_is_a_sample_or_a_reject(tmp_path_factory, records):
    items = read(tmp_path_factory.mktemp("odd"), records)
    assert len(items) == len(records) and all(isinstance(item, Sample | Reject) for item in items)


def test_a_record_nested_as_deeply_as_the_parser_goes(tmp_path):
    deep = json.dumps(GOOD | {"span_position": "HERE"}).replace('"HERE"', "[" * 900 + "]" * 900)
    (tmp_path / "mrc-ner.train").write_text(f"[{deep}]")
    (reject,) = mrc.read(tmp_path, "train", corpus="own")
    assert reject.reason == "bad_field"
