"""Whatever a line or a model says: a result, or a named reason; never an exception, and never for long."""

import json
import re
import time

import pytest
from extract_server import completion
from hypothesis import given, settings
from hypothesis import strategies as st

from morerl.extract.findings import result_of
from morerl.extract.ground import plain
from morerl.extract.merge import _cut_off, merge
from morerl.extract.questions import questions
from morerl.extract.record import Record, Unfit, read_record
from morerl.extract.result import FoundEntity, Result
from morerl.extract.wanted import wanted
from morerl.extract.windows import windows
from morerl.prompts.parse import Parsed
from morerl.schema import Entity, Extraction

WANTED = wanted(["per", "loc"], ["lives in"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4),
    st.sampled_from(["per", "loc", "lives in", "e1", "e2", "Ada", "ada  hale", "Lyon", "\ud800", "é", 0, 3, 0.5]),
)  # fmt: skip
KEYS = st.sampled_from(
    ["text", "image", "mentions", "regions", "id", "start", "end", "box", "type", "head", "tail", "label", "nth"]
)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5))
RECORDS = ANYTHING | st.fixed_dictionaries(
    {"text": st.just("Ada Hale has moved to Lyon")},
    optional={"mentions": ANYTHING, "regions": ANYTHING, "image": st.just("a.png"), "id": ANYTHING},
)
ROWS = st.lists(st.dictionaries(KEYS, LEAVES, max_size=5) | ANYTHING, max_size=5)
TEXT = "Ada Hale has moved to Lyon. " * 8


@given(RECORDS)
def test_any_record_is_read_or_refused_by_name(raw):
    try:
        record = read_record(raw)
        asked = questions(record, WANTED, 100)[1]
    except Unfit as error:
        assert error.reason and len(str(error)) <= 500
    else:
        assert isinstance(record, Record) and asked


@pytest.mark.parametrize("key", ["id", "type"])
@pytest.mark.parametrize("what", ["mention", "region"])
def test_half_a_surrogate_pair_which_no_file_can_hold_is_refused_by_name(what, key):
    raw = {"text": "Ada", "image": "a.png"}
    raw[f"{what}s"] = [{"start": 0, "end": 3, "box": [0, 0, 1, 1], key: "a\ud800"}]
    with pytest.raises(Unfit) as refused:
        read_record(raw)
    assert refused.value.reason == f"bad_{what}" and key in str(refused.value)


def listed(answer):
    """The strings that an answer has for entities."""
    texts = [row.get("text") for row in answer["entities"] if isinstance(row, dict)]
    return [text for text in texts if isinstance(text, str) and "\ud800" not in text]


@settings(max_examples=200)
@given(st.lists(ROWS.flatmap(lambda e: ROWS.map(lambda r: {"entities": e, "relations": r})), min_size=3, max_size=3))
def test_any_answer_becomes_a_result_that_can_be_written_and_read(said):
    record = Record(None, TEXT, None, (), ())
    spec, asked = questions(record, WANTED, 100)
    texts = [completion(json.dumps(one)) for one in said]
    result = result_of(record, spec, asked, [texts[n % 3] for n in range(len(asked))])
    assert Result.model_validate_json(result.to_json()) == result
    for style in ("ent", "span", "dep"):
        json.dumps(result.to_displacy(style))
    found = [plain(f"{one.text} {one.written or ''}")[0] for one in result.entities]
    assert [name for one in said for name in listed(one) if not any(plain(name)[0].strip() in f for f in found)] == []
    assert all(e.status == "not_found" or TEXT[e.start : e.end] == e.text for e in result.entities)


def test_an_answer_of_thousands_of_entities_that_are_nowhere_takes_no_time():
    record = Record(None, TEXT, None, (), ())
    spec, asked = questions(record, WANTED, 2000)
    rows = [{"id": f"e{n}", "text": f"Nobody {n}", "type": "per"} for n in range(5000)]
    links = [{"head": f"x{n}", "label": "lives in", "tail": f"e{n}"} for n in range(2000)]
    start = time.process_time()
    result = result_of(record, spec, asked, [completion({"entities": rows, "relations": links})])
    assert len(result.entities) == 7000 and time.process_time() - start < 5


SPANS = st.tuples(st.integers(0, 15), st.integers(1, 12), st.sampled_from(["per", "loc"]))


@given(st.lists(SPANS, max_size=12))
def test_what_an_edge_cut_off_is_the_first_found_that_holds_it_and_no_edge_cut(drawn):
    shown = [(0, 12), (6, 20)]
    found = [
        FoundEntity(id=str(n), text="", type=t, start=a, end=a + b, status="exact") for n, (a, b, t) in enumerate(drawn)
    ]
    cut = [n for n, one in enumerate(found) if one.start == 6 or one.end == 12]
    around = {
        n: [m for m, o in enumerate(found) if m not in cut and o.type == found[n].type
            and o.start <= found[n].start and found[n].end <= o.end]
        for n in cut
    }  # fmt: skip
    assert _cut_off(found, shown) == {n: wholes[0] for n, wholes in around.items() if wholes}


def test_thousands_of_entities_at_edges_take_no_time():
    text = "Ada Bo " * 3000
    shown = windows(text, 20)
    answers = []
    for start, end in shown:
        words = enumerate(re.finditer(r"\w+", text[start:end]))
        rows = [Entity(id=str(n), text=w.group(), type="per", start=w.start(), end=w.end()) for n, w in words]
        answers.append(Parsed(answer=Extraction(entities=tuple(rows))))
    start = time.process_time()
    entities, _ = merge(text, WANTED.joint, shown, answers)
    assert len(entities) == 6000 and time.process_time() - start < 5


def entity_result(text, entities, relations=()):
    record = Record(None, text, None, (), ())
    spec, asked = questions(record, WANTED, 2000)
    return result_of(record, spec, asked, [completion({"entities": list(entities), "relations": list(relations)})])


def test_an_argument_in_another_spelling_is_the_entity_that_was_listed():
    rows = [{"id": "a", "text": "Hale", "type": "per"}, {"id": "b", "text": "Osei", "type": "per"}]
    result = entity_result("Hale met Osei", rows, [{"head": "hale", "label": "lives in", "tail": "b"}])
    assert [one.text for one in result.entities] == ["Hale", "Osei"]
    assert [(one.head, one.tail) for one in result.relations] == [(result.entities[0].id, result.entities[1].id)]
    assert "unknown_argument" in result.relations[0].problems


@pytest.mark.parametrize(
    ("text", "written", "stands"),
    [("The House met US officials", "us", "US"), ("Rene\u0301 left", "RENE", "Rene\u0301"), ("a bus", "us", "us")],
)
def test_a_word_is_preferred_to_a_part_of_one_and_accents_stay_with_their_letter(text, written, stands):
    (found,) = entity_result(text, [{"id": "a", "text": written, "type": "per"}]).entities
    assert found.text == stands and text[found.start : found.end] == stands


def test_ids_are_given_where_there_are_none_and_never_twice():
    raw = {
        "text": "Osei met Hale",
        "mentions": [{"id": "m1", "start": 0, "end": 4}, "Hale", {"id": None, "start": 5, "end": 8}],
    }
    record = read_record(raw)
    assert [mention.id for mention in record.mentions] == ["m1", "m3", "m2"]
