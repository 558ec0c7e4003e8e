"""The pair protocols against their second implementations, and what must hold whatever the answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import more, r1_re, sem2010
from random_answers import figures, pair_samples

from morerl.guidelines import load_spec
from morerl.scoring import Tally, score

MORE, SEM = load_spec("more"), load_spec("sem2010")
ORACLES = {
    "more": lambda key, given: more(key, given, MORE.answers),
    "sem2010": sem2010,
}
ERRORS = {"right", "right_none", "wrong_direction", "wrong_label", "missed", "spurious", "unparseable"}


def scored(key, answers, spec, protocol=None):
    return score(pair_samples(key), answers, spec, protocol=protocol, draws=0)


def few(spec):
    """Pairs of gold and answer over few labels, both directions of one among them, and what gold may lack."""
    labels = [*spec.answers[:3], *spec.answers[-2:], spec.none]
    gold = st.sampled_from(labels)
    return st.lists(st.tuples(gold, gold | st.sampled_from([*spec.answers, None])), min_size=1, max_size=40)


@pytest.mark.parametrize("spec", [MORE, SEM], ids=lambda spec: spec.corpus)
@given(data=st.data())
def test_every_figure_is_the_oracles(spec, data):
    key, answers = zip(*data.draw(few(spec)), strict=True)
    found, expected = figures(scored(key, answers, spec)), ORACLES[spec.corpus](key, answers)
    unparseable = 100 * answers.count(None) / len(answers)
    assert found == pytest.approx(expected | {"unparseable": unparseable}, abs=1e-9)


@settings(max_examples=50)
@given(st.data())
def test_r1_re_is_the_mean_and_the_any_of_k_draws_without_other(data):
    k = data.draw(st.integers(1, 5))
    answer = st.sampled_from([*SEM.answers[:3], "Other", None])
    row = st.tuples(st.sampled_from([*SEM.answers[:3], "Other"]), st.lists(answer, min_size=k, max_size=k))
    rows = [(SEM.answers[0], [None] * k), *data.draw(st.lists(row, max_size=15))]
    key, answers = zip(*rows, strict=True)
    tally = Tally(SEM, "r1_re")
    for sample, drawn in zip(pair_samples(key), answers, strict=True):
        tally.add(sample, drawn)
    metrics, expected = tally.metrics(draws=0), r1_re(key, answers)
    assert metrics.n == sum(g != "Other" for g in key)
    assert {name: metrics.figures[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert metrics.primary == {"name": "accuracy", "value": pytest.approx(expected[f"avg@{k}"], abs=1e-9)}


def test_r1_re_leaves_out_what_has_no_relation_and_nothing_else():
    a, b, _ = SEM.answers[:3]
    found = scored([a, a, b, "Other"], [a, "Other", None, "Other"], SEM, "r1_re")
    assert found.n == 3 and found.primary["value"] == pytest.approx(100 / 3)
    assert found.figures["pass@1"] == pytest.approx(100 / 3)


@pytest.mark.parametrize("protocol", ["more", "sem2010", "r1_re"])
@given(data=st.data())
def test_gold_scores_100_and_a_right_answer_lost_never_pays(protocol, data):
    spec = MORE if protocol == "more" else SEM
    some = spec.answers[1]
    key, answers = zip((some, some), *data.draw(few(spec)), strict=True)
    assert scored(key, key, spec, protocol).primary["value"] == pytest.approx(100)
    before = figures(scored(key, answers, spec, protocol))
    lost = data.draw(st.sampled_from([answer for answer in (*spec.answers, None) if answer != some]))
    after = figures(scored(key, [lost, *answers[1:]], spec, protocol))
    for name in {"accuracy", "micro_f1", "macro_f1"} & set(before):
        assert after[name] <= before[name] + 1e-9


@pytest.mark.parametrize("protocol", ["more", "sem2010", "r1_re"])
@settings(max_examples=30)
@given(data=st.data())
def test_order_of_samples_does_not_matter(protocol, data):
    spec = MORE if protocol == "more" else SEM
    pairs = [(spec.answers[1], None), *data.draw(few(spec))]
    moved = data.draw(st.permutations(pairs))
    one, other = (scored(*zip(*rows, strict=True), spec, protocol) for rows in (pairs, moved))
    assert one == other


A, FLIPPED, B = SEM.answers[0], SEM.answers[1], SEM.answers[2]
KINDS = [
    (A, A, "right"),
    ("Other", "Other", "right_none"),
    (A, FLIPPED, "wrong_direction"),
    (A, B, "wrong_label"),
    (A, "Other", "missed"),
    ("Other", A, "spurious"),
    (A, None, "unparseable"),
    ("Other", None, "unparseable"),
]


@pytest.mark.parametrize(("gold", "answer", "kind"), KINDS)
def test_every_kind_of_error_has_its_case(gold, answer, kind):
    assert scored([gold], [answer], SEM).errors == {kind: 1}


def test_labels_without_direction_have_no_wrong_direction():
    a, b = MORE.answers[1:3]
    errors = scored([a, a, "none", a], [b, a, b, "none"], MORE).errors
    assert errors == {"wrong_label": 1, "right": 1, "spurious": 1, "missed": 1}


@pytest.mark.parametrize("spec", [MORE, SEM], ids=lambda spec: spec.corpus)
@given(data=st.data())
def test_errors_are_a_partition_of_the_samples(spec, data):
    key, answers = zip(*data.draw(few(spec)), strict=True)
    metrics = scored(key, answers, spec)
    errors = metrics.errors
    assert set(errors) <= ERRORS and sum(errors.values()) == metrics.n == len(key)
    right = errors.get("right", 0) + errors.get("right_none", 0)
    assert 100 * right / metrics.n == pytest.approx(metrics.figures["accuracy"])
    assert errors.get("unparseable", 0) == answers.count(None)
    given_relation = sum(errors.get(kind, 0) for kind in ("right", "wrong_direction", "wrong_label", "spurious"))
    assert given_relation == sum(answer not in (None, spec.none) for answer in answers)
