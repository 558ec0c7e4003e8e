"""No exploit pays under a default preset; which of them pay under the papers' own forms is told exactly."""

import pytest
from hacks import SAMPLES, SPECS, hacks, honest_wrong, right, sloppy, spec_of

from morerl.grpo_settings import GrpoSettings
from morerl.prompts.parse import parse
from morerl.rewards import Case, Terms, compose, judge, reward
from morerl.scoring import is_right

DEFAULTS = {
    "more_r1": list(SAMPLES),
    "r1_re": list(SAMPLES),
    "r2grpo": [name for name in SAMPLES if SAMPLES[name].task != "pair"],
    "ner_rl": [name for name in SAMPLES if SAMPLES[name].task == "entities"],
    "ner_rl_items": [name for name in SAMPLES if SAMPLES[name].task == "entities"],
}
CASES = [(preset, name) for preset, names in DEFAULTS.items() for name in names]
SCIER = SPECS["scier"]
TOLD = 1e-9  # sums of tenths in another order


def total(preset, completion, sample, *, first=False):
    terms = Terms(steps=6 if sample.image else 0, max_tokens=1024)
    case = Case(completion=completion, sample=sample, spec=spec_of(sample), terms=terms, tokens=len(completion) // 4)
    parts = compose(GrpoSettings(rewards=preset))
    values = {name: value for name, value in judge(case, parts).items() if value is not None}
    return sum((parts[name].first if first else parts[name].second) * value for name, value in values.items())


def right_in(sample, completion):
    return is_right(sample, parse(completion, spec_of(sample), sample).answer, spec_of(sample))


def exploits(sample):
    """Those that are not right by luck: an empty list where there is nothing is the answer."""
    return {name: text for name, text in hacks(sample).items() if not right_in(sample, text)}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_honest_reader_is_well_formed_and_wrong_and_the_right_answer_right(name):
    sample = SAMPLES[name]
    for text, expected in ((right(sample), True), (honest_wrong(sample), False)):
        parsed = parse(text, spec_of(sample), sample)
        assert (parsed.problems, right_in(sample, text)) == ((), expected)
    assert len(exploits(sample)) > 30


@pytest.mark.parametrize(("preset", "name"), CASES)
def test_no_exploit_earns_more_than_the_honest_wrong_answer_under_a_default(preset, name):
    sample = SAMPLES[name]
    honest = total(preset, honest_wrong(sample), sample)
    earned = {hack: total(preset, text, sample) for hack, text in exploits(sample).items()}
    assert {hack: value for hack, value in earned.items() if value > honest + TOLD} == {}


@pytest.mark.parametrize(("preset", "name"), CASES)
def test_the_right_answer_earns_more_than_any_other_completion_under_a_default(preset, name):
    sample = SAMPLES[name]
    others = {**exploits(sample), **sloppy(sample), "honest and wrong": honest_wrong(sample)}
    best = total(preset, right(sample), sample)
    assert {other for other, text in others.items() if total(preset, text, sample) >= best - TOLD} == set()


@pytest.mark.parametrize("name", [name for name in SAMPLES if SAMPLES[name].task == "extract"])
def test_nor_does_one_pay_in_the_first_stage_where_relations_do_not_count_yet(name):
    sample = SAMPLES[name]
    honest = total("r2grpo", honest_wrong(sample), sample, first=True)
    # entities that are all right are no exploit of a stage that asks for entities
    wrong = {
        hack: text for hack, text in exploits(sample).items() if reward("ner_f1", text, sample, SCIER, Terms()) < 1
    }
    earned = {hack: total("r2grpo", text, sample, first=True) for hack, text in wrong.items()}
    assert {hack: value for hack, value in earned.items() if value > honest + TOLD} == {}


@pytest.mark.parametrize("preset", ["more_r1", "r1_re"])
def test_a_padded_right_answer_earns_no_more_than_a_plain_one_of_full_length(preset):
    sample = SAMPLES["text pair"]
    label = f"</think>\n<answer>{sample.gold.label}</answer>"
    words = " ".join(map(str, range(330)))
    plain = total(preset, f"<think>{words}{label}", sample)
    assert total(preset, f"<think>{words * 60}{label}", sample) < plain
    assert total(preset, f"<think>{'hm ' * 400}{label}", sample) < plain


TEXT_PAIRS, EXTRACT = ["text pair", "text pair, none"], [name for name in SAMPLES if SAMPLES[name].task == "extract"]
ENTITIES = DEFAULTS["ner_rl"]
PAPERS = {
    "more_r1_paper": ["picture", "picture, none", *TEXT_PAIRS],
    "r1_re_paper": TEXT_PAIRS,  # its pattern knows no other labels
    "r2grpo_paper": EXTRACT,
    "ner_rl_paper": ENTITIES,
}
# exploit -> on which samples it earns more than the honest wrong answer
NOTHING_READ = (  # what cannot be read escapes the penalty that a wrong item costs
    *("two answer blocks", "two answer blocks, right one last", "empty answer block", "blank answer block"),
    *("instructions to the grader", "text as answer", "100 kB of tags", "empty object", "bare list", "no JSON"),
    *("one malformed item", "deep JSON", "garbage", "newline inside the tag"),
)
PAYS = {
    "more_r1_paper": {  # length pays, whatever fills it
        "padding to the threshold": ["picture", "picture, none", *TEXT_PAIRS],
        **{f"100 kB of {what}": TEXT_PAIRS for what in ("one letter", "steps", "other words")},
    },
    "r1_re_paper": {},
    "r2grpo_paper": {
        # gold's names in the reasoning pay, whatever is answered
        "instructions in the think part": ["extract", "extract, one", "extract, one entity"],
        "keyword boilerplate": ["extract, one", "extract, one entity", "extract, nothing"],
        # a pair with every label pays more than a wrong one; and all labels in the reasoning are gold's too
        "known entities, every pair, every label": ["extract, one"],
        "known entities, every legal relation": ["extract, one"],
        "known entities, every pair, another label": ["extract, one"],
        "unknown label": ["extract, one"],
        "one item five times": ["extract, one entity"],  # repeats are free
    },
    "ner_rl_paper": {
        "one item five times": ["entities", "entities, one"],
        # what follows the last </think> counts, closed or opened how it may be
        "unclosed think": ["entities"],
        "nested tags": ["entities"],
        **{hack: ["entities, nothing"] for hack in NOTHING_READ},
    },
}
# sample -> completions that earn as much as the right answer
AS_GOOD = {
    "more_r1_paper": {
        "picture": {"padding to the threshold"},
        "picture, none": {"padding to the threshold"},
        **{name: set(PAYS["more_r1_paper"]) for name in TEXT_PAIRS},
    },
    "r1_re_paper": {"text pair, none": "all"},  # Other has no arguments, so it breaks the form
    "r2grpo_paper": {
        **{name: {"right, text after", "right, text before"} for name in EXTRACT},
        "extract, one entity": {"one item five times", "right, text after", "right, text before"},
        "extract, nothing": "most",  # what cannot be parsed is empty, and empty is right
    },
    "ner_rl_paper": {name: {"right, empty think block"} for name in ENTITIES},
}


@pytest.mark.parametrize("preset", PAPERS)
def test_which_exploits_pay_under_a_papers_own_form(preset):
    pays = {}
    for name in PAPERS[preset]:
        honest = total(preset, honest_wrong(SAMPLES[name]), SAMPLES[name])
        for hack, text in exploits(SAMPLES[name]).items():
            if total(preset, text, SAMPLES[name]) > honest + TOLD:
                pays.setdefault(hack, []).append(name)
    assert pays == PAYS[preset]


@pytest.mark.parametrize(("preset", "name"), [(preset, name) for preset, names in PAPERS.items() for name in names])
def test_where_the_right_answer_is_not_alone_on_top_under_a_papers_own_form(preset, name):
    sample = SAMPLES[name]
    others = {**sloppy(sample), **exploits(sample), "honest and wrong": honest_wrong(sample)}
    best = total(preset, right(sample), sample)
    as_good = {other for other, text in others.items() if total(preset, text, sample) >= best - TOLD}
    expected = AS_GOOD[preset].get(name, set())
    share = len(as_good) / len(others)
    assert as_good == expected if isinstance(expected, set) else share == 1 if expected == "all" else 0.5 < share < 1
