"""Placing the strings of SciER's LLM form: properties of the alignment, and an exhaustive search as the oracle."""

import json
import time
from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morerl.corpora.scier import MAX_LINKS, read
from morerl.corpora.scier_align import _AGAIN, Link, Unplaced, _price, align, assign

WORDS = st.lists(st.sampled_from(["a", "b", "ab", "(", "-", ""]), min_size=1, max_size=12)
LABELS = ("Synonym-Of", "Compare-With", "Used-For")


@given(WORDS, st.data())
def test_mentions_are_the_first_places_in_order(words, data):
    text = " ".join(words)
    picked = sorted(data.draw(st.sets(st.sampled_from([i for i, word in enumerate(words) if word] or [-1]))) - {-1})
    spans = align(text, [words[i] for i in picked])
    assert [text[start:end] for start, end in spans] == [words[i] for i in picked]
    assert all(a[1] < b[0] for a, b in pairwise(spans))
    starts = [len(" ".join(words[:i])) + (i > 0) for i in picked]
    assert all(span[0] <= start for span, start in zip(spans, starts, strict=True))  # never later than the truth
    if len(set(words)) == len(words):
        assert [span[0] for span in spans] == starts


@pytest.mark.parametrize("strings", [["tree s"], ["ree"], ["tree", "tree"], ["trees", "ree"], [""], ["( trees )"]])
def test_what_is_not_there_is_named(strings):
    assert align("a tree of trees", ["tree", "trees"]) == ((2, 6), (10, 15))
    with pytest.raises(Unplaced, match=r"mention [01] '.*' is listed . times and stands [01] times") as error:
        align("a tree of trees", strings)
    assert error.value.reason == "mention_not_found"


def test_the_order_of_mentions_counts_only_where_a_string_occurs_twice():
    assert align("a tree of trees", ["trees", "a", "tree"]) == ((10, 15), (0, 1), (2, 6))
    assert align("a tree of a wood", ["tree", "a"]) == ((2, 6), (10, 11))
    for text, strings, reason in (
        ("a tree of a wood", ["wood", "a"], "mentions_out_of_order"),
        ("x a a a", ["a a", "x"], "mentions_out_of_order"),  # `a a` may begin in two places
        ("a tree of wood", ["of wood", "tree of"], "mentions_overlap"),
    ):
        with pytest.raises(Unplaced, match=r"'") as error:
            align(text, strings)
        assert error.value.reason == reason


def test_a_sentence_of_plain_names_is_the_same_sample_in_any_order(tmp_path):
    names, triples = ["x y", "b", "z"], [("x y", "Used-For", "z"), ("b", "Used-For", "x y")]
    for order in (1, -1):
        plus = [[f"{head}:Task", label, f"{tail}:Task"] for head, label, tail in triples[::order]]
        row = {"sentence": "b in x y to z", "rel": triples[::order], "rel_plus": plus}
        line = json.dumps(row | {"ner": [[name, "Task"] for name in names[::order]]})
        (tmp_path / "dev.jsonl").write_text(line)
        (sample,) = read(tmp_path, "dev")
        assert [(e.id, e.text) for e in sample.gold.entities] == [("e0", "b"), ("e1", "x y"), ("e2", "z")]
        assert sorted((r.head, r.tail) for r in sample.gold.relations) == [("e0", "e1"), ("e1", "e2")]


@st.composite
def problems(draw):
    """Spans with few names between them, and relations by name as a true answer in order would list them."""
    gaps = draw(st.lists(st.tuples(st.integers(1, 90), st.integers(1, 9)), min_size=2, max_size=6))
    spans, at = [], 0
    for gap, size in gaps:
        spans.append((at + gap, at + gap + size))
        at += gap + size
    names = draw(st.lists(st.sampled_from("xyz"), min_size=len(spans), max_size=len(spans)))
    indices = st.integers(0, len(spans) - 1)
    pair = st.tuples(indices, indices, st.sampled_from(LABELS)).filter(lambda t: t[0] != t[1])
    truth = sorted(draw(st.lists(pair, max_size=5)), key=lambda t: t[1])
    bearers = {name: tuple(i for i, other in enumerate(names) if other == name) for name in names}
    return spans, [Link(bearers[names[h]], label, bearers[names[t]]) for h, t, label in truth], truth


def total(spans, links, pairs):
    seen, cost = Counter(), 0
    for link, (head, tail) in zip(links, pairs, strict=True):
        cost += _price(spans, head, tail, link.label) + _AGAIN * seen[link.label, head, tail]
        seen[link.label, head, tail] += 1
    return cost


def legal(links, pairs):
    joins = all(h in link.heads and t in link.tails and h != t for link, (h, t) in zip(links, pairs, strict=True))
    return joins and all(a[1] <= b[1] for a, b in pairwise(pairs))


@settings(max_examples=150)
@given(problems())
def test_the_pairs_are_the_cheapest_of_all_that_keep_the_order(problem):
    spans, links, _ = problem
    pairs = assign(spans, links)
    assert legal(links, pairs)
    choices = [list(product(link.heads, link.tails)) for link in links]
    if len(links) <= 3:
        assert total(spans, links, pairs) == min(total(spans, links, p) for p in product(*choices) if legal(links, p))


@given(problems())
def test_a_relation_between_names_that_occur_once_is_never_missed(problem):
    spans, links, truth = problem
    for link, pair, (head, tail, _) in zip(links, assign(spans, links), truth, strict=True):
        if len(link.heads) == len(link.tails) == 1:
            assert pair == (head, tail)


def test_direction_decides_between_two_heads_equally_near():
    spans = [(0, 5), (10, 15), (20, 25)]
    for label, head in {"Synonym-Of": 2, "Compare-With": 0}.items():
        assert assign(spans, [Link((0, 2), label, (1,))]) == ((head, 1),)


def test_equal_relations_take_different_pairs():
    spans = [(0, 5), (10, 15), (20, 25), (40, 45)]
    twice = [Link((0, 2), "Used-For", (1, 3))] * 2
    assert sorted(assign(spans, twice)) == [(0, 1), (2, 1)]
    assert assign(spans[:2], [Link((0,), "Used-For", (1,))] * 2) == ((0, 1), (0, 1))  # but none is dropped


def test_tails_that_step_back_are_refused_where_there_is_a_choice():
    links = [Link((0,), "Used-For", (1,)), Link((1,), "Used-For", (0,))]
    assert assign([(0, 1), (2, 3)], links) == ((0, 1), (1, 0))
    with pytest.raises(ValueError, match=r"relation 1 \(Used-For\) breaks the order"):
        assign([(0, 1), (2, 3), (4, 5)], [links[0], Link((1, 2), "Used-For", (0,))])


def test_the_largest_sentence_that_is_let_in_takes_seconds_at_most():
    everyone = tuple(range(MAX_LINKS))
    started = time.monotonic()
    assert (
        len(assign([(3 * i, 3 * i + 2) for i in everyone], [Link(everyone, "Used-For", everyone)] * MAX_LINKS))
        == MAX_LINKS
    )
    assert time.monotonic() - started < 20
