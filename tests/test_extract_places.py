"""Where what was given or written stands in a text: whole words, whole characters, in no order but the text's own."""

import time

import numpy as np
import pytest

from morerl import Extractor
from morerl.errors import ConfigError
from morerl.extract.ground import loose
from morerl.extract.record import Unfit, read_record
from morerl.prompts.place import place

HINDI = "रामायण में राम है"
ACCENTED = "Zoe\u0308 met Zoe"


@pytest.mark.parametrize(
    ("text", "written", "start"),
    [
        (HINDI, "राम", 11),
        (ACCENTED, "Zoe", 9),
        ("رَجُل و رَج", "رَج", 8),
        ("cafe\u0301 and cafe", "cafe", 10),
        ("❤\ufe0fParis, Paris", "Paris", 2),
    ],
)
def test_a_vowel_sign_or_an_accent_is_a_part_of_its_word(text, written, start):
    assert place([(written, None)], text) == [(start, start + len(written))]
    (mention,) = read_record({"text": text, "mentions": [written]}).mentions
    assert mention.start == start


@pytest.mark.parametrize(
    ("text", "written"), [("가난한", "가나"), ("½ cup", "1"), ("№5", "N"), ("Ⅷ", "V"), ("㎏", "k"), ("x…", ".")]
)
def test_no_character_is_cut_in_two(text, written):
    assert loose(written, text) is None


@pytest.mark.parametrize(
    ("text", "written", "found"),
    [
        ("a café", "CAFE", "café"),
        ("a cafe\u0301", "cafe", "cafe\u0301"),
        ("ﬁne", "fine", "ﬁne"),
        ("Joseph met José", "Jose", "José"),
        ("Joseph met Jose\u0301", "jose", "Jose\u0301"),
        ("가난한", "가난", "가난"),
    ],
)
def test_what_is_written_otherwise_is_found_whole(text, written, found):
    start, end = loose(written, text)
    assert text[start:end] == found


def test_a_long_run_of_marks_costs_no_more_than_its_length():
    text = "a" + "\u0301" * 20_000
    started = time.process_time()
    assert place([("\u0301", None)], text) != [None] and loose("\u0301", text) is not None
    assert time.process_time() - started < 5  # where each place costs the run's length: 60


@pytest.mark.parametrize("mentions", [["Ada", "Osei"], ["Osei", "Ada"]])
def test_mentions_are_given_in_any_order(mentions):
    record = read_record({"text": "Ada helps Osei and Ada sleeps", "mentions": mentions})
    assert {mention.text: mention.start for mention in record.mentions} == {"Ada": 0, "Osei": 10}


def test_of_a_mention_given_twice_the_second_is_the_second_place():
    record = read_record({"text": "Ada helps Osei and Ada sleeps", "mentions": ["Osei", "Ada", "Ada"]})
    assert [mention.start for mention in record.mentions] == [10, 0, 19]


def test_a_mention_by_its_text_keeps_its_type_and_numbers_may_be_numpys():
    given = [{"text": "Osei", "type": "per", "id": "x"}, [np.int64(0), np.int64(3)]]
    osei, ada = read_record({"text": "Ada helps Osei", "mentions": given}).mentions
    assert (osei.start, osei.type, osei.id, ada.text) == (10, "per", "x", "Ada")


@pytest.mark.parametrize(
    ("mention", "words"),
    [
        ({"text": "Ida"}, "does not hold 'Ida'"),
        ({"start": 0, "end": 2, "text": "Ada"}, "is 'Ad', not 'Ada'"),
        ({"start": True, "end": 3}, "want start, end or a text"),
        ({"type": "per"}, "want start, end or a text"),
        ([0.0, 3.0], "no span start=0.0"),
        ([np.array([1, 2]), 3], "no span"),
        ([np.array(0.0), np.array(3.0)], "no span"),
    ],
)
def test_a_mention_that_fits_nowhere_says_why(mention, words):
    with pytest.raises(Unfit, match=words):
        read_record({"text": "Ada helps Osei", "mentions": [mention]})


def test_an_id_may_be_a_number_of_numpy():
    assert read_record({"text": "Ada", "id": np.int64(3)}).id == "3"


@pytest.mark.parametrize("id_", [12.0, True, ["a"], float("nan")])
def test_an_id_that_would_be_lost_is_refused(id_):
    with pytest.raises(Unfit, match="id: want a string or a whole number") as caught:
        read_record({"text": "Ada", "id": id_})
    assert caught.value.reason == "bad_id"


@pytest.mark.parametrize("records", ["Ada", b"Ada", {"text": "Ada", "id": "x"}])
def test_one_record_is_not_taken_for_many(records):
    extractor = Extractor.from_endpoint("http://127.0.0.1:9/v1", "m", ["person"])
    with pytest.raises(ConfigError, match=r"give \[record\]"):
        extractor.extract_many(records)


def test_a_setting_that_does_not_fit_is_told_in_one_line(narrow_model):
    with pytest.raises(ConfigError, match=r"dtype: Input should be 'float32'") as caught:
        Extractor.from_pretrained(narrow_model, ["person"], dtype="fp16")
    assert "\n" not in str(caught.value)
