"""The parts for entities and relations: values, evidence and rule, the papers' own forms, properties."""

import json
import time
from dataclasses import replace

import pytest
from hacks import SAMPLES, SPECS, hacks, honest_wrong, right
from hypothesis import given
from hypothesis import strategies as st
from random_answers import extractions, samples

from morerl.prompts.parse import TAGS
from morerl.prompts.render import render_completion
from morerl.rewards import REWARDS, Case, Terms, reward
from morerl.schema import Extraction
from morerl.scoring import protocols

SCIER, WNUT = SPECS["scier"], SPECS["wnut17"]
EXTRACT, ONE, NONE, NOTHING = (
    SAMPLES[name] for name in ("extract", "extract, one", "extract, no relations", "extract, nothing")
)
KNOWN = [("LeafNet", "Method"), ("BarkSet", "Dataset"), ("OakNet", "Method")]
LINKS = [(0, "Trained-With", 1), (0, "Compare-With", 2)]


def written(rows, links=(), think="-"):
    entities = [{"id": f"e{n}", "text": text, "type": kind} for n, (text, kind) in enumerate(rows)]
    relations = [{"head": f"e{h}", "label": label, "tail": f"e{t}"} for h, label, t in links]
    return render_completion(think, json.dumps({"entities": entities, "relations": relations}))


def value(name, completion, sample=EXTRACT, spec=SCIER, **terms):
    return reward(name, completion, sample, spec, Terms(**terms))


@pytest.mark.parametrize(
    ("rows", "links", "ner", "rel"),
    [
        (KNOWN, LINKS, 1, 1),
        (KNOWN[:2], LINKS[:1], 0.8, 2 / 3),
        (KNOWN, [], 1, 0),
        ([("LeafNet", "Task"), *KNOWN[1:]], LINKS, 2 / 3, 1),  # relations are judged by place
        (KNOWN, [(1, "Trained-With", 0)], 1, 0),  # the wrong way round
        ([*KNOWN, ("ChatGPT", "Method")], LINKS, 6 / 7, 1),
        ([], [], 0, 0),
    ],
)
def test_f1_of_entities_and_of_directed_relations(rows, links, ner, rel):
    text = written(rows, links)
    assert (value("ner_f1", text), value("rel_f1", text)) == (pytest.approx(ner), pytest.approx(rel))


def test_an_empty_answer_is_right_where_there_is_nothing_and_garbage_never_is():
    names = ("ner_f1", "rel_f1", "ner_grounded", "relevance", "rule", "coherent", "boundary", "answer")
    assert [value(name, written([]), NOTHING) for name in names] == [1.0] * 8
    for garbage in ("", render_completion("-", "{garbage"), render_completion("-", "{}")):
        assert [value(name, garbage, NOTHING) for name in names] == [0.0] * 8
    assert value("ner_items", "", NOTHING) == 0.0


def test_without_gold_nothing_is_found():
    asked = EXTRACT.model_copy(update={"gold": None})
    for name in ("ner_f1", "rel_f1", "ner_items", "boundary", "answer"):
        assert value(name, written([]), asked) == 0.0


def test_strings_that_the_text_does_not_hold_cost_a_tenth_beyond_their_precision():
    text = written([*KNOWN, ("ChatGPT", "Method"), ("GPT", "Task")])
    assert value("ner_grounded", text) == pytest.approx(value("ner_f1", text) - 0.2)
    assert value("ner_grounded", written([KNOWN[0], *[("x y z", "Task")] * 9])) == 0.0


@pytest.mark.parametrize(
    ("rows", "points"),
    [
        (KNOWN, 1.5),
        (KNOWN[::-1], 1.5),  # in any order
        ([("Leaf Net", "Method")], 0.5),  # whatever the blanks
        ([*KNOWN, ("margin", "Task")], 1.0),
        ([KNOWN[0]] * 5, -1.5),  # what gold has once counts once
        ([("wide", "Task")] * 50, -10.0),
        ([], 0.0),
    ],
)
def test_half_a_point_an_item(rows, points):
    assert value("ner_items", written(rows)) == points


