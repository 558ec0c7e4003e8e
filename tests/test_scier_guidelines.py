"""SciER's guideline: the nine relations, examples that keep to their own rules, and no words of the source."""

import json
import re
from pathlib import Path

import pytest

from morerl.corpora.scier import RELATIONS, TYPES
from morerl.guidelines import load_spec

RAW = Path(__file__).parents[2] / "shared/data/scier"
SPEC = load_spec("scier")
NAMED = re.compile(r"\[([^\]]+)\](Dataset|Method|Task)")
TOLD = re.compile(r"(.+): ([^:]+?) -([\w-]+)-> ([^:,]+)(?:, since .*)?")
TYPED = {
    "Part-Of": ("Method", "Method"),
    "SubClass-Of": ("Method", "Method"),
    "SubTask-Of": ("Task", "Task"),
    "Benchmark-For": ("Dataset", "Task"),
    "Trained-With": ("Method", "Dataset"),
    "Evaluated-With": ("Method", "Dataset"),
}
EXAMPLES = [(x.name, kind, getattr(x, kind)) for x in SPEC.labels for kind in ("positive", "near_miss")]


def test_labels_types_and_signatures_are_those_of_the_guideline():
    assert SPEC.answers == RELATIONS and tuple(SPEC.types) == TYPES and SPEC.none is None
    assert {x.name: (*x.head, *x.tail) for x in SPEC.labels if x.head or x.tail} == TYPED
    assert {x.name for x in SPEC.labels if x.symmetric} == {"Synonym-Of", "Compare-With"}
    assert not any(x.directed for x in SPEC.labels) and SPEC.protocol == "scier"


@pytest.mark.parametrize(("label", "kind", "text"), EXAMPLES)
def test_examples_join_marked_entities_and_keep_to_the_rules(label, kind, text):
    sentence, head, told, tail = TOLD.fullmatch(text).groups()
    marked = NAMED.findall(sentence)
    order, types = [name for name, _ in marked], dict(marked)
    assert {head, tail} <= set(order) and told in RELATIONS and (told == label) == (kind == "positive")
    assert (types[head], types[tail]) == TYPED.get(told, (types[head], types[tail]))
    if told in ("Synonym-Of", "Compare-With"):
        assert types[head] == types[tail]
        assert (order.index(head) > order.index(tail)) == (told == "Synonym-Of")


@pytest.mark.parametrize("name", TYPES)
def test_types_are_shown_by_an_example_and_a_near_miss(name):
    kind = SPEC.types[name]
    assert [type_ for _, type_ in NAMED.findall(kind.positive)] == [name]
    assert kind.definition.endswith(".") and kind.restrictions and not NAMED.findall(kind.near_miss)


def test_nothing_is_copied_from_the_corpus():
    files = sorted(RAW.glob("LLM/*.jsonl"))
    if not files:
        pytest.skip("no SciER release in ../shared/data/scier")
    own = [t for x in SPEC.labels for t in (x.definition, *x.restrictions, x.positive, x.near_miss)]
    own += [t for x in SPEC.types.values() for t in (x.definition, *x.restrictions, x.positive, x.near_miss)]
    runs = {run for text in (*SPEC.rules, *own) for run in _runs(text)}
    small = (Path(__file__).parent / "data/scier").rglob("*.jsonl")
    runs |= {run for path in small for sentence in _sentences(path) for run in _runs(sentence)}
    assert not runs & {run for path in files for sentence in _sentences(path) for run in _runs(sentence)}


def _sentences(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield from [row["sentence"]] if "sentence" in row else map(" ".join, row["sentences"])


def _runs(text, length=6):
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
