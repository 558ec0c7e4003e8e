"""Strings -> spans: every place found, each used once, and what a second, slow implementation says."""

import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from morerl.corpora import scier
from morerl.guidelines import load_spec
from morerl.prompts.extraction import read_extraction
from morerl.prompts.place import occurrences, place
from morerl.schema import extraction
from morerl.scoring import score

RAW = Path(__file__).parents[1].parent / "shared/data/scier"

PIECES = [
    "ab",
    "a",
    "b",
    "ab a",
    "_",
    ",",
    "-",
    "é",
    "e\u0301",
    "❤\ufe0f",
    "漢字",
    " ",
    "  ",
    "\t\n",
    "\u00a0",
    "\u2028",
    "A",
]
WHOLES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def flat(text):
    return " ".join(text.split())


@st.composite
def asked(draw):
    """A text and strings to find in it, most of them cut out of it."""
    whole = draw(WHOLES)
    cut = st.tuples(st.integers(0, len(whole)), st.integers(0, 5)).map(lambda at: flat(whole[at[0] : at[0] + at[1]]))
    return whole, draw(st.lists(cut | st.sampled_from(["zz", "ab a", "a b", "ab"]), max_size=8).map(lambda x: [*x]))


def slow_occurrences(text, whole):
    """Every stretch that reads as `text` once its blanks are single, from its first to its last character."""
    found = []
    for i in range(len(whole)):
        for j in range(i + 1, len(whole) + 1):
            piece = whole[i:j]
            if flat(piece) == text and not piece[0].isspace() and not piece[-1].isspace():
                found.append((i, j))
    return [span for span in found if not any(cuts_a_word(edge, whole) for edge in span)] or found


def cuts_a_word(edge, whole):
    """Between two letters, marks of the first aside, or between a letter and a mark of its own."""
    bases = [c for c in whole[:edge] if not is_mark(c)]
    return (
        bool(bases) and edge < len(whole) and is_letter(bases[-1]) and (is_letter(whole[edge]) or is_mark(whole[edge]))
    )


def is_letter(character):
    return character.isalnum() or character == "_"


def is_mark(character):
    return unicodedata.category(character)[0] == "M"


@given(asked())
@example(("a b, a  b", ["a b"]))
@example(("a b a b a", ["a b a"]))
def test_occurrences_are_all_there_are(question):
    whole, texts = question
    for text in filter(None, texts):
        assert occurrences(text, whole) == slow_occurrences(text, whole)


@given(asked())
@example(("a b, a  b", ["a b", "a b"]))
def test_each_string_gets_places_of_its_own_as_long_as_there_are_any(question):
    whole, texts = question
    spans = place([(text, None) for text in texts], whole)
    assert len(spans) == len(texts)
    for text in set(texts):
        places = [span for one, span in zip(texts, spans, strict=True) if one == text and span is not None]
        assert all(flat(whole[start:end]) == text for start, end in places)
        assert len(set(places)) == len(places)
        there = slow_occurrences(text, whole) if text else []
        assert len(places) == min(texts.count(text), len(there))
        assert set(places) <= set(there)


@given(st.lists(st.sampled_from(["ab", "cd", "ef"]), min_size=1, max_size=12), st.data())
def test_words_are_read_from_left_to_right_and_else_each_word_on_its_own(words, data):
    """Named in an order that the text has: each behind the one before. Else the i-th of a word is its i-th place."""
    named = data.draw(st.permutations(words))[: data.draw(st.integers(0, len(words)))]
    in_order, rest = [], list(enumerate(words))
    for word in named:
        while rest and rest[0][1] != word:
            rest.pop(0)
        if rest:
            in_order.append(3 * rest.pop(0)[0])
    starts = {word: [3 * i for i, one in enumerate(words) if one == word] for word in words}
    one_by_one = [starts[word][named[:number].count(word)] for number, word in enumerate(named)]
    expected = in_order if len(in_order) == len(named) else one_by_one
    assert place([(word, None) for word in named], " ".join(words)) == [(start, start + 2) for start in expected]


