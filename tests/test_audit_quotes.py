import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.guidelines import load_spec
from morerl.report.quotes import guide_words, quoted, text_forms

MORE = load_spec("more")
TEXT = "Bern honours Ada Reyes with the Laurel Medal"


@pytest.mark.parametrize(
    "quote, kind",
    [
        *(("“Laurel Medal,”", "found"), ("'bern HONOURS'", "found"), ('"Bern ... Medal"', "found")),
        *(("“Medal … Bern”", "missing"), ("‘art’", "missing"), ("'ern'", "missing"), ("'ReyesWith'", "found")),
        *(("it's Ada's and the Reyes' medal", ""), ("'awarded'", "guide"), ("“<e2>Laurel Medal</e2>”", "found")),
    ],
)
def test_a_quote_stands_in_the_text_word_by_word(quote, kind):
    cut = quoted(f"so {quote} then", text_forms(TEXT), guide_words(MORE))
    assert {found for _, found in cut} - {""} == ({kind} - {""})


@given(st.text(alphabet="“”\"'‘’… ab.\n<e1>"), st.text())
def test_the_pieces_join_to_the_reasoning(reasoning, text):
    assert "".join(piece for piece, _ in quoted(reasoning, text_forms(text), " a b ")) == reasoning


@pytest.mark.parametrize("piece", ["“", "‘a", " '", ' "a', "“a”", "'a' ", "“a…b”", "it’s"])
def test_hostile_reasoning_takes_no_time(piece):
    start = time.process_time()
    quoted((piece * 20_000)[:20_000], text_forms("a b " * 5_000), guide_words(MORE))
    assert time.process_time() - start < 2
