"""Named entities: conlleval's figures by seqeval itself, strict IOB2, and the string sets a type at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import blog_counts, macro_of_gold, micro, ner_counts, prf
from random_answers import NER, extractions, figures, made, samples

from morerl.schema import Extraction
from morerl.scoring import score

TEXT = "aa bb aa bb cc dd"  # words of one length, so that word i starts at 3 i
TYPES = ("person", "location", "product")
WORDS = len(TEXT.split())
ANYWHERE = [(0, 2), (3, 5), (6, 8), (0, 5), (3, 8), (9, 17), (0, 1), (4, 8)]  # the last two cut a word


@pytest.fixture(scope="module")
def seqeval():
    """Its default mode, which is conlleval's, its strict mode, and the scheme."""
    names = ("seqeval.metrics.sequence_labeling", "seqeval.metrics.v1", "seqeval.scheme")
    return [pytest.importorskip(name) for name in names]


def scored(golds, answers, protocol="ner"):
    return score(samples(golds, task="entities", text=TEXT), answers, NER, protocol=protocol, draws=0)


@st.composite
def chunks(draw):
    """Entities that touch but never overlap, each of whole words."""
    rows, at = [], 0
    while at < WORDS:
        length = draw(st.integers(1, min(3, WORDS - at)))
        kind = draw(st.sampled_from((*TYPES, None)))
        rows += [] if kind is None else [(3 * at, 3 * (at + length) - 1, kind)]
        at += length
    return made(*rows, text=TEXT)


def tags(found, n):
    """IOB2 tags of `n` words of the form "w0 w1 w2 ...", all of one length, and how many entities they cannot show."""
    row, hidden, seen = ["O"] * n, 0, set()
    for e in found.entities:
        first, after = (e.start // 3, (e.end + 1) // 3) if e.start is not None else (0, 0)
        if (e.start, e.end, e.type) in seen:
            continue
        if e.start is None or e.start % 3 or (e.end + 1) % 3 or any(tag != "O" for tag in row[first:after]):
            hidden += 1
            continue
        seen.add((e.start, e.end, e.type))
        row[first:after] = [f"B-{e.type}"] + [f"I-{e.type}"] * (after - first - 1)
    return row, hidden


def anywhere(**options):
    return extractions(places=ANYWHERE, types=TYPES, labels=(), text=TEXT, **options)


@settings(max_examples=60)
@given(st.lists(st.tuples(chunks(), chunks() | st.none()), min_size=1, max_size=6))
def test_mentions_are_counted_as_seqeval_counts_them(seqeval, rows):
    metrics, _, _ = seqeval
    golds, answers = zip(*rows, strict=True)
    truth, guess = ([tags(one or Extraction(), WORDS)[0] for one in side] for side in (golds, answers))
    found = scored(golds, answers)
    for prefix in ("", "strict_"):
        for name in ("precision", "recall", "f1"):
            expected = getattr(metrics, f"{name}_score")(truth, guess, zero_division=0)
            assert figures(found)[prefix + name] == pytest.approx(100 * expected, abs=1e-9)
    kinds = sorted({tag[2:] for row in truth + guess for tag in row} - {""})
    by_type = metrics.precision_recall_fscore_support(truth, guess, average=None, zero_division=0)
    for kind, *expected in zip(kinds, *by_type, strict=True):
        line = found.per_label[kind]
        assert [line["precision"], line["recall"], line["f1"]] == pytest.approx([100 * x for x in expected[:3]])
        assert line["gold"] == expected[3]
    held = [f1 for f1, support in zip(*by_type[2:], strict=True) if support]
    assert found.figures["macro_f1"] == pytest.approx(100 * sum(held) / len(held) if held else 0)


@settings(max_examples=50)
@given(st.lists(st.tuples(anywhere(gold=True), anywhere() | st.none()), min_size=1, max_size=4))
def test_strict_is_what_iob2_tags_can_show_and_the_rest_is_lost(seqeval, rows):
    _, v1, scheme = seqeval
    golds, answers = zip(*rows, strict=True)
    sides = [[tags(one or Extraction(), WORDS) for one in side] for side in (golds, answers)]
    truth, guess = ([row for row, _ in side] for side in sides)
    gold, shown = (sum(tag[0] == "B" for row in side for tag in row) for side in (truth, guess))
    precision = (
        v1.precision_recall_fscore_support(truth, guess, average="micro", scheme=scheme.IOB2, zero_division=0)[0]
        if shown and gold
        else 0.0
    )
    lost_of_gold, lost = (sum(hidden for _, hidden in side) for side in sides)
    expected = prf(round(precision * shown), shown + lost, gold + lost_of_gold)
    found = figures(scored(golds, answers))
    assert {name: found[f"strict_{name}"] for name in expected} == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(anywhere(gold=True), anywhere() | st.none()), min_size=1, max_size=5))