def test_near_boundaries_pay_a_part_and_junk_costs_it():
    near = value("boundary", written([("LeafNet is", "Method"), *KNOWN[1:]]))
    junk = value("boundary", written([*KNOWN, ("ChatGPT and more", "Task")]))
    assert value("boundary", written(KNOWN)) == 1.0
    assert near == pytest.approx(2 * 20 / (22 + 20)) and junk == pytest.approx(2 * 20 / (36 + 20))
    assert value("boundary", written([(text, "Task") for text, _ in KNOWN])) == 0.0  # of another type


@pytest.mark.parametrize(
    ("rows", "links", "holds"),
    [
        (KNOWN, LINKS, 1),
        ([*KNOWN, KNOWN[0]], LINKS, 1),  # the second is not in the text: no span twice
        (KNOWN, [*LINKS, (1, "Used-For", 2)], 1),
        (KNOWN, [*LINKS, LINKS[0]], 0),  # again
        (KNOWN, [(0, "Trained-With", 1), (0, "Evaluated-With", 1)], 0),  # two labels
        (KNOWN, [(0, "Compare-With", 2), (2, "Compare-With", 0)], 0),  # both ways
        (KNOWN, [(0, "Compare-With", 7)], 0),  # with what is not listed
    ],
)
def test_an_answer_that_hedges_or_has_loose_ends_is_not_coherent(rows, links, holds):
    assert value("coherent", written(rows, links)) == holds


def test_two_types_of_a_span_hedge_unless_gold_has_them_too():
    place = {"start": 0, "end": 7, "text": "LeafNet"}
    both = [{**place, "id": "a", "type": "Method"}, {**place, "id": "b", "type": "Task"}]
    text = render_completion("-", json.dumps({"entities": both, "relations": []}))
    assert value("coherent", text) == 0.0
    doubled = EXTRACT.model_copy(update={"gold": Extraction.model_validate({"entities": both})})
    assert value("coherent", text, doubled) == 1.0


@pytest.mark.parametrize(
    ("think", "share"),
    [
        ("It says “LeafNet is trained on BarkSet” and “BarkSet and beats OakNet”", 0.5),
        ("“LeafNet is trained on BarkSet”, “LeafNet is trained on BarkSet and beats OakNet”", 1.0),
        ('"is trained on" and "is trained on BarkSet and beats"', 1.0),  # what joins them is enough
        ("“LeafNet”, “BarkSet”, “OakNet”, “a”, “e”", 0.0),
        ("“LeafNet was trained on BarkSet”", 0.0),  # the text says something else
        ("LeafNet is trained on BarkSet", 0.0),  # no quote
        (f"“{EXTRACT.text}”", 0.5),  # 46 characters beyond the one pair, 36 beyond the other
    ],
)
def test_evidence_must_stand_in_the_text_and_hold_what_is_between_the_arguments(think, share):
    assert value("relevance", written(KNOWN, LINKS, think)) == share


def test_evidence_is_asked_for_what_is_answered_and_not_for_gold():
    wrong = [(2, "Used-For", 1)]
    assert value("relevance", written(KNOWN, wrong, "“BarkSet and beats OakNet”")) == 1.0
    assert value("relevance", written(KNOWN, wrong, "“LeafNet is trained on BarkSet”")) == 0.0
    assert value("relevance", written(KNOWN, [(0, "Used-For", 9)], "“LeafNet”")) == 0.0


