"""Two models on the same samples: p against every swap, intervals against plain resampling."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import exact_p, more, ner_counts, prf, rel_counts, sem2010
from random_answers import SCIER, made, pair_samples, questions, samples

from morerl.comparison import compare_files
from morerl.errors import DataError
from morerl.guidelines import load_spec
from morerl.jsonl import write_records
from morerl.schema import Extraction, Prediction
from morerl.scoring import Tally, score
from morerl.scoring.compare import Pairs, compare

MORE, SEM = load_spec("more"), load_spec("sem2010")
DRAWS = 2000


def compared(asked, a, b, spec, figure, **options):
    tally, pairs = Tally(spec), Pairs()
    for sample, one, other in zip(asked, a, b, strict=True):
        pairs[tuple(tally.rows(sample, [one, other]))] += 1
    return compare(pairs, spec, spec.protocol, figure, **{"draws": DRAWS} | options)


def assert_near(p, exact):
    """Within five standard errors of the share of DRAWS random swaps, and the one that is added."""
    assert abs(p - exact) <= 5 * (exact * (1 - exact) / DRAWS) ** 0.5 + 1 / DRAWS


MEASURES = {
    "more": (MORE, "micro_f1", lambda key, given: more(key, given, MORE.answers)["micro_f1"]),
    "sem2010": (SEM, "macro_f1", lambda key, given: sem2010(key, given)["macro_f1"]),
    "accuracy": (SEM, "accuracy", lambda key, given: sem2010(key, given)["accuracy"]),
}


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_p_of_labels_is_that_of_all_swaps(name, data):
    spec, figure, measure = MEASURES[name]
    label = st.sampled_from([*spec.answers[:3], spec.none])
    rows = data.draw(st.lists(st.tuples(label, label | st.none(), label | st.none()), min_size=1, max_size=7))
    key, a, b = (list(column) for column in zip(*rows, strict=True))
    found = compared(pair_samples(key), a, b, spec, figure)
    assert (found.a, found.b) == pytest.approx((measure(key, a), measure(key, b)), abs=1e-9)
    assert found.difference == pytest.approx(found.b - found.a) and found.n == len(key)
    assert_near(found.p, exact_p(measure, key, a, b))


@pytest.mark.parametrize(("figure", "counts"), [("rel_f1", rel_counts), ("ner_f1", ner_counts)])
@settings(max_examples=8, deadline=None)
@given(questions(2))
def test_p_of_extractions_is_that_of_all_swaps(figure, counts, rows):
    golds, a, b = [gold for gold, _ in rows], [pool[0] for _, pool in rows], [pool[1] for _, pool in rows]

    def measure(key, answers):
        triples = [counts(gold, answer or Extraction()) for gold, answer in zip(key, answers, strict=True)]
        return prf(*(sum(row[i] for row in triples) for i in range(3)))["f1"]

    found = compared(samples(golds), a, b, SCIER, figure)
    assert found.difference == pytest.approx(measure(golds, b) - measure(golds, a), abs=1e-9)
    assert_near(found.p, exact_p(measure, golds, a, b))


def drawn(*, n, seed, skill):
    chance = random.Random(seed)
    key = [chance.choice(SEM.answers[:5]) for _ in range(n)]
    give = lambda gold: gold if chance.random() < skill else chance.choice([*SEM.answers[:5], None])  # noqa: E731
    return key, [give(gold) for gold in key], [give(gold) for gold in key]


@pytest.mark.parametrize("figure", ["macro_f1", "accuracy"])
def test_the_interval_is_that_of_samples_drawn_again_in_pairs(figure):
    key, a, b = drawn(n=120, seed=4, skill=0.6)
    found, chance = compared(pair_samples(key), a, b, SEM, figure), random.Random(5)
    rows, differences = list(zip(key, a, b, strict=True)), []
    for _ in range(1500):
        g, one, other = zip(*chance.choices(rows, k=len(rows)), strict=True)
        differences.append(sem2010(g, other)[figure] - sem2010(g, one)[figure])
    low, high = np.percentile(differences, [2.5, 97.5])
    assert abs(found.ci95[0] - low) < 0.1 * (high - low) and abs(found.ci95[1] - high) < 0.1 * (high - low)
    assert found.ci95[0] < found.difference < found.ci95[1]


def test_the_interval_of_one_model_is_that_of_extractions_drawn_again():
    chance = random.Random(6)
    gold = made((0, 2, "Method"), (3, 5, "Task"), links=[(0, "Used-For", 1)])
    kinds = [gold, Extraction(), None, made((0, 2, "Task"), (3, 5, "Task"), links=[(0, "Used-For", 1)])]
    answers = [chance.choice(kinds) for _ in range(150)]
    metrics = score(samples([gold] * 150), answers, SCIER, draws=4000)
    for name, counts in {"rel_f1": rel_counts, "ner_f1": ner_counts}.items():
        rows, values = [counts(gold, answer or Extraction()) for answer in answers], []
        for _ in range(2000):
            again = chance.choices(rows, k=len(rows))
            values.append(prf(*(sum(column) for column in zip(*again, strict=True)))["f1"])
        low, high = np.percentile(values, [2.5, 97.5])
        assert np.allclose(metrics.ci95[name], (low, high), atol=0.1 * (high - low))


def test_a_model_and_itself_do_not_differ():
    key, a, _ = drawn(n=30, seed=1, skill=0.5)
    found = compared(pair_samples(key), a, a, SEM, "macro_f1")
    assert (found.difference, found.ci95, found.p, found.changed) == (0, (0, 0), 1, 0)


def test_sides_may_change_places():
    key, a, b = drawn(n=60, seed=2, skill=0.7)
    one, other = compared(pair_samples(key), a, b, SEM, "macro_f1"), compared(pair_samples(key), b, a, SEM, "macro_f1")
    assert one.difference == pytest.approx(-other.difference) and one.changed == other.changed
    assert_near(one.p, other.p)
    assert one == compared(pair_samples(key), a, b, SEM, "macro_f1")
    assert one.changed == sum(x != y for x, y in zip(a, b, strict=True))


def test_p_is_never_0_and_small_where_one_is_always_better():
    key = [SEM.answers[0]] * 40
    found = compared(pair_samples(key), [SEM.answers[1]] * 40, key, SEM, "macro_f1", draws=999)
    assert found.p == pytest.approx(1 / 1000) and found.difference == pytest.approx(100)


def test_files_are_compared_by_their_first_completions(tmp_path):
    gold = made((0, 2, "Method"), (3, 5, "Task"), links=[(0, "Used-For", 1)])
    asked = [sample.model_copy(update={"corpus": "scier"}) for sample in samples([gold] * 6)]
    right = '<think>-</think><answer>{"entities": [{"text": "ab", "type": "Method"}], "relations": []}</answer>'
    texts = {"a": ["nothing", right], "b": [right, "nothing"]}
    write_records(tmp_path / "gold.jsonl", asked)
    for name, completions in texts.items():
        rows = [Prediction(id=sample.id, completions=completions) for sample in asked]
        write_records(tmp_path / f"{name}.jsonl", rows)
    files = [tmp_path / f"{name}.jsonl" for name in ("gold", "a", "b")]
    found = compare_files(*files, figure="ner_f1", draws=DRAWS)
    assert (found.a, found.b, found.n, found.changed) == (0, pytest.approx(200 / 3), 6, 6)
    assert_near(found.p, 2 / 2**6)
    assert compare_files(*files, draws=10).figure == "rel_f1"


def test_what_cannot_be_compared_says_why():
    with pytest.raises(DataError, match="no sample to compare on"):
        compare(Pairs(), SEM, "sem2010", "macro_f1")
    with pytest.raises(DataError, match="has no figure 'rel_f1' to compare; known: accuracy"):
        compared(pair_samples(["Other"]), [None], ["Other"], SEM, "rel_f1")
