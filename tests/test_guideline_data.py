"""What the guideline benchmark asks a model: half of it holds, held-out relations stay out of training."""

import argparse
import random

import pytest

from benchmarks.guideline_data import (
    FEATURES,
    HOLDS,
    bare,
    chain,
    held_against,
    in_features,
    made_up,
    questions,
    yes_or_no,
)
from benchmarks.guidelines import CONFIGS, HELD, PARTS, WAYS, Answer, figures, page
from morerl.guidelines import load_spec
from morerl.prompts.parse import parse
from morerl.schema import Gold, Mention, Sample, label

SPEC = load_spec("sem2010")
OF = {one.name: one for one in SPEC.labels}
KEPT = [one for one in SPEC.labels if one.name not in (*HELD["sem2010"], SPEC.none)]


def sample(answer="Cause-Effect(e2,e1)", id_="s"):
    mentions = (Mention(id="m0", start=0, end=4, text="pain"), Mention(id="m1", start=10, end=14, text="fall"))
    return Sample(
        id=id_, corpus="c", split="train", text="pain from fall", mentions=mentions, head="m0", tail="m1",
        gold=Gold(label=answer),
    )  # fmt: skip


SAMPLES = [sample(SPEC.answers[n % len(SPEC.answers)], str(n)) for n in range(400)]


@pytest.mark.parametrize("way", WAYS["sem2010"])
def test_half_of_what_is_asked_holds_and_each_sample_is_asked_once(way):
    asked = questions(SAMPLES, KEPT, SPEC.none, way, 100, random.Random(0))
    assert len({one.sample.id.partition("#")[0] for one in asked}) == 100 and sum(one.holds for one in asked) == 50
    true = {one.id: label(one) for one in SAMPLES}
    for one in asked:
        before = true[one.sample.id.partition("#")[0]]
        assert one.holds == (bare(before) == one.asked)
        assert label(one.sample) == (HOLDS + before[len(one.asked) :] if one.holds else SPEC.none)


def test_questions_are_about_the_given_relations_alone_and_the_same_in_both_ways():
    named, defined = (questions(SAMPLES, KEPT, SPEC.none, way, 200, random.Random(1)) for way in WAYS["sem2010"])
    assert {one.asked for one in named} == {one.name for one in KEPT}
    assert [(a.sample.id, a.asked, a.sample.gold) for a in named] == [
        (b.sample.id, b.asked, b.sample.gold) for b in defined
    ]
    assert all(one.sample.text == f"{one.asked}\npain from fall" for one in named)
    assert all(one.sample.text == f"{OF[one.asked].definition}\npain from fall" for one in defined)
    for one in [*named, *defined]:
        assert [one.sample.text[m.start : m.end] for m in one.sample.mentions] == ["pain", "fall"]


@pytest.mark.parametrize("way", WAYS["sem2010"])
def test_the_chain_parses_to_the_gold_of_what_is_asked(way):
    for one in questions(SAMPLES, KEPT, SPEC.none, way, 100, random.Random(2)):
        parsed = parse(chain(one, "a").completion, yes_or_no(SPEC), one.sample)
        assert parsed.answer == label(one.sample) and not parsed.problems


def test_the_drawn_worlds_definitions_are_of_its_own_labels():
    spec = in_features(load_spec("more"))
    assert {one.name: one.definition for one in spec.labels if one.name != spec.none} == FEATURES
    assert yes_or_no(spec).answers == (HOLDS, spec.none)
    assert set(HELD["scenes"]) < set(FEATURES) and set(HELD["sem2010"]) < set(OF)


STEPS = "Step 1: a coach in blue.\nStep 2: an event of teams.\nStep 3: {}.\nStep 4: per and org.\n"
SAID = "Step 5: {}.\nStep 6: holds."


@pytest.mark.parametrize(
    ("definition", "actors", "compared"),
    [
        ("coach, both, per and org", "blue yes Bears both", "coach yes, both yes, per and org yes"),
        ("event, asked, per and misc", "blue yes Bears seen, Alder Cup asked", "event yes, asked yes, per and misc no"),
        ("event, asked, per and org", "blue no Bears no, Alder Cup asked", "event yes, asked no, per and org yes"),
        ("flag, both, org and org", "blue yes Bears seen, Foxes asked", "flag no, both no, org and org no"),
    ],
)
def test_a_definition_is_held_against_the_steps_word_by_word(definition, actors, compared):
    steps = STEPS.format(actors)
    assert held_against(definition, f"{steps}Step 5: x.\nStep 6: y.", HOLDS) == steps + SAID.format(compared)


def test_made_up_relations_are_of_the_same_words_and_never_those_of_the_world():
    rng, steps = random.Random(0), STEPS.format("blue yes Bears seen, Alder Cup asked")
    made = [made_up(sample(id_=str(n)), steps, SPEC.none, rng) for n in range(300)]
    held = [one.asked for one in made if one.holds]
    # (coach or event) of the one asked about, between a person and an organisation
    assert set(held) == {"coach, asked, per and org", "event, asked, per and org"} and 100 < len(held) < 200
    assert not {one.asked for one in made} & set(FEATURES.values())
    assert all(one.sample.text == f"{one.asked}\npain from fall" for one in made)
    assert all(label(one.sample) == (HOLDS if one.holds else SPEC.none) for one in made)
    other = {one.asked for one in made if not one.holds}
    assert {word for one in other for word in one.split(", ")} == {
        word for one in FEATURES.values() for word in one.split(", ")
    }
    assert all(held_against(one, steps, "x").count(" no") > steps.count(" no") for one in other)


def test_steps_that_are_not_the_teachers_are_an_error():
    with pytest.raises(ValueError, match="not the teacher's steps"):
        held_against(FEATURES["/per/misc/awarded"], "Step 1: a coach in blue.", HOLDS)


def test_figures_weigh_what_holds_and_what_does_not_alike():
    answers = [Answer("p", True, True), Answer("p", False, True), Answer("p", False, False), Answer("q", True, False)]
    answers += [Answer("q", False, True), Answer("q", False, True)]
    found = figures(answers, ["q"])
    assert found == {
        **{"trained": 75, "trained, holds": 100, "trained, does not": 50},
        **{"q": 50, "q, holds": 0, "q, does not": 100},
    }


def test_the_page_has_a_line_a_way_and_group_of_relations():
    rows = []
    for corpus in CONFIGS:
        kinds = {name + part: 50.0 for name in ("trained", *HELD[corpus]) for part in ("", *PARTS)}
        rows += [{"corpus": corpus, "seed": n, "way": way, **kinds} for n in range(2) for way in WAYS[corpus]]
    text = page(rows, argparse.Namespace(corpora=list(CONFIGS), seeds=2, parallel=1))
    for corpus in CONFIGS:
        for name in HELD[corpus]:
            assert all(text.count(f"| {name} | {way} | 50.0 | 50.0 | 50.0 |") == 1 for way in WAYS[corpus])
    assert text.count("| trained | ") == 5
    assert "paired by seed: /org/misc/present_in 0.0; /per/per/opponent 0.0." in text