def test_mentions_and_string_sets_are_the_oracles(rows):
    golds, answers = zip(*rows, strict=True)
    found = figures(scored(golds, answers))
    parts = {"": ner_counts, "blog_": blog_counts, "blog_possible_": blog_possible}
    for prefix, counts in parts.items():
        expected = micro(counts, golds, answers)
        assert {name: found[prefix + name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert found["blog_possible_precision"] >= found["blog_precision"] - 1e-9
    assert found["blog_possible_recall"] == pytest.approx(found["blog_recall"])
    assert found["macro_f1"] == pytest.approx(macro_of_gold(golds, answers), abs=1e-9)


def blog_possible(gold, answer):
    return blog_counts(gold, answer, possible_only=True)


def test_possible_only_hides_the_alarms_of_types_that_gold_lacks():
    gold, answer = made((0, 2, "person"), text=TEXT), made((0, 2, "person"), (3, 5, "location"), text=TEXT)
    found = figures(scored([gold, Extraction()], [answer, answer]))
    assert found["blog_possible_f1"] == pytest.approx(100) and found["blog_f1"] == pytest.approx(40)
    blog = scored([gold, Extraction()], [answer, answer], "ner_blog")
    assert blog.primary == {"name": "blog_f1", "value": pytest.approx(40)} and blog.figures["f1"] == pytest.approx(40)


def test_a_string_said_once_covers_its_set_but_one_mention_only():
    gold = made((0, 2, "person"), (6, 8, "person"), text=TEXT)
    found = figures(scored([gold], [made((0, 2, "person"), text=TEXT)]))
    assert found["blog_f1"] == pytest.approx(100) and found["recall"] == pytest.approx(50)
    assert found["exact_match"] == 0


def test_invented_strings_cost_precision_each_time():
    gold = made((0, 2, "person"), text=TEXT)
    found = figures(scored([gold], [made((0, 2, "person"), ("zz", "person"), ("zz", "person"), text=TEXT)]))
    assert found["precision"] == pytest.approx(100 / 3) and found["recall"] == pytest.approx(100)
    assert found["blog_precision"] == pytest.approx(50)


@settings(max_examples=50)
@given(st.lists(st.tuples(anywhere(gold=True), anywhere()), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_gold_scores_100_and_order_does_not_matter(rows, chance):
    golds = [gold for gold, _ in rows]
    if any(gold.entities for gold in golds):
        perfect = figures(scored(golds, golds))
        assert all(perfect[name] == pytest.approx(100) for name in ("f1", "blog_f1", "blog_possible_f1", "macro_f1"))
    moved = chance.sample(rows, k=len(rows))
    turned = [(gold, Extraction(entities=answer.entities[::-1])) for gold, answer in moved]
    one, other = (figures(scored(*zip(*x, strict=True))) for x in (rows, turned))
    same = [name for name in one if not name.startswith("strict")]  # there the first of two that overlap stands
    assert [one[name] for name in same] == pytest.approx([other[name] for name in same])


@given(chunks(), anywhere(), st.sampled_from([("zz", "person"), (9, 11, "made-up"), ("aa", "made-up")]))
def test_a_wrong_mention_more_never_raises_f1(gold, answer, wrong):
    (extra,) = made(wrong, text=TEXT).entities
    worse = Extraction(entities=(*answer.entities, extra.model_copy(update={"id": "w"})))
    before, after = figures(scored([gold], [answer])), figures(scored([gold], [worse]))
    names = ("f1", "strict_f1", "blog_f1", "exact_match")
    assert all(after[name] <= before[name] + 1e-9 for name in names if name != "blog_f1" or wrong[-1] == "made-up")
