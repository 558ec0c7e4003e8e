"""Several completions of a sample: Avg@K, Best@K with one choice a sample, its oracle bound, and pass@k."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import average, best, micro, more, ner_counts, pass_at, rel_counts, rel_plus_counts, scier, sem2010
from random_answers import NER, SCIER, figures, made, pair_samples, questions, samples

from morerl.errors import DataError
from morerl.evaluation import score_files
from morerl.guidelines import load_spec
from morerl.jsonl import write_records
from morerl.prompts.render import render_completion, render_gold
from morerl.schema import Extraction, Prediction
from morerl.scoring import Tally, is_right

MORE, SEM = load_spec("more"), load_spec("sem2010")
ORDER = {"rel_f1": rel_counts, "ner_f1": ner_counts, "rel_plus_f1": rel_plus_counts}
A, B, D = (0, 2), (3, 5), (9, 11)


def tallied(asked, pools, spec):
    tally = Tally(spec)
    for sample, pool in zip(asked, pools, strict=True):
        tally.add(sample, pool)
    return figures(tally.metrics(draws=0))


def split(rows):
    return [gold for gold, _ in rows], [pool for _, pool in rows]


def draws(k):
    """1, 2, 4, ... up to k, and k."""
    return sorted({j for j in (1, 2, 4, 8, 16, k) if j <= k})


@settings(max_examples=60)
@given(st.integers(2, 5).flatmap(lambda k: questions(k)))
def test_every_figure_of_several_extractions_is_the_oracles(rows):
    golds, pools = split(rows)
    k, asked = len(pools[0]), samples(golds)
    found = tallied(asked, pools, SCIER)
    chosen, expected = best(golds, pools, ORDER.values()), {}
    for name, counts in ORDER.items():
        expected[f"avg@{k}/{name}"] = average(lambda g, a, name=name: scier(g, a)[name], golds, pools)
        expected[f"best@{k}/{name}"] = scier(golds, chosen)[name]
        expected[f"oracle_best@{k}/{name}"] = micro(counts, golds, best(golds, pools, [counts]))["f1"]
    right = [[is_right(sample, one, SCIER) for one in pool] for sample, pool in zip(asked, pools, strict=True)]
    expected |= {f"pass@{j}": pass_at(j, right) for j in draws(k)}
    assert {name: value for name, value in found.items() if "@" in name} == pytest.approx(expected, abs=1e-9)
    first = scier(golds, [pool[0] for pool in pools])
    first["unparseable"] = 100 * sum(pool[0] is None for pool in pools) / len(pools)
    assert {name: found[name] for name in first} == pytest.approx(first, abs=1e-9)


@settings(max_examples=40)
@given(questions(3))
def test_the_best_of_entities_goes_by_f1_alone(rows):
    golds, pools = split(rows)
    golds, pools = [bare(gold) for gold in golds], [[bare(one) for one in pool] for pool in pools]
    found = tallied(samples(golds, task="entities"), pools, NER)
    chosen = best(golds, pools, [ner_counts])
    expected = micro(ner_counts, golds, chosen)["f1"]
    assert found["best@3/f1"] == found["oracle_best@3/f1"] == pytest.approx(expected, abs=1e-9)


def bare(answer):
    return None if answer is None else Extraction(entities=answer.entities)


@pytest.mark.parametrize("spec", [MORE, SEM], ids=lambda spec: spec.corpus)
@settings(max_examples=40)
@given(data=st.data())
def test_every_figure_of_several_labels_is_the_oracles(spec, data):
    k = data.draw(st.integers(2, 5))
    label = st.sampled_from([*spec.answers[:3], spec.none])
    rows = data.draw(st.lists(st.tuples(label, st.lists(label | st.none(), min_size=k, max_size=k)), min_size=1))
    key, pools = split(rows)
    found = tallied(pair_samples(key), pools, spec)
    oracle = (lambda g, a: more(g, a, spec.answers)) if spec is MORE else sem2010
    chosen = [gold if gold in pool else pool[0] for gold, pool in rows]
    expected = {f"pass@{j}": pass_at(j, [[one == gold for one in pool] for gold, pool in rows]) for j in draws(k)}
    for name in ("micro_f1" if spec is MORE else "macro_f1", "accuracy"):
        expected[f"avg@{k}/{name}"] = average(lambda g, a, name=name: oracle(g, a)[name], key, pools)
        expected[f"best@{k}/{name}"] = oracle(key, chosen)[name]
    assert {name: value for name, value in found.items() if "@" in name} == pytest.approx(expected, abs=1e-9)


GOLD = made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1)])
RELATION_ONLY = made((*A, "Method"), (*D, "Task"), (*B, "Task"), links=[(0, "Used-For", 1)])
ENTITIES_ONLY = made((*A, "Method"), (*D, "Task"))


def test_one_choice_serves_all_figures_and_the_bound_takes_one_for_each():
    found = tallied(samples([GOLD]), [[None, ENTITIES_ONLY, RELATION_ONLY]], SCIER)
    assert found["best@3/rel_f1"] == pytest.approx(100) and found["best@3/ner_f1"] == pytest.approx(80)
    assert found["oracle_best@3/rel_f1"] == found["oracle_best@3/ner_f1"] == pytest.approx(100)
    assert found["avg@3/ner_f1"] == pytest.approx(60) and found["pass@3"] == 0


def test_where_there_is_nothing_to_find_nothing_is_best_but_not_no_answer():
    junk = made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1)])
    found = tallied(samples([Extraction(), GOLD]), [[junk, None, Extraction()], [GOLD] * 3], SCIER)
    assert found["best@3/rel_f1"] == pytest.approx(100) and found["pass@1"] == pytest.approx(100 * (1 / 3 + 1) / 2)
    worst = tallied(samples([Extraction(), GOLD]), [[junk, None], [GOLD] * 2], SCIER)  # both 0: the first stands
    assert worst["best@2/rel_f1"] == pytest.approx(200 / 3)


def test_one_completion_is_the_plain_figure_and_has_no_other():
    found = tallied(samples([GOLD, Extraction()]), [[RELATION_ONLY], [GOLD]], SCIER)
    assert not any("@" in name for name in found) and found["rel_f1"] == pytest.approx(200 / 3)


def test_the_same_k_times_is_once():
    found = tallied(samples([GOLD, Extraction()]), [[RELATION_ONLY] * 4, [GOLD] * 4], SCIER)
    for name in ORDER:
        assert found[f"avg@4/{name}"] == found[f"best@4/{name}"] == found[f"oracle_best@4/{name}"] == found[name]


def test_every_sample_wants_as_many():
    tally = Tally(SCIER)
    tally.add(samples([GOLD])[0], [GOLD, None])
    with pytest.raises(DataError, match="s1 has 1 completions, others have 2"):
        tally.add(samples([GOLD, GOLD])[1], [GOLD])
    with pytest.raises(DataError, match="has no answer"):
        tally.add(samples([GOLD])[0], [])


@settings(max_examples=15)
@given(questions(3))
def test_files_of_completions_give_the_same_figures(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("several")
    placed = [(gold, [one if one is None else placed_only(one) for one in pool]) for gold, pool in rows]
    golds, pools = split(placed)
    asked = [sample.model_copy(update={"corpus": "scier"}) for sample in samples(golds)]
    written = [
        Prediction(id=sample.id, completions=[text_of(sample, one) for one in pool])
        for sample, pool in zip(asked, pools, strict=True)
    ]
    write_records(folder / "gold.jsonl", asked)
    write_records(folder / "predictions.jsonl", reversed(written))
    metrics = score_files(folder / "gold.jsonl", folder / "predictions.jsonl", draws=0)
    assert figures(metrics) == pytest.approx(tallied(asked, pools, SCIER), abs=1e-9)
    assert metrics.problems.get("bad_json", 0) == sum(one is None for pool in pools for one in pool)


def placed_only(answer):
    """What gold could be as well, so that it can be written as gold is."""
    found = tuple(e for e in answer.entities if e.start is not None)
    ids = {e.id for e in found}
    return Extraction(entities=found, relations=tuple(r for r in answer.relations if {r.head, r.tail} <= ids))


def text_of(sample, answer):
    if answer is None:
        return render_completion("-", '{"entities": [')
    return render_gold(sample.model_copy(update={"gold": answer}))
