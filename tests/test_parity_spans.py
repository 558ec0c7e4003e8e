"""The span protocols against their second implementations, and what must hold whatever the answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import PARTS, rel_counts, rel_plus_counts, scier
from random_answers import LABELS, SCIER, extractions, figures, made, questions, samples

from morerl.schema import Extraction
from morerl.scoring import is_right, score

OUTCOMES = {"right", "wrong_type", "wrong_direction", "wrong_label", "wrong_boundary", "missed", "unparseable"}
F1 = [f"{part}_f1" for part in PARTS]
A, B = (0, 2), (3, 5)  # two words of the text, and the two words beside them
C, D = (6, 8), (9, 11)


def scored(golds, answers, spec=SCIER, **options):
    return score(samples(golds), answers, spec, draws=0, **options)


@settings(max_examples=150)
@given(questions())
def test_every_figure_of_scier_is_the_oracles(rows):
    golds, answers = [gold for gold, _ in rows], [answer for _, (answer,) in rows]
    expected = scier(golds, answers) | {"unparseable": 100 * answers.count(None) / len(answers)}
    assert figures(scored(golds, answers)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60)
@given(extractions(gold=True), extractions(), st.none() | extractions())
def test_gold_scores_100_and_rel_plus_is_below_rel(gold, other, answer):
    perfect = figures(scored([gold], [gold]))
    assert all(perfect[f"{part}_f1"] == pytest.approx(100 if gold.entities else 0) for part in ("ner", "string_ner"))
    assert all(perfect[name] == pytest.approx(100 if gold.relations else 0) for name in F1 if "rel" in name)
    assert perfect["exact_match"] == 100 and is_right(samples([gold])[0], gold, SCIER)
    found = figures(scored([gold, gold], [other, answer]))
    for part in ("rel", "string_rel", "relaxed_rel"):
        for figure in ("precision", "recall", "f1"):
            assert found[f"{part}_plus_{figure}"] <= found[f"{part}_{figure}"] + 1e-9
    assert found["relaxed_rel_recall"] >= found["rel_recall"] - 1e-9


WRONG = [
    {"rows": [(*A, "Made-Up")]},
    {"rows": [("zz", "Method")]},
    {"rows": [(*A, "Made-Up"), (*D, "Made-Up")], "links": [(0, "Made-Up", 1)]},
    {"rows": [("zz", "Method"), ("yy", "Task")], "links": [(0, "Used-For", 1)]},
    {"rows": [], "links": [(7, "Used-For", 8)]},
]


@pytest.mark.parametrize("wrong", WRONG)
@settings(max_examples=40)
@given(gold=extractions(gold=True), answer=extractions())
def test_a_wrong_item_more_never_raises_f1(wrong, gold, answer):
    more = made(*wrong["rows"], links=wrong.get("links", ()))
    renamed = [e.model_copy(update={"id": f"w{e.id}"}) for e in more.entities]
    links = [r.model_copy(update={"head": f"w{r.head}", "tail": f"w{r.tail}"}) for r in more.relations]
    worse = Extraction(entities=(*answer.entities, *renamed), relations=(*answer.relations, *links))
    before, after = figures(scored([gold], [answer])), figures(scored([gold], [worse]))
    assert all(after[name] <= before[name] + 1e-9 for name in (*F1, "exact_match"))


@settings(max_examples=60)
@given(questions(), st.randoms(use_true_random=False))
def test_order_of_samples_and_of_items_does_not_matter(rows, chance):
    shuffled = [(mixed(gold, chance), mixed(answer, chance)) for gold, (answer,) in chance.sample(rows, k=len(rows))]
    one, other = (scored(*zip(*x, strict=True)) for x in ([(gold, answer) for gold, (answer,) in rows], shuffled))
    assert figures(one) == pytest.approx(figures(other), abs=1e-9)
    assert one.per_label == other.per_label and one.errors == other.errors


def mixed(answer, chance):
    if answer is None:
        return None
    items = {
        name: chance.sample(getattr(answer, name), k=len(getattr(answer, name))) for name in Extraction.model_fields
    }
    return Extraction(**items)


def test_a_sample_that_is_all_wrong_keeps_its_false_positives():
    gold = made((*A, "Method"), (*B, "Task"), links=[(0, "Used-For", 1)])
    junk = made((*C, "Task"), (*D, "Task"), links=[(0, "Used-For", 1)])
    found = figures(scored([gold, gold, Extraction()], [gold, junk, junk]))
    assert found["rel_precision"] == pytest.approx(100 / 3) and found["rel_recall"] == pytest.approx(50)
    assert found["ner_precision"] == pytest.approx(100 / 3) and found["rel_f1"] == pytest.approx(40)


def test_an_answer_that_cannot_be_parsed_is_no_empty_one():
    gold = made((*A, "Method"))
    empty, none = (scored([gold, Extraction()], [answer] * 2) for answer in (Extraction(), None))
    assert figures(empty)["exact_match"] == 50 and figures(none)["exact_match"] == 0
    assert figures(none)["unparseable"] == 100 and figures(none)["ner_recall"] == 0
    assert not is_right(samples([Extraction()])[0], None, SCIER)


def test_rel_plus_asks_for_the_spans_types_not_for_the_entity_that_is_named():
    gold = made((*A, "Method"), (*B, "Task"), links=[(0, "Used-For", 1)])
    for head in (0, 1):  # one span given with both types
        answer = made((*A, "Task"), (*A, "Method"), (*B, "Task"), links=[(head, "Used-For", 2)])
        assert figures(scored([gold], [answer]))["rel_plus_f1"] == pytest.approx(100)
    twice = made((*A, "Task"), (*A, "Method"), (*B, "Task"), links=[(0, "Used-For", 2), (1, "Used-For", 2)])
    assert figures(scored([gold], [twice]))["rel_plus_f1"] == pytest.approx(100)


@pytest.mark.parametrize("label", LABELS)
def test_only_symmetric_labels_may_stand_in_either_order_and_only_when_relaxed(label):
    gold = made((*A, "Task"), (*B, "Task"), links=[(0, label, 1)])
    turned = made((*A, "Task"), (*B, "Task"), links=[(1, label, 0)])
    found = figures(scored([gold], [turned]))
    expected = 100 if label in ("Synonym-Of", "Compare-With") else 0
    assert found["rel_f1"] == found["rel_plus_f1"] == found["string_rel_f1"] == 0
    assert found["relaxed_rel_f1"] == found["relaxed_rel_plus_f1"] == pytest.approx(expected)


def test_strings_count_once_and_spans_each_time():
    gold = made((*A, "Method"), (*C, "Method"), (*B, "Task"), links=[(0, "Used-For", 2), (1, "Used-For", 2)])
    half = made((*A, "Method"), (*B, "Task"), links=[(0, "Used-For", 1)])
    found = figures(scored([gold], [half]))
    assert found["rel_recall"] == pytest.approx(50) and found["ner_recall"] == pytest.approx(200 / 3)
    assert found["string_rel_f1"] == found["string_ner_f1"] == pytest.approx(100)


# --- the table of errors

BOTH = {"missed": 1, "spurious": 1}
GOLD = made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1)])
CASES = {
    "right": (made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1)]), {"right": 1}),
    "wrong_type": (made((*A, "Task"), (*D, "Task"), links=[(0, "Used-For", 1)]), {"wrong_type": 1}),
    "wrong_direction": (made((*A, "Method"), (*D, "Task"), links=[(1, "Used-For", 0)]), {"wrong_direction": 1}),
    "wrong_label": (made((*A, "Method"), (*D, "Task"), links=[(0, "Part-Of", 1)]), {"wrong_label": 1}),
    "wrong_boundary": (made((0, 5, "Method"), (*D, "Task"), links=[(0, "Used-For", 1)]), {"wrong_boundary": 1}),
    "missed": (made((*A, "Method"), (*D, "Task")), {"missed": 1}),
    "missed, said nothing": (Extraction(), {"missed": 1}),
    "unparseable": (None, {"unparseable": 1}),
    "spurious": (
        made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1), (1, "Part-Of", 0)]),
        {"right": 1, "spurious": 1},
    ),
    "elsewhere": (made((*B, "Method"), (*C, "Task"), links=[(0, "Used-For", 1)]), BOTH),
    "label and order wrong": (made((*A, "Method"), (*D, "Task"), links=[(1, "Part-Of", 0)]), BOTH),
    "not in the text": (made(("zz", "Method"), (*D, "Task"), links=[(0, "Used-For", 1)]), BOTH),
    "no entity": (made((*A, "Method"), links=[(0, "Used-For", 7)]), BOTH),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_error_has_its_case(case):
    answer, expected = CASES[case]
    assert scored([GOLD], [answer]).errors == expected


def test_of_two_that_fit_each_is_used_once():
    gold = made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1), (0, "Part-Of", 1)])
    answer = made((*A, "Method"), (*D, "Task"), links=[(0, "Used-For", 1), (0, "Used-For", 1)])
    assert scored([gold], [answer]).errors == {"right": 1, "missed": 1}
    answer = made((*A, "Method"), (*D, "Task"), links=[(0, "Compare-With", 1), (0, "Synonym-Of", 1)])
    assert scored([gold], [answer]).errors == {"wrong_label": 2}


@settings(max_examples=60)
@given(questions())
def test_errors_are_a_partition_of_the_relations(rows):
    golds, answers = [gold for gold, _ in rows], [answer for _, (answer,) in rows]
    errors = dict.fromkeys(OUTCOMES | {"spurious"}, 0) | scored(golds, answers).errors
    read = [(gold, answer or Extraction()) for gold, answer in zip(golds, answers, strict=True)]
    unread = [gold for gold, answer in zip(golds, answers, strict=True) if answer is None]
    mute = sum(not gold.relations for gold in unread)  # what cannot be read counts once where there is nothing to miss
    right, given_, gold_ = (sum(column) for column in zip(*(rel_counts(*pair) for pair in read), strict=True))
    assert set(errors) == OUTCOMES | {"spurious"} and sum(errors[name] for name in OUTCOMES) == gold_ + mute
    assert sum(errors.values()) - errors["missed"] - errors["unparseable"] == given_
    assert errors["right"] == sum(rel_plus_counts(*pair)[0] for pair in read)
    assert errors["right"] + errors["wrong_type"] == right
    assert errors["unparseable"] == sum(rel_counts(gold, gold)[2] for gold in unread) + mute