@pytest.mark.parametrize(
    ("think", "share"),
    [
        ("LeafNet and BarkSet: Trained-With.\nLeafNet and OakNet: Compare-With.", 1.0),
        ("BarkSet trains LeafNet, so Trained-With. OakNet is worse than LeafNet: Compare-With.", 1.0),  # one line
        ("LeafNet and BarkSet: perhaps Used-For, no, Trained-With.", 0.5),
        ("LeafNet and BarkSet: Trained-With. LeafNet and BarkSet: better Used-For.", 0.0),  # decided otherwise
        ("Trained-With and Compare-With, LeafNet, BarkSet, OakNet", 0.5),
        ("The text says “LeafNet is trained on BarkSet”, so Trained-With.", 0.5),
        ("There is some relation because of the pattern.", 0.0),
    ],
)
def test_the_reasoning_must_state_the_decision_that_is_answered(think, share):
    assert value("rule", written(KNOWN, LINKS, think)) == share


def test_a_decision_against_the_signatures_costs_a_tenth():
    assert value("rule", written(KNOWN, [(0, "Part-Of", 1)], "LeafNet and BarkSet: Part-Of.")) == pytest.approx(0.9)


@pytest.mark.parametrize("sample", [EXTRACT, ONE, NONE], ids=lambda sample: sample.id)
def test_a_plan_that_is_filled_in_has_evidence_and_rule_right_or_wrong(sample):
    for text in (right(sample), honest_wrong(sample)):
        assert (value("relevance", text, sample), value("rule", text, sample)) == (1.0, 1.0)
        assert value("repetition", text, sample) == 0.0


@pytest.mark.parametrize(
    ("tokens", "points"), [(None, 0), (0, 0), (80, 0), (90, -0.5), (99, -0.95), (100, -1), (250, -1)]
)
def test_overlong_falls_over_the_last_fifth_of_the_limit(tokens, points):
    for limit, expected in ((100, points), (None, 0)):
        case = Case(completion="", sample=EXTRACT, spec=SCIER, terms=Terms(max_tokens=limit), tokens=tokens)
        assert REWARDS["overlong"].value(case) == pytest.approx(expected)


def test_repetition_is_free_to_a_half_and_costs_all_where_all_is_one():
    words = " ".join(map(str, range(100)))
    texts = (words, f"{words} {words}", f"{words} " * 4, "hm " * 5000, "y" * 90_000, "", "a b c")
    # 197 runs of which 100 are unlike are just free; of four times as many half are not
    values = [0, 0, pytest.approx(2 * 100 / 397 - 1), *[pytest.approx(-1, abs=0.01)] * 2, 0, 0]
    assert [value("repetition", text) for text in texts] == values


PAPER = SAMPLES["entities"]
GOOD = '{"entities": [{"text": "Ilse Varga", "type": "person"}, {"text": "Velmora", "type": "location"}]}'
ITEM = '{{"text": "{}", "type": "{}"}}'.format


@pytest.mark.parametrize(
    ("completion", "points"),
    [
        (f"<think>a</think><answer>{GOOD}</answer>", 3.5),
        (f"<think>a</think><answer>{GOOD.replace(', ', ',')}</answer>", 1.5),  # 2 lost to one blank
        (f"<think>a</think><answer>{GOOD}</answer> so", 1.5),
        (f"<answer>{GOOD}</answer>", 3.0),  # reasoning is nearly free to drop
        (f"\n<think>a</think><answer>{GOOD}</answer>", 3.0),
        (f"<think>a</think><answer>\n{GOOD.lower()}</answer>", 0.5),  # not read, so nothing is wrong
        ('<think>a</think><answer>{"entities": []}</answer>', 0.5),
        (f'<think>a</think><answer>{{"entities": [{", ".join([ITEM("Velmora", "location")] * 5)}]}}</answer>', 1.0),
        (f'<think>a</think><answer>{{"entities": [{ITEM("Norrby", "person")}]}}</answer>', 0.0),
        ("", 0.0),
    ],
)
def test_the_blogs_own_totals(completion, points):
    """The table of flaws in the note on RL for NER, section 5, in our form of answer."""
    names = ("ner_format_paper", "ner_exact_paper", "ner_found_paper", "ner_wrong_paper")
    assert sum(reward(name, completion, PAPER, WNUT, Terms()) for name in names) == points