def test_longer_strings_go_first_and_leave_the_rest():
    whole = "red kite and kite"
    assert place([("kite", None), ("red kite", None)], whole) == [(13, 17), (0, 8)]
    assert place([("red kite", None), ("kite", None)], whole) == [(0, 8), (13, 17)]
    assert place([("kite", None), ("kite", None), ("red kite", None)], whole) == [(13, 17), (4, 8), (0, 8)]
    assert place([("kite", None)], whole) == [(4, 8)]


def test_whole_words_before_parts_of_words():
    assert occurrences("kit", "kites and a kit") == [(12, 15)]
    assert occurrences("kit", "kites and kitten") == [(0, 3), (10, 13)]
    assert occurrences("C", "C++ or C_1 or AC") == [(0, 1)]
    assert occurrences("x", "") == [] and occurrences("Kite", "kite") == []


@given(asked(), st.data())
def test_a_claimed_span_stands_and_is_not_given_again(question, data):
    whole, texts = question
    known = [text for text in texts if text and slow_occurrences(text, whole)]
    if not known:
        return
    text = data.draw(st.sampled_from(known))
    claim = data.draw(st.sampled_from(slow_occurrences(text, whole)))
    spans = place([(text, None), (text, claim), *((one, None) for one in texts)], whole)
    assert spans[1] == claim
    same = [span for one, span in zip([text, text, *texts], spans, strict=True) if one == text and span]
    assert len(set(same)) == len(same) == min(texts.count(text) + 2, len(slow_occurrences(text, whole)))


def test_two_claims_may_agree_and_what_they_cover_is_left_for_last():
    assert place([("kite", (4, 8)), ("kite", (4, 8))], "red kite and kite") == [(4, 8), (4, 8)]
    assert place([("kite", None), ("red kite", (0, 8))], "red kite and kite") == [(13, 17), (0, 8)]


def test_nothing_to_place():
    assert place([], "a") == [] and place([("", None), ("b", None)], "a") == [None, None]
    assert place([("a", None)], "") == [None]


def test_one_string_many_times_in_a_text_of_it_takes_no_time():
    start = time.perf_counter()
    spans = place([("kite", None)] * 5000, "kite " * 3000)
    assert time.perf_counter() - start < 1 and spans.count(None) == 2000 and spans[2999] == (14995, 14999)


def test_many_strings_in_a_long_text_take_no_time():
    whole, start = "ab cd " * 300, time.perf_counter()
    spans = place([("ab", None), ("cd ab", None), ("zz zz", None)] * 700, whole)
    assert time.perf_counter() - start < 1
    assert (spans[0], spans[1], spans[2]) == ((0, 2), (3, 8), None) and spans.count(None) == 700 + 400 + 401


@pytest.mark.parametrize(("split", "entities", "relations"), [("dev", 100.0, 97.65), ("test", 99.97, 98.04)])
def test_real_strings_in_the_order_of_the_text_find_nearly_every_span(split, entities, relations):
    """The most that an answer without places can reach: entities by string and type, relations by strings alone."""
    if not RAW.is_dir():
        pytest.skip("no SciER release in ../shared/data/scier")
    spec, samples = load_spec("scier"), list(scier.read(RAW, split))
    answers = [read_extraction(strings_of(extraction(sample)), spec, sample)[0] for sample in samples]
    metrics = score(samples, answers, spec, draws=0)
    assert round(metrics.figures["ner_f1"], 2) == entities and round(metrics.primary["value"], 2) == relations
    assert metrics.figures["string_ner_f1"] == metrics.figures["string_rel_f1"] == pytest.approx(100)


def strings_of(gold):
    text = {e.id: e.text for e in gold.entities}
    ordered = sorted(gold.entities, key=lambda e: (e.start, e.end))
    links = [{"head": text[r.head], "label": r.label, "tail": text[r.tail]} for r in gold.relations]
    return json.dumps({"entities": [{"text": e.text, "type": e.type} for e in ordered], "relations": links})
