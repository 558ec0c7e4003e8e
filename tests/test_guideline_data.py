"""What the guideline benchmark puts before a model: held-out relations stay out, codes lead back to their labels."""

import argparse
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.guideline_data import CODES, WAYS, alike, apart, called, chain, drawn, lines, naming, spec_of, told
from benchmarks.guidelines import ALONE, COLUMNS, CONFIGS, figures, page
from morerl.guidelines import load_spec
from morerl.prompts.parse import parse
from morerl.schema import Gold, Mention, Sample, label

SPEC = load_spec("sem2010")
LABELS = SPEC.labels
HELD = ("Message-Topic", "Content-Container")


def sample(answer="Cause-Effect(e2,e1)", id_="s"):
    mentions = (Mention(id="m0", start=0, end=4, text="pain"), Mention(id="m1", start=10, end=14, text="fall"))
    return Sample(
        id=id_, corpus="c", split="train", text="pain from fall", mentions=mentions, head="m0", tail="m1",
        gold=Gold(label=answer),
    )  # fmt: skip


def test_held_out_relations_are_set_apart_in_both_orders():
    rows = [sample(answer) for answer in SPEC.answers]
    seen, held = apart(rows, HELD)
    assert {label(one).partition("(")[0] for one in held} == set(HELD) and len(held) == 4
    assert len(seen) == len(rows) - 4


@given(st.text(min_size=1, max_size=8), st.integers(0, 9))
def test_codes_are_one_to_one_and_hang_on_the_sample_alone(id_, seed):
    names = naming(sample(id_=id_), LABELS, SPEC.none, "codes", seed=seed)
    assert names == naming(sample(id_=id_), LABELS, SPEC.none, "codes", seed=seed)
    assert set(names) == {one.name for one in LABELS} and list(names)[-1] == SPEC.none == names[SPEC.none]
    assert len(set(names.values())) == len(names) and set(names.values()) <= {*CODES, SPEC.none}


def test_lines_and_codes_differ_from_sample_to_sample():
    made = [naming(sample(id_=str(n)), LABELS, SPEC.none, "codes", seed=0) for n in range(40)]
    assert len({tuple(names) for names in made}) > 35 and len({names["Cause-Effect"] for names in made}) > 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", SPEC.answers)
def test_the_chain_parses_to_the_gold_of_the_asked_sample(way, answer):
    one = sample(answer)
    names = naming(one, LABELS, SPEC.none, way, seed=0)
    asked = told(one, lines(LABELS, names).values(), names)
    parsed = parse(chain(one, "a", names).completion, spec_of(SPEC, way), asked)
    assert parsed.answer == label(asked) and not parsed.problems
    assert [m.text for m in asked.mentions] == [asked.text[m.start : m.end] for m in asked.mentions] == ["pain", "fall"]
    back = {said: name for name, said in names.items()}
    assert back[label(asked).partition("(")[0]] == answer.partition("(")[0]


def test_a_guideline_of_some_relations_says_nothing_of_the_others():
    seen = [one for one in LABELS if one.name not in HELD]
    names = naming(sample(), seen, SPEC.none, "names", seed=0)
    asked = told(sample(), lines(seen, names).values(), names)
    assert not any(one.definition in asked.text or one.name in asked.text for one in LABELS if one.name in HELD)
    assert all(f"- {one.definition}: {one.name}\n" in asked.text for one in seen)
    assert called("Message-Topic(e1,e2)", names) == "Message-Topic(e1,e2)"


def test_no_first_word_gives_the_label_for_no_relation_away():
    assert {one.definition.split()[0] for one in alike(SPEC).labels} == {"X"}
    assert alike(SPEC).answers == SPEC.answers


def test_a_draw_is_a_quarter_without_a_relation():
    rows = [sample("Other" if n % 2 else "Cause-Effect(e1,e2)", str(n)) for n in range(200)]
    chosen = drawn(rows, "Other", 40, random.Random(0))
    assert len(chosen) == len({one.id for one in chosen}) == 40
    assert sum(label(one) == "Other" for one in chosen) == 10


def test_figures_tell_the_kinds_of_question_apart():
    names = {id_: {"p": "A", "q": "B", "none": "none"} for id_ in ("a", "b", "c", "d", f"e{ALONE}")}
    gold = {"a": "A", "b": "B(e1,e2)", "c": "B(e1,e2)", "d": "none", f"e{ALONE}": "B(e1,e2)"}
    given = {"a": "A", "b": "B(e2,e1)", "c": "A", "d": "A", f"e{ALONE}": "B(e1,e2)"}
    assert figures(given, gold, names, ["q"]) == {
        **{"seen": 100, "no relation": 0, "held out": 0, "alone": 100},
        "named": 50,  # b: the relation held out, in the wrong order
    }


def test_the_page_has_a_line_a_way_and_corpus():
    kinds = dict.fromkeys(COLUMNS, 50.0)
    rows = [{"corpus": c, "seed": n, "way": w, **kinds} for c in CONFIGS for n in range(2) for w in WAYS]
    text = page(rows, argparse.Namespace(corpora=list(CONFIGS), seeds=2, parallel=1))
    assert all(text.count(f"| {way} | 50.0 |") == 2 for way in WAYS)
