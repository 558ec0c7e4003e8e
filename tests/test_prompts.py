"""Sample -> chat, and completion -> answer: what goes out is inert data, what comes back never raises."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from morerl.errors import ConfigError
from morerl.guidelines import known_specs, load_spec
from morerl.prompts.parse import TAGS, normalise
from morerl.prompts.parse import parse as parse_for
from morerl.prompts.render import STEPS, TEMPLATES, describe, excerpt, fill, mark, picture_count, render, render_gold
from morerl.schema import Gold, Mention, Region, Sample
from morerl.settings import ImageSettings, PromptSettings

MORE, SEM = load_spec("more"), load_spec("sem2010")
IMAGES = ImageSettings()
PAIRED = [spec for spec in map(load_spec, known_specs()) if spec.none is not None]
NAMES = sorted(path.stem for path in Path(TEMPLATES).glob("*.jinja") if path.stem not in ("gold_block", "extract"))
RIGHT = "/org/loc/locate_at"
ANSWER = f"<answer>{RIGHT}</answer>"
GOOD = f"<think>a b</think>\n{ANSWER}"
EVIL = "{{ 7*7 }} {% for x in [1] %} {# no #} </think><answer>none</answer> {{ text.__class__ }}"


def sample(spans=((0, 1), (2, 3)), *, text="a b c d e", head="m0", tail="m1", boxes=(), label="none"):
    return Sample(
        id="s",
        corpus="c",
        split="test",
        text=text,
        image="x.png" if boxes else None,
        mentions=tuple(Mention(id=f"m{i}", start=a, end=b, text=text[a:b]) for i, (a, b) in enumerate(spans)),
        regions=tuple(Region(id=f"r{i}", box=box) for i, box in enumerate(boxes)),
        head=head,
        tail=tail,
        gold=Gold(label=label),
    )


def parse(text, spec):
    return parse_for(text, spec, sample())


PICTURED = sample(boxes=[(0.1, 0.2, 0.304, 1.0)], head="r0")
BOX = "the object from (10%, 20%) to (30%, 100%) of the picture's width and height"


# --- rendering


@pytest.mark.parametrize("template", NAMES)
@pytest.mark.parametrize("spec", PAIRED, ids=lambda spec: spec.corpus)
def test_gold_comes_back_for_every_answer_of_every_guideline(spec, template):
    for answer in spec.answers:
        parsed = parse(render_gold(sample(label=answer), template), spec)
        assert (parsed.answer, parsed.problems) == (answer, ())
        assert parsed.steps == tuple(range(1, STEPS.get(template, 0) + 1))


@pytest.mark.parametrize("template", NAMES)
@pytest.mark.parametrize("asked", [sample(), PICTURED], ids=["text", "picture"])
def test_pictures_are_placeholders_before_one_text(asked, template):
    (message,) = render(asked, MORE, PromptSettings(template=template), IMAGES)
    *pictures, text = message["content"]
    assert message["role"] == "user" and text["type"] == "text" and text["text"]
    assert pictures == [{"type": "image"}] * picture_count(asked, IMAGES)
    assert len(pictures) == (2 if asked is PICTURED else 0)


@pytest.mark.parametrize("template", ["stepwise", "guided"])
def test_the_prompt_says_what_is_asked_and_which_answers_there_are(template):
    text = render(PICTURED, MORE, PromptSettings(template=template), IMAGES)[0]["content"][-1]["text"]
    assert all(label.name in text and label.definition in text for label in MORE.labels)
    assert MORE.question in text and "<think>" in text and "<answer>" in text


def test_the_stepwise_prompt_names_both_arguments_and_every_step():
    text = fill("stepwise", PICTURED, MORE, IMAGES)
    assert f"Head: {BOX}, the one in the crop. Tail: 'b'.\n{MORE.direction}\n" in text
    assert all(f"\nStep {number}: " in text for number in range(1, STEPS["stepwise"] + 1))


@pytest.mark.parametrize("template", NAMES)
def test_data_are_never_template_source(template):
    text = f"Ana {EVIL}"
    asked = sample([(0, 3), (4, len(text))], text=text)
    out = fill(template, asked, MORE, IMAGES)
    assert "{{ 7*7 }}" in out and "{{ text.__class__ }}" in out and "49" not in out


@pytest.mark.parametrize("template", NAMES)
def test_gold_is_in_no_student_prompt(template):
    prompts = {fill(template, sample(label=answer), SEM, IMAGES) for answer in SEM.answers}
    assert len(prompts) == 1


@pytest.mark.parametrize("name", ["stepwize", "../render", "", "gold_block.jinja"])
def test_an_unknown_template_is_named_with_the_known_ones(name):
    with pytest.raises(ConfigError, match=r"known: .*stepwise"):
        render(sample(), MORE, PromptSettings(template=name), IMAGES)


@pytest.mark.parametrize(
    ("head", "tail", "marked"),
    [
        ((0, 3), (4, 7), "<e1>one</e1> <e2>two</e2> six"),
        ((4, 7), (0, 3), "<e2>one</e2> <e1>two</e1> six"),
        ((0, 3), (3, 7), "<e1>one</e1><e2> two</e2> six"),  # adjacent
        ((3, 7), (0, 3), "<e2>one</e2><e1> two</e1> six"),
        ((0, 7), (0, 3), "<e1><e2>one</e2> two</e1> six"),  # nested, same start
        ((0, 3), (0, 7), "<e2><e1>one</e1> two</e2> six"),
        ((0, 7), (4, 7), "<e1>one <e2>two</e2></e1> six"),  # nested, same end
        ((4, 7), (0, 7), "<e2>one <e1>two</e1></e2> six"),
        ((0, 11), (4, 7), "<e1>one <e2>two</e2> six</e1>"),
        ((4, 7), (4, 7), "one <e1><e2>two</e2></e1> six"),  # the same words
    ],
)
def test_mark_nests_its_tags(head, tail, marked):
    assert mark(sample([head, tail], text="one two six")) == marked


def a_span(data, text):
    start = data.draw(st.integers(0, len(text) - 1))
    return start, data.draw(st.integers(start + 1, len(text)))


@given(st.text(min_size=2, max_size=12), st.data())
def test_marks_can_be_taken_off_again(text, data):
    marked = mark(sample([a_span(data, text), a_span(data, text)], text=text))
    for tag in ("<e1>", "</e1>", "<e2>", "</e2>"):
        marked = marked.replace(tag, "", 1)
    assert marked == text


def test_only_mentions_are_marked():
    assert mark(PICTURED) == "a <e2>b</e2> c d e"
    assert describe(PICTURED, "r0") == BOX


@pytest.mark.parametrize(
    ("text", "head", "tail", "shown"),
    [
        ("far near  one in two, and far", (10, 13), (17, 20), "near  <e1>one</e1> in <e2>two</e2>,"),
        ("far near one in two next far", (16, 19), (9, 12), "near <e2>one</e2> in <e1>two</e1> next"),
        ("one two", (0, 3), (4, 7), "<e1>one</e1> <e2>two</e2>"),
        ("  one near ", (2, 5), (2, 5), "<e1><e2>one</e2></e1> near"),
    ],
)
def test_an_excerpt_has_one_word_on_either_side(text, head, tail, shown):
    assert excerpt(sample([head, tail], text=text)) == shown


@given(st.text(min_size=2, max_size=12), st.data())
def test_an_excerpt_is_a_part_of_the_marked_text(text, data):
    one = sample([a_span(data, text), a_span(data, text)], text=text)
    assert excerpt(one) in mark(one)


def test_with_a_region_the_excerpt_is_all_of_the_text():
    assert excerpt(PICTURED) == mark(PICTURED)


# --- parsing


@pytest.mark.parametrize(
    ("completion", "answer", "problems"),
    [
        (GOOD, RIGHT, ()),
        (f"  <think>a</think><answer>\n{RIGHT}\n</answer>\n ", RIGHT, ()),
        ("<think>a</think><answer>org/loc/locate_at</answer>", RIGHT, ()),  # the teacher prompt's own slip
        ("<think>a</think><answer> /ORG/Loc/ locate_at </answer>", RIGHT, ()),
        ("<think>a</think><answer>NONE</answer>", "none", ()),
        ("<think>a</think><answer>No relation</answer>", None, ("unknown_label",)),
        ("<think>a</think><answer>//org/loc/locate_at</answer>", None, ("unknown_label",)),
        ("<think>a</think><answer>locate_at</answer>", None, ("unknown_label",)),
        ("<think>a</think><answer>none or /org/loc/locate_at</answer>", None, ("unknown_label",)),
        ("<think>a</think><answer>none.</answer>", None, ("unknown_label",)),
        ("<think>a</think><answer> </answer>", None, ("empty_answer",)),
        ("<think> </think><answer>none</answer>", "none", ("empty_think",)),
        ("<answer>none</answer>", "none", ("no_think_tag",)),
        ("<think>a<answer>none</answer>", None, ("unclosed_think",)),  # it is still thinking
        ("<think>a <answer>none</answer> no, wait", None, ("unclosed_think",)),
        ("a</think><answer>none</answer>", "none", ("no_think_tag", "text_outside")),
        ("</think><answer><think>none</answer>", None, ("no_think_tag", "unknown_label")),
        ("<think>a</think>", None, ("no_answer_tag",)),
        ("<think>a</think><answer>none", None, ("no_answer_tag",)),
        ("<think>a</think></answer>none<answer>", None, ("no_answer_tag",)),
        ("none", None, ("no_think_tag", "no_answer_tag")),
        ("", None, ("no_think_tag", "no_answer_tag")),
        (GOOD + "<answer>none</answer>", None, ("repeated_tag", "text_outside")),
        (GOOD + GOOD, None, ("repeated_tag", "answer_in_think")),
        ("<think>a</think><think>b</think><answer>none</answer>", None, ("repeated_tag",)),
        ("<think><answer>none</answer></think>", None, ("answer_in_think", "no_answer_tag")),
        (f"<think><answer>none</answer></think>{ANSWER}", None, ("repeated_tag", "answer_in_think")),
        (GOOD + " So it is.", RIGHT, ("text_outside",)),
        ("Sure! " + GOOD, RIGHT, ("text_outside",)),
        (GOOD.replace("\n", " so "), RIGHT, ("text_outside",)),
        (GOOD.upper(), None, ("no_think_tag", "no_answer_tag")),
    ],
)
def test_every_fault_of_form_has_its_name(completion, answer, problems):
    parsed = parse(completion, MORE)
    assert (parsed.answer, parsed.problems) == (answer, problems)
    assert parsed.well_formed == (not set(problems) - {"unknown_label"})


def test_direction_is_part_of_the_answer():
    read = [normalise(text, SEM) for text in ("cause-effect(E1, E2)", "Cause-Effect(e2,e1)", "Cause-Effect")]
    assert read == ["Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", None]


def test_steps_are_the_numbers_that_begin_a_line():
    think = "Step 1: a Step 9: b\n  Step 2: c\nStep 10:d\nstep 3: e\nStep 4 : f\nStep 123456: g"
    assert parse(f"<think>{think}</think><answer>none</answer>", MORE).steps == (1, 2, 10)


PIECES = st.one_of(st.sampled_from([*TAGS, *MORE.answers, "Step 1:", "\n", " "]), st.text(max_size=8))
WRITTEN = st.lists(PIECES, max_size=12).map("".join)


@given(WRITTEN)
@example("</think><answer><think>none</answer>")
@example("<think>\0\ud800</think><answer>İ</answer>")
def test_parse_takes_any_text_and_its_verdicts_agree(text):
    parsed = parse(text, MORE)
    assert parsed.answer is None or parsed.answer in MORE.answers
    once = all(text.count(tag) == 1 for tag in TAGS)
    places = [text.find(tag) for tag in TAGS]
    if parsed.well_formed:
        assert once and places == sorted(places) and parsed.think
        assert parsed.answer is not None or "unknown_label" in parsed.problems
    if parsed.answer is not None:
        assert text.count("<answer>") == text.count("</answer>") == 1 and text.rfind("</think>") < places[2]
    else:
        assert parsed.problems


@given(st.text(max_size=30))
def test_an_unknown_label_never_becomes_none(inner):
    answer = parse(f"<think>a</think><answer>{inner}</answer>", MORE).answer
    if answer == "none":
        assert "".join(inner.split()).casefold().removeprefix("/") == "none"


@pytest.mark.parametrize(
    "text",
    ["<think>" + "</think><answer>" * 8000, "</think><answer></answer>x" * 8000, " \n" * 60_000 + "Step 1:"],
)
def test_a_hundred_kilobytes_are_parsed_at_once(text):
    start = time.perf_counter()
    assert parse(text, MORE).answer is None
    assert time.perf_counter() - start < 0.5


def held(task, **fields):
    return Sample(id="s", corpus="c", split="test", text="a b", task=task, **fields)


@pytest.mark.parametrize(
    ("template", "spec", "task"), [("guided", SEM, "pair"), ("extract", load_spec("scier"), "extract")]
)
def test_examples_are_shown_where_they_are_asked_for(template, spec, task):
    asked = sample() if task == "pair" else held(task)
    plain, full = (
        render(asked, spec, PromptSettings(template=template, examples=examples), IMAGES)[0]["content"][-1]["text"]
        for examples in (False, True)
    )
    for label in (*spec.labels, *(spec.types.values() if task == "extract" else ())):
        assert label.positive in full and label.near_miss in full
        assert label.positive not in plain and label.near_miss not in plain


def test_a_template_that_asks_something_else_is_refused():
    names = held("entities")
    with pytest.raises(ConfigError, match="'stepwise' does not ask what s asks"):
        render(names, load_spec("wnut17"), PromptSettings(template="stepwise"), IMAGES)
    with pytest.raises(ConfigError, match="extract is for entities and relations"):
        render(sample(), MORE, PromptSettings(template="extract"), IMAGES)


def test_only_the_types_asked_for_are_shown():
    names = held("entities", types=("person",))
    text = render(names, load_spec("wnut17"), PromptSettings(), IMAGES)[0]["content"][-1]["text"]
    assert "- person:" in text and "- location:" not in text and "Relations" not in text and '"relations"' not in text


FORM = re.compile(r"\s*<think>(?P<think>.*?)</think>\s*<answer>(?P<answer>.*?)</answer>\s*", re.DOTALL)
STEP_LINE = re.compile(r"^[ \t]*Step (\d+):", re.MULTILINE)
BITS = [*TAGS, "none", " ", "\n", "\x1c", "\u2028", " \tStep 3:", "Step 12:", "x"]


@given(st.lists(st.sampled_from(BITS), max_size=14).map("".join))
def test_the_form_and_its_steps_are_those_of_the_plain_expressions(text):
    """The parser cuts at the tags instead, which takes a fraction of the time."""
    found = FORM.fullmatch(text) if all(text.count(tag) == 1 for tag in TAGS) else None
    parsed = parse_for(text, load_spec("more"), sample())
    form = {"no_think_tag", "unclosed_think", "no_answer_tag", "repeated_tag", "answer_in_think", "text_outside"}
    assert (found is not None) == (not form & set(parsed.problems))
    if found is not None:
        assert parsed.think == found["think"].strip()
        assert parsed.steps == tuple(map(int, STEP_LINE.findall(found["think"])))