def test_r2grpos_own_terms():
    assert value("r2_rel_paper", "garbage", NONE) == 2.0  # flaw 2: no answer is an empty one
    assert value("r2_ner_paper", written([]), NOTHING) == 0.0
    assert value("r2_ner_paper", written(KNOWN)) == 1.0
    junk = [("wide", "Task"), ("margin", "Task"), ("trained", "Task")]
    assert value("r2_ner_paper", written([*KNOWN[:2], *junk]), ONE) == pytest.approx(0.7 * 4 / 7 + 0.3)  # flaw 4
    assert value("r2_format_paper", f"junk {written(KNOWN)} junk") == 0.5  # flaw 7
    said = written([], think="“a” “e” “o” “n” “t” “is” LeafNet Trained-With BarkSet Compare-With OakNet")
    assert value("r2_reasons_paper", said) == pytest.approx(1.3 / 6)  # flaws 5 and 6
    assert value("r2_reasons_paper", written([], think="no relation"), NONE) == pytest.approx(0.35 / 6)


# --- properties

PIECES = st.sampled_from(
    [*TAGS, *(text for text in hacks(EXTRACT).values() if len(text) < 4000), '{"entities": [', "“"]
)


@given(st.lists(PIECES | st.text(), max_size=6), st.sampled_from(["extract", "text pair", "entities", "picture"]))
def test_no_text_breaks_a_part_or_leaves_its_bounds(pieces, name):
    sample, text = SAMPLES[name], "".join(pieces)
    for part, (judge, low, high, tasks, _) in REWARDS.items():
        if sample.task in tasks:
            case = Case(completion=text, sample=sample, spec=SPECS[sample.corpus], terms=Terms(max_tokens=9), tokens=8)
            first = judge(case)
            assert low <= first <= high, part
            assert first == judge(replace(case)), part  # a copy that nothing is kept in


@given(st.data())
def test_the_f1_parts_are_those_of_the_scorer_and_rise_with_it(data):
    (asked,) = samples([data.draw(extractions(gold=True))])
    answers = [data.draw(extractions()) for _ in range(3)]
    cases = []
    for answer in answers:
        case = Case(completion="", sample=asked, spec=SCIER, terms=Terms())
        vars(case)["given"] = answer  # what the parser reads has no place for some of these
        cases.append(case)
    scier = protocols.protocol("scier")
    official = [scier.quality(scier.row(asked, answer, SCIER)) for answer in answers]
    for name, which in (("rel_f1", 0), ("ner_f1", 1)):
        values = [REWARDS[name].value(case) for case in cases]
        assert values == pytest.approx([one[which] for one in official])
        ordered = [value for _, value in sorted(zip((one[which] for one in official), values, strict=True))]
        assert ordered == sorted(values)


HOSTILE = {
    "relations": written(
        [(f"a{n}", "Task") for n in range(900)], [(n, "Used-For", n + 1) for n in range(899)], "a1 " * 999
    ),
    "quotes": written(KNOWN, LINKS * 300, "“a” ‘b’ 'c' \"d\" " * 6000),
    "open quotes": written(KNOWN, LINKS, "“" * 50_000 + "'" * 50_000 + '"x\n' * 20_000),
    "lines": written(KNOWN, LINKS * 300, "LeafNet BarkSet Used-For. \n" * 4000),
    "tags": "<think>" * 9000 + "<answer>" * 9000,
    "closed tags": "</think><answer>" * 9000,
    "blanks": "<think>" + " \n" * 50_000 + "</think>" + " " * 50_000 + "<answer>.  ! " * 9000,
    "digits": "<think>Step " + "9" * 100_000 + ":</think><answer>none</answer>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_long_hostile_text_is_judged_in_time(name):
    started = time.process_time()
    case = Case(completion=HOSTILE[name], sample=EXTRACT, spec=SCIER, terms=Terms(max_tokens=100), tokens=100)
    for part in REWARDS.values():
        if "extract" in part.tasks:
            part.value(case)
    assert time.process_time() - started < 3.0
