"""What a user asks for, in every form it may have; windows; and strings found though not to the letter."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.errors import ConfigError
from morerl.extract.ground import loose, plain
from morerl.extract.questions import pairs
from morerl.extract.record import read_record
from morerl.extract.wanted import wanted
from morerl.extract.windows import windows
from morerl.guidelines import guideline_file, load_spec


def test_a_list_a_dict_and_relations_beside_them():
    plain_list = wanted(["person", "place"])
    assert list(plain_list.joint.types) == ["person", "place"] and plain_list.joint.labels == ()
    assert plain_list.pair is None
    defined = wanted({"person": "a human being"}, ["knows", "works for"])
    assert defined.joint.types["person"].definition == "a human being"
    assert [label.name for label in defined.joint.labels] == ["knows", "works for"]
    assert defined.pair.answers[:3] == ("none", "knows(e1,e2)", "knows(e2,e1)")
    mutual = wanted(None, {"married to": {"definition": "Are a couple.", "symmetric": True}})
    assert mutual.pair.answers == ("none", "married to") and list(mutual.joint.types) == ["entity"]


def test_a_guideline_by_name_by_path_or_as_it_is():
    spec = load_spec("scier")
    by_name, by_path = wanted("scier"), wanted(guideline_file("scier"))
    assert by_name == by_path == wanted(spec) and by_name.joint is spec
    assert by_name.pair.none == "none" and len(by_name.pair.labels) == len(spec.labels) + 1
    about_pairs = wanted("sem2010")
    assert about_pairs.joint is None and about_pairs.pair is load_spec("sem2010")
    assert wanted("wnut17").pair is None and "none" not in str(wanted("more").labels).casefold()


@pytest.mark.parametrize(
    ("schema", "relations", "words"),
    [
        (None, None, "schema= is missing"),
        ([], {}, "schema= is missing"),
        ("persn", None, "no guideline is called 'persn'"),
        ("more", ["knows"], "a guideline says itself"),
        (["a", ""], None, "'' cannot be a label"),
        (["a", "x\ny"], None, "cannot be a label"),
        (["</answer>"], None, "cannot be a label"),
        ([1], None, "1 cannot be a label"),
        (5, None, "want a list of names"),
        ({"a": 5}, None, "schema.a: want a definition"),
        ({"a": {"defnition": "x"}}, None, "schema.a: defnition"),
        (["a", "A"], None, "not unique"),
        (["a"], ["a"], "of a label and of a type"),
        (["a"], ["None"], "another name"),
        (["a"], {"r": {"head": ["b"]}}, r"\['b'\] are not defined"),
    ],
)
def test_what_cannot_be_asked_for_is_said_before_anything_is(schema, relations, words):
    with pytest.raises(ConfigError, match=words):
        wanted(schema, relations)


BOXES = [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        ("more", {"regions": BOXES, "mentions": ["c", "a"]}, ["r0 m1", "r0 m0", "r1 m1", "r1 m0"]),
        ("sem2010", {"mentions": ["c", "a", "b"]}, ["m1 m2", "m1 m0", "m2 m0"]),
        ("scier", {"mentions": ["a", "b"]}, ["m0 m1", "m1 m0"]),
        ("sem2010", {"regions": BOXES}, ["r0 r1"]),
    ],
)
def test_all_pairs_are_asked_once_or_in_both_orders(schema, given, expected):
    record = read_record({"text": "a b c", "image": "x.png", **given})
    assert [f"{head.id} {tail.id}" for head, tail in pairs(record, wanted(schema).pair)] == expected


@given(st.text(alphabet="ab. \n。‏é", max_size=900), st.integers(100, 300))
def test_windows_cover_the_text_and_overlap_by_a_tenth_at_most(text, size):
    found = windows(text, size)
    assert found[0][0] == 0 and found[-1][1] == len(text)
    assert all(end - start <= size for start, end in found)
    for (start, end), (following, last) in pairwise(found):
        assert start < following <= end < last and end - following <= size // 10
    assert len(found) <= 1 + len(text) / (size * 0.4)


def test_windows_end_with_a_paragraph_or_a_sentence_where_they_can():
    text = "One two three. " * 12 + "\n\n" + "Four five six! " * 20
    (first, second, *_) = windows(text, 250)
    assert text[: first[1]].endswith("\n\n") and text[second[0] :].startswith("One two three. \n\nFour")
    assert text[second[0] : second[1]].rstrip().endswith("!")


def test_ten_thousand_characters_without_a_blank_are_cut_all_the_same():
    assert max(end - start for start, end in windows("x" * 10_000, 500)) == 500


@given(st.text(max_size=30), st.data())
def test_what_is_found_looks_alike(text, data):
    start = data.draw(st.integers(0, len(text)))
    written = text[start : data.draw(st.integers(start, len(text)))].upper()
    span = loose(written, text)
    wanted_ = plain(written)[0].strip()
    if span is None:
        assert not wanted_ or wanted_ not in plain(text)[0]
    else:
        assert wanted_ in plain(text[slice(*span)])[0]


def test_a_place_that_is_taken_is_not_found_again():
    assert loose("KITE", "kite and Kite", {(0, 4)}) == (9, 13)
    assert loose("KITE", "kite", {(0, 4)}) is None and loose("\u00ad", "a\u00adb") is None
    assert loose("co-op", "the co\u2011op\u00ad") == (4, 9)
