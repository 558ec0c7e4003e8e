"""The JSON of extract and entities: gold comes back exactly; whatever a model writes does no harm, and is not empty."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from morerl.guidelines import load_spec
from morerl.prompts.extraction import read_extraction, write_extraction
from morerl.prompts.parse import parse
from morerl.prompts.render import render_gold
from morerl.schema import Entity, Extraction, Relation, Sample, extraction

SCIER = load_spec("scier")
TYPES, LABELS = tuple(SCIER.types), tuple(SCIER.label_names.values())
PIECES = [
    "ab",
    "cd",
    "ab cd",
    "a",
    " ",
    "  ",
    "\t",
    "\u00a0",
    "\u2028",
    "é",
    "e\u0301",
    "漢字",
    '"',
    "\\",
    "{",
    "\0",
    "```",
]
TAGS = ["<answer>", "</answer>", "<think>", "</think>", "</answer", "&lt;"]


def asked(text="red kite and kite", **fields):
    return Sample(**{"id": "s", "corpus": "c", "split": "test", "text": text, "task": "extract"} | fields)


def read(answer, sample=None):
    """An answer without relations stands for one that says there are none."""
    written = answer if isinstance(answer, str) else json.dumps({"relations": []} | answer)
    return read_extraction(written, SCIER, sample or asked())


def short(value):
    return ascii(value)[:24]


def meant(found):
    """What an extraction says, whatever its ids and its order."""
    at = {e.id: (e.start, e.end, e.type) for e in found.entities}
    return sorted(at.values()), sorted((at[r.head], r.label, at[r.tail]) for r in found.relations)


@st.composite
def gold_samples(draw, pieces=PIECES, task="extract"):
    """Repeated words, nested, overlapping and equal spans, several blanks, any characters; relations both ways."""
    text = draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=10).map("".join))
    span = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 12)).map(lambda at: (at[0], min(sum(at), len(text))))
    spans = draw(st.lists(st.tuples(span, st.sampled_from(TYPES)), max_size=6))
    entities = tuple(
        Entity(id=f"g{i}", text=text[start:end], type=kind, start=start, end=end)
        for i, ((start, end), kind) in enumerate(spans)
    )
    end = st.sampled_from([e.id for e in entities] or ["-"])
    link = st.builds(Relation, head=end, tail=end, label=st.sampled_from(LABELS))
    links = draw(st.lists(link, max_size=5)) if entities and task == "extract" else ()
    return asked(text, task=task, gold=Extraction(entities=entities, relations=tuple(links)))


@settings(max_examples=200)
@given(gold_samples() | gold_samples(task="entities"))
def test_gold_comes_back_exactly(sample):
    found, _ = read(write_extraction(sample), sample)
    assert found is not None and meant(found) == meant(extraction(sample))
    assert [" ".join(sample.text[e.start : e.end].split()) for e in found.entities] == [e.text for e in found.entities]


@settings(max_examples=100)
@given(gold_samples(pieces=["ab", "cd", "ab cd", " ", "  ", "漢字"]))
def test_gold_has_no_problem_unless_an_entity_is_blank(sample):
    found, problems = read(write_extraction(sample), sample)
    assert problems == ([] if all(e.text for e in found.entities) else ["bad_item"])


@settings(max_examples=100)
@given(gold_samples(pieces=[*PIECES[:6], *TAGS]))
def test_gold_comes_back_through_the_form_whatever_the_text(sample):
    parsed = parse(render_gold(sample), SCIER, sample)
    assert parsed.answer is not None and meant(parsed.answer) == meant(extraction(sample))
    assert set(parsed.problems) <= {"bad_item"}


def test_a_text_that_holds_the_tags_of_the_form():
    tag = Entity(id="g", text="</answer>", type="Task", start=4, end=13)
    sample = asked("the </answer> tag", gold=Extraction(entities=(tag,)))
    parsed = parse(render_gold(sample), SCIER, sample)
    assert parsed.problems == () and meant(parsed.answer) == meant(sample.gold)


# --- what a model may write

NONE = {
    "bad_json": [
        *("", " ", "null", "nan", "NaN", "[]", "0", "true", '""', "{", "}{", '{"entities": [', "[" * 100_000, "\0"),
        *('{"entities": [], "entities": []}', '{"entities": [{"text": "kite", "text": "red"}]}', "{'entities': []}"),
        '{"entities": []} x',
        *('{"entities": [], "x": ' + "9" * 5000 + "}", '{"entities": ' + "[" * 50_000 + "]" * 50_000 + "}", "\ud800"),
        *("```", "```json\n```", "``` {} ```", "```json\n[]\n```", "{} {}", "1e999", "x" * 100_000),
    ],
    "no_relations": ['{"entities": [], "relations": {}}', '{"entities": [], "relations": null}', '{"entities": []}'],
    "no_entities": ["{}", '{"relations": []}', '{"entities": null}', '{"entities": {}}', '{"entities": "kite"}'],
}


@pytest.mark.parametrize(
    ("problem", "inner"), [(name, text) for name, texts in NONE.items() for text in texts], ids=short
)
def test_garbage_is_no_answer_and_never_an_empty_one(problem, inner):
    found, problems = read(inner)
    assert found is None and problem in problems


def test_relations_under_another_name_are_not_none_at_all():
    for name in ("rel", "triples"):
        assert read('{"entities": [], "' + name + '": []}') == (None, ["no_relations"])
    assert read({"entities": [], "relations": [], "notes": "x"}) == (Extraction(), ["unknown_key"])
    names = asked(task="entities")
    assert read('{"entities": []}', names) == (Extraction(), [])
    assert read('{"entities": [], "relations": [{"head": 1}]}', names) == (Extraction(), ["unknown_key"])


def test_an_empty_answer_is_one():
    assert read({"entities": []}) == (Extraction(), [])
    assert read("```json\n" + '{"entities": [],\n "relations": []}' + "\n```\n") == (Extraction(), ["fenced_json"])


ODD = {
    "bad_item": [None, 1, "kite", [], {}, {"text": "kite"}, {"type": "Task"}, {"text": 1, "type": "Task"}],
    "bad_item, not text": [{"text": "\ud800", "type": "Task"}, {"text": " ", "type": "Task"}, {"text": {}, "type": []}],
    "unknown_type": [{"text": "kite", "type": "Bird"}, {"text": "kite", "type": "Tasks"}],
    "not_in_text": [{"text": "Kite", "type": "Task"}, {"text": "zz", "type": "Task"}, {"text": "\0", "type": "Task"}],
    "bad_place": [
        *({"text": "kite", "type": "Task", "nth": n} for n in (0, 3, -1, 1.0, True, "1", 10**4000)),
        *({"text": "kite", "type": "Task", "start": a, "end": b} for a, b in [(0, 4), (-4, 8), (8, 4), (4, 10**4000)]),
        {"text": "kite", "type": "Task", "start": 4},
        {"text": "ed", "type": "Task", "start": True, "end": 3},
    ],
}


@pytest.mark.parametrize(
    ("problem", "item"), [(name, item) for name, items in ODD.items() for item in items], ids=short
)
def test_a_bad_entity_is_named_and_stays(problem, item):
    good = {"text": "red", "type": "Task"}
    found, problems = read({"entities": [good, item]})
    assert [(e.start, e.end, e.type) for e in found.entities[:1]] == [(0, 3, "Task")] and len(found.entities) == 2
    assert problems == [problem.partition(",")[0]]


KITES = [{"id": "a", "text": "red kite", "type": "method"}, {"id": 2, "text": "kite", "type": "Task"}]
LINKS = {
    "bad_item": [None, 1, [], {}, {"head": "a", "tail": "2"}, {"head": "a", "tail": "2", "label": "\ud800"}],
    "unknown_label": [{"head": "a", "tail": "2", "label": "Used For The"}],
    "unknown_argument": [{"head": "a", "tail": "zz", "label": "Used-For"}, {"head": 7, "tail": 2, "label": "Used-For"}],
}


@pytest.mark.parametrize(
    ("problem", "link"), [(name, link) for name, links in LINKS.items() for link in links], ids=short
)
def test_a_bad_relation_is_named_and_stays(problem, link):
    found, problems = read({"entities": KITES, "relations": [link]})
    assert len(found.relations) == 1 and problem in problems and set(problems) <= {problem, "unknown_argument"}


def test_ids_strings_and_spellings():
    links = [("a", 2), ("a", "2"), ("red kite", "kite"), (2, "a")]
    rows = [{"head": head, "tail": tail, "label": "used-for"} for head, tail in links]
    found, problems = read({"entities": KITES, "relations": rows})
    assert [(e.id, e.type, e.start, e.end) for e in found.entities] == [("a", "Method", 0, 8), ("2", "Task", 13, 17)]
    assert [(r.head, r.label, r.tail) for r in found.relations[:3]] == [("a", "Used-For", "2")] * 3
    assert (found.relations[3].head, found.relations[3].tail) == ("2", "a") and problems == []


def test_a_string_means_the_closest_pair_and_not_one_entity_twice():
    text = "kite one kite two kite"
    kites = [{"text": "kite", "type": "Task"}] * 3 + [{"text": "two", "type": "Task"}]
    pairs = [("two", "kite"), ("kite", "kite")]
    rows = [{"head": head, "tail": tail, "label": "Used-For"} for head, tail in pairs]
    found, problems = read({"entities": kites, "relations": rows}, asked(text))
    starts = {e.id: e.start for e in found.entities}
    assert [(starts[r.head], starts[r.tail]) for r in found.relations] == [(14, 18), (0, 9)] and problems == []


def test_repeated_ids_stay_apart_and_only_the_types_asked_for_are_known():
    twice = [{"id": "a", "text": "red", "type": "Task"}, {"id": "a", "text": "kite", "type": "Method"}]
    found, problems = read({"entities": twice}, asked(types=("Task",)))
    assert len({e.id for e in found.entities}) == 2 and set(problems) == {"repeated_id", "unknown_type"}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6)
KEYS = st.sampled_from(["entities", "relations", "id", "text", "type", "head", "tail", "label", "nth", "start", "end"])
WORDS = st.sampled_from(["kite", "red", "Task", "Used-For", "#1", "\ud800", "\0", 2, 10**30])
VALUES = st.recursive(
    SCALARS | WORDS, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=5), max_leaves=20
)
OBJECTS = st.fixed_dictionaries({"entities": st.lists(VALUES, max_size=4)}, optional={"relations": VALUES})


@settings(max_examples=150)
@given(VALUES | OBJECTS)
@example({"entities": [{"text": "kite", "type": "Task", "nth": 2}] * 3, "relations": [{"head": "kite"}]})
def test_any_json_is_read_item_for_item_or_not_at_all(value):
    found, problems = read(json.dumps(value))
    lists = isinstance(value, dict) and [value.get("entities"), value.get("relations")]
    if not lists or not all(isinstance(one, list) for one in lists):
        assert found is None and problems
        return
    assert [len(found.entities), len(found.relations)] == [len(one) for one in lists]
    text = asked().text
    assert all(e.start is None or " ".join(text[e.start : e.end].split()) == e.text for e in found.entities)
    assert Extraction.model_validate_json(found.model_dump_json()) == found


@given(st.text(st.characters() | st.sampled_from('{}[]",:\\`\n')))
def test_any_text_is_read_without_harm(text):
    for inner in (text, f"```json\n{text}\n```", '{"entities": [' + text + "]}"):
        found, problems = read(inner)
        assert problems if found is None else isinstance(found, Extraction)


LONG = {
    "entities": json.dumps({"entities": [{"text": "kite", "type": "Task"}] * 2900}),
    "strings": json.dumps({"entities": [{"text": f"a {i} b", "type": "Task"} for i in range(2500)]}),
    "one string": json.dumps({"entities": [{"text": "kite and " * 11_000, "type": "Task"}]}),
    "ids": json.dumps({"entities": [{"id": "#1" + "#" * i, "text": "kite"} for i in range(400)]}),
    "relations": json.dumps({"entities": KITES, "relations": [{"head": "kite", "tail": "a", "label": "x"}] * 2400}),
    "fence": "```" + "\n" * 2000,
    "fence within": "```json\n" + "\n" * 2000 + "x",
    "blanks": " " * 100_000,
}


@pytest.mark.parametrize("kind", LONG)
def test_a_hundred_thousand_characters_are_read_within_a_second(kind):
    start = time.perf_counter()
    read(LONG[kind], asked("red kite and kite " * 20))
    assert time.perf_counter() - start < 1
