"""The rewards: their values, their gates, and that padding never pays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.errors import ConfigError
from morerl.grpo_settings import GrpoSettings
from morerl.guidelines import load_spec
from morerl.prompts.parse import TAGS
from morerl.prompts.render import render_completion
from morerl.rewards import REWARDS, Case, Terms, check_rewards, compose, judge, reward
from morerl.schema import Gold, Mention, Sample

MORE, SEM = load_spec("more"), load_spec("sem2010")
RIGHT, WRONG = "/per/misc/awarded", "/per/misc/party"
STEPS = "\n".join(f"Step {i}: x" for i in range(1, 7))
LONG = STEPS + "y" * 1024
SIX = Terms(steps=6, length_threshold=1024)


def sample(label):
    return Sample(
        id="s",
        corpus="c",
        split="train",
        text="ab",
        mentions=(Mention(id="m0", start=0, end=1, text="a"),),
        head="m0",
        tail="m0",
        gold=None if label is None else Gold(label=label),
    )


def parts(completion, *, gold=RIGHT, terms=SIX, names=("format", "length", "answer")):
    return tuple(reward(name, completion, sample(gold), MORE, terms) for name in names)


def total(completion, *, gold=RIGHT):
    parts = compose(GrpoSettings())
    values = judge(Case(completion=completion, sample=sample(gold), spec=MORE, terms=SIX), parts)
    return sum(parts[name].second * value for name, value in values.items())


@pytest.mark.parametrize(
    ("completion", "values"),
    [
        (render_completion(LONG, RIGHT), (1, 1, 1)),
        (render_completion(STEPS, RIGHT), (1, 0, 1)),
        (render_completion(LONG, WRONG), (1, 1, 0)),
        (render_completion(LONG, "rubbish"), (1, 1, 0)),  # the form holds, the label does not
        (render_completion(LONG, RIGHT) + "!", (0, 0, 1)),  # length is gated by the form
        (render_completion(LONG, ""), (0, 0, 0)),
        (render_completion("y" * 2000, RIGHT), (0, 0, 1)),  # no steps
        (render_completion(LONG.replace("Step 3", "Step 4"), RIGHT), (0, 0, 1)),
        (render_completion(LONG + "\nStep 7: z", RIGHT), (0, 0, 1)),
        (render_completion(STEPS + " " * 2000, RIGHT), (1, 0, 1)),  # blanks at the end are not reasoning
        (LONG + RIGHT, (0, 0, 0)),
        (render_completion(LONG, RIGHT) * 2, (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_format_length_and_answer(completion, values):
    assert parts(completion) == values


def test_length_counts_characters_up_to_the_threshold():
    chain = render_completion("y" * 10, RIGHT)
    lengths = [parts(chain, terms=Terms(length_threshold=n), names=["length"])[0] for n in (9, 10, 11)]
    assert lengths == [1.0, 1.0, 0.0]


def test_without_steps_in_the_prompt_none_are_demanded():
    assert parts(render_completion("so", RIGHT), terms=Terms(length_threshold=1)) == (1, 1, 1)


@pytest.mark.parametrize("gold", [RIGHT, "none"])
def test_what_cannot_be_parsed_is_never_right(gold):
    for text in ("", "none", "<think>a</think><answer>nothing</answer>", "<think>a</think><answer></answer>"):
        assert parts(text, gold=gold, names=["answer"]) == (0.0,)


def test_without_gold_nothing_is_right():
    assert parts(render_completion(LONG, "none"), gold=None) == (1, 1, 0)


@pytest.mark.parametrize(
    ("completion", "gold", "form", "label"),
    [
        ("<think>a</think><answer>Cause-Effect(e1,e2)</answer>", "Cause-Effect(e1,e2)", 1.0, 2.0),
        ("<think>a</think><answer>Cause-Effect(e2,e1)</answer>", "Cause-Effect(e1,e2)", 1.0, -1.5),
        ("<think>a</think><answer>Other</answer>", "Other", 1.0, 2.0),
        ("<think>a</think><answer>Other</answer>", "Cause-Effect(e1,e2)", 1.0, -1.5),
        ("<think>a</think><answer>Cause-Effect(e1,e2)</answer>", "Other", 1.0, -1.5),
        ("<think>a</think><answer>Other(e1,e2)</answer>", "Other", 1.0, -1.5),
        ("<think>a</think><answer>Cause-Effect</answer>", "Cause-Effect(e1,e2)", 1.0, -1.5),
        ("<answer>Other</answer>", "Other", -3.0, 0.0),  # right, but not in the form
        ("</think><answer><think>Other</answer>", "Other", -3.0, 0.0),
        ("", "Other", -3.0, 0.0),
    ],
)
def test_r1_re_pays_form_and_directed_label(completion, gold, form, label):
    values = [reward(name, completion, sample(gold), SEM, Terms()) for name in ("r1_format", "r1_label")]
    assert values == [form, label]


@given(st.sampled_from([label for label in MORE.answers if label != RIGHT]), st.integers(0, 5000))
def test_a_padded_wrong_chain_scores_below_a_short_right_one(wrong, padding):
    short = total(render_completion("Step 1: x", RIGHT))  # right, though not even the steps are there
    padded = total(render_completion(STEPS + "y" * padding, wrong))
    assert padded <= total(render_completion(STEPS, wrong)) < short
    assert short < total(render_completion(STEPS, RIGHT)) < total(render_completion(LONG, RIGHT))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ({"entities": [("BERT", "Method"), ("NER", "Task")], "relations": [("e0", "Used-For", "e1")]}, 1.0),
        (
            {"entities": [("BERT", "Method"), ("NER", "Task")], "relations": [("e0", "SubTask-Of", "e1")]},
            0.9,
        ),  # signature
        ({"entities": [("BERT", "Thing"), ("GPT", "Method")]}, 0.8),  # a type unknown, a string not there
        ({"entities": [("BERT", "Method")], "relations": [("e0", "Eats", "e7")] * 12}, 0.0),
        ({"entities": []}, 1.0),
        ({}, 0.0),  # no answer is no empty answer
    ],
)
def test_schema_takes_off_a_tenth_for_all_that_the_guideline_does_not_allow(answer, value):
    scier = load_spec("scier")
    text = {"text": "BERT solves NER", "task": "extract", "gold": {"entities": []}}
    asked = Sample.model_validate({"id": "s", "corpus": "scier", "split": "train", **text})
    rows = [{"id": f"e{n}", "text": text, "type": kind} for n, (text, kind) in enumerate(answer.get("entities", []))]
    links = [{"head": h, "label": label, "tail": t} for h, label, t in answer.get("relations", [])]
    written = json.dumps({"entities": rows, "relations": links} if answer else {})
    assert reward("schema", render_completion("-", written), asked, scier, Terms()) == pytest.approx(value)


def test_schema_of_a_pair_asks_whether_its_types_may_be_joined():
    typed = sample(RIGHT).model_copy(update={"mentions": (Mention(id="m0", start=0, end=1, text="a", type="org"),)})
    names = (RIGHT, "none", "/org/org/subsidiary")
    assert [reward("schema", render_completion("-", name), typed, MORE, SIX) for name in names] == [0.9, 1.0, 1.0]
    assert reward("schema", render_completion("-", RIGHT), sample(None), MORE, SIX) == 1.0  # types not known


@given(st.lists(st.one_of(st.sampled_from([*TAGS, RIGHT, STEPS, "y" * 1100]), st.text()), max_size=9))
def test_no_text_breaks_a_reward_or_leaves_its_bounds(pieces):
    text = "".join(pieces)
    values = parts(text, names=tuple(REWARDS))
    assert all(part.low <= value <= part.high for value, part in zip(values, REWARDS.values(), strict=True))
    assert values == parts(text, names=tuple(REWARDS))


def test_the_default_settings_pass_the_check():
    check_rewards(GrpoSettings())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rewards": {"answer": 1.0, "lenght": 1.0}}, r"no reward named \['lenght'\]; known: format, length"),
        ({"trainer": {"max_completion_length": 255}}, "1024 characters cannot be reached"),
        ({"length_threshold": 2049}, "cannot be reached with trainer.max_completion_length of 512"),
    ],
)
def test_unknown_rewards_and_lengths_out_of_reach_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        check_rewards(GrpoSettings(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"trainer": {"max_completion_length": 256}},
        {"trainer": {"max_completion_length": 8}, "rewards": {"answer": 1.0}},
        {"trainer": {"max_completion_length": 8}, "rewards": {"length": 0.0}},
        {"trainer": {"max_completion_length": 8}, "rewards": "r1_re"},
        {"trainer": {"max_completion_length": None}},  # TRL: no cap
    ],
)
def test_a_length_in_reach_or_not_rewarded_passes(fields):
    check_rewards(GrpoSettings(**fields))
