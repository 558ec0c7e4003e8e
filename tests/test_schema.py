"""The nouns refuse what no stage could use: wrong offsets, empty boxes, dangling ids, labels of no type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from morerl.schema import Gold, Mention, Rated, Region, Sample
from morerl.task import Label, TaskSpec

TEXT = "Ana opens Port Anselm"
MENTIONS = (
    Mention(id="m0", start=0, end=3, text="Ana"),
    Mention(id="m1", start=10, end=21, text="Port Anselm"),
)
REGION = Region(id="r0", box=(0.1, 0.2, 0.5, 0.6))
SAMPLE = Sample(
    id="s",
    corpus="c",
    split="test",
    text=TEXT,
    image="a.png",
    mentions=MENTIONS,
    regions=(REGION,),
    head="r0",
    tail="m1",
    gold=Gold(label="none"),
)
LABELS = (
    Label(name="none", definition="No link."),
    Label(name="in", definition="Inside.", head=("per",), tail=("loc",)),
    Label(name="of", definition="Part of.", directed=True, head=("loc",)),
)
SPEC = {"corpus": "c", "protocol": "more", "question": "?", "none": "none", "types": {"per": "p", "loc": "l"}}


def changed(**fields):
    return Sample.model_validate(SAMPLE.model_dump() | fields)


def mention(**fields):
    return [{"id": "m1", "start": 10, "end": 21, "text": "Port Anselm"} | fields]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mentions": mention(start=9)}, "offsets are half-open, in characters"),
        ({"mentions": mention(end=20)}, r"text\[10:20\] is 'Port Ansel', not 'Port Anselm'"),
        ({"mentions": mention(text="port anselm")}, "mention m1"),
        ({"mentions": mention(end=99)}, "mention m1"),
        ({"mentions": mention(end=-7, text="Port")}, "mention m1|greater than"),
        ({"mentions": mention(start=-11)}, "greater than or equal to 0"),
        ({"mentions": mention(start=10, end=10, text="")}, "mention m1"),
        ({"mentions": mention(start=21, end=10, text="")}, "mention m1"),
        ({"regions": [{"id": "r0", "box": (0.5, 0.2, 0.5, 0.6)}]}, "region r0: box .* is empty"),
        ({"regions": [{"id": "r0", "box": (0.1, 0.6, 0.5, 0.2)}]}, "region r0: box .* is empty"),
        ({"regions": [{"id": "r0", "box": (0.1, 0.2, 0.5, 1.1)}]}, "less than or equal to 1"),
        ({"regions": [{"id": "r0", "box": (float("nan"), 0.2, 0.5, 0.6)}]}, r"regions\.0\.box\.0"),
        ({"regions": [{"id": "r0", "box": (0.1, 0.2, float("inf"), 0.6)}]}, r"regions\.0\.box\.2"),
        ({"regions": [{"id": "r0", "box": (0.1, 0.2, 0.5)}]}, r"regions\.0\.box"),
        ({"regions": [{"id": "m1", "box": (0.1, 0.2, 0.5, 0.6)}]}, "not unique"),
        ({"mentions": mention() * 2}, "not unique"),
        ({"head": "r1"}, "head/tail 'r1'"),
        ({"tail": "Port Anselm"}, "head/tail 'Port Anselm'"),
        ({"image": None}, "regions but no image"),
        ({"task": "extract"}, "task"),
        ({"note": 1}, "note"),
    ],
)
def test_an_inconsistent_sample_is_refused_with_the_reason(fields, message):
    with pytest.raises(ValidationError, match=message):
        changed(**fields)


def test_offsets_count_characters_not_bytes():
    sample = changed(text="Été à São", mentions=mention(start=6, end=9, text="São"))
    assert sample.text[6:9] == sample.argument("m1").text


def test_an_argument_is_the_mention_or_region_of_that_id():
    assert SAMPLE.argument("r0") == REGION and SAMPLE.argument("m1") == MENTIONS[1]


def test_a_text_only_sample_needs_no_image():
    assert changed(image=None, regions=(), head="m0").argument("m0").text == "Ana"


@given(st.text(max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_a_mention_holds_exactly_when_its_text_is_the_span(text, start, end):
    fields = {"text": text, "image": None, "regions": (), "head": "m1", "tail": "m1"}
    span = text[start:end]
    if span:
        held = mention(start=start, end=start + len(span), text=span)
        assert changed(**fields, mentions=held).argument("m1").text == span
    with pytest.raises(ValidationError):
        changed(**fields, mentions=mention(start=start, end=end, text=span + "x"))


def test_nouns_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        SAMPLE.head = "m0"


def test_answers_are_in_guideline_order_and_directed_labels_give_two():
    assert TaskSpec(**SPEC, labels=LABELS).answers == ("none", "in", "of(e1,e2)", "of(e2,e1)")


@pytest.mark.parametrize(
    ("head", "tail", "allowed"),
    [
        ("per", "loc", ("none", "in", "of(e2,e1)")),  # the order counts: e2 is the head of of(e2,e1)
        ("loc", "per", ("none", "of(e1,e2)")),
        ("per", "per", ("none",)),
        (None, "loc", ("none", "in", "of(e1,e2)", "of(e2,e1)")),
        ("per", None, ("none", "in", "of(e2,e1)")),
        (None, None, ("none", "in", "of(e1,e2)", "of(e2,e1)")),
    ],
)
def test_argument_types_decide_which_labels_are_open_and_none_always_is(head, tail, allowed):
    assert TaskSpec(**SPEC, labels=LABELS).allowed(head, tail) == allowed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"none": "null"}, "none label 'null'"),
        ({"labels": (*LABELS, LABELS[1])}, "not unique"),
        ({"types": {"per": "p"}}, r"\['loc'\] are not defined"),
        ({"protocol": "mine"}, "protocol"),
    ],
)
def test_an_inconsistent_guideline_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        TaskSpec(**{**SPEC, "labels": LABELS} | fields)


def test_pass_rate_is_a_share():
    assert Rated(id="s", n=4, n_correct=1).pass_rate == 0.25
    with pytest.raises(ValidationError):
        Rated(id="s", n=0, n_correct=0)
    with pytest.raises(ValidationError, match="n_correct = 5 is more than n = 4"):
        Rated(id="s", n=4, n_correct=5)
