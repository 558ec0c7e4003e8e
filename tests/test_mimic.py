"""mimic on pairs of a text: one line filled in from the gold, with the words that speak for a label."""

import math

import pytest

from morerl.errors import ConfigError
from morerl.guidelines import load_spec
from morerl.prompts.parse import parse
from morerl.schema import Gold, Mention, Region, Sample
from morerl.settings import GateSettings
from morerl.teacher.gates import judge
from morerl.teacher.strategies import mimic
from morerl.teacher.strategies.mimic_pairs import plan, telling_words

SEM = load_spec("sem2010")
LENIENT = GateSettings(min_words=0, max_words=10**9, repeats=None)  # a plan is as long and as alike as it is
ANA = Mention(id="m0", start=0, end=3, text="Ana")


def pair(label, *, swapped=False, between="", number=0):
    """A text pair: "Ana <between> wins the Golden Quill", asked about Ana and wins."""
    gap = f" {between} " if between else " "
    start = 3 + len(gap)
    head, tail = ("m1", "m0") if swapped else ("m0", "m1")
    return Sample(
        id=f"s{number}",
        corpus="sem2010",
        split="train",
        text=f"Ana{gap}wins the Golden Quill",
        mentions=(ANA, Mention(id="m1", start=start, end=start + 4, text="wins")),
        head=head,
        tail=tail,
        gold=Gold(label=label),
    )


@pytest.mark.parametrize("answer", SEM.answers)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_mimic_chain_parses_to_the_gold_and_passes_the_gates(answer, swapped):
    one = pair(answer, swapped=swapped, between="into")
    chain = plan(one, SEM, {"into": 1.0})
    parsed = parse(chain, SEM, one)
    assert parsed.answer == answer and parsed.well_formed
    assert judge(chain, "stop", one, SEM, "excerpt", LENIENT) is None


def test_telling_words_are_those_that_raise_a_label_whatever_their_case():
    into, other = "Entity-Destination(e1,e2)", "Other"
    samples = [pair(into, between=f"{'Into' if n % 2 else 'into'} the", number=n) for n in range(10)]
    samples += [pair(other, between="of the", number=n) for n in range(90)]
    samples += [pair(into, between="rare", number=n) for n in range(2)]
    telling = telling_words(samples)
    # P(into | "into") = (10 + 5 * 12/102) / 15 against 12/102
    assert telling == {"into": pytest.approx(math.log((10 + 5 * 12 / 102) / 15 * 102 / 12))}


def test_a_plan_quotes_the_three_most_telling_words_in_their_order():
    telling = {"from": 1.0, "by": 3.0, "made": 2.0, "slowly": 0.8}
    chain = plan(pair("Other", between="slowly Made from, and by the"), SEM, telling)
    assert chain == "<think> Made from by: no listed relation</think>\n<answer>Other</answer>"


def test_the_words_are_counted_on_the_samples_that_are_planned():
    samples = [pair("Cause-Effect(e2,e1)", between="from", number=n) for n in range(4)]
    assert mimic.planner(samples, SEM)(samples[0]).startswith("<think> no cue: Cause-Effect, e2 first</think>")
    others = [pair("Other", between="of", number=10 + n) for n in range(20)]
    assert mimic.planner(samples + others, SEM)(samples[0]).startswith("<think> from: Cause-Effect, e2 first</think>")


def test_a_plan_is_made_of_words_and_not_of_a_picture():
    seen = pair("Other").model_copy(
        update={"image": "x.png", "regions": (Region(id="r0", box=(0.1, 0.1, 0.9, 0.9)),), "head": "r0"}
    )
    with pytest.raises(ConfigError, match=r"s0 asks about a region.*stepwise"):
        mimic.planner([pair("Other"), seen], SEM)
