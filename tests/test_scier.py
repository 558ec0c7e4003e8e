"""Reading SciER: the real release where it is present, both forms of it, and every way a line can be wrong."""

import json
from collections import Counter
from itertools import zip_longest
from pathlib import Path

import pytest
import yaml

import morerl
from morerl.corpora.scier import RELATIONS, SPLITS, TYPES, read, splits
from morerl.errors import ConfigError, DataError
from morerl.schema import Reject, Sample

SMALL = Path(__file__).parent / "data/scier"
RAW = Path(__file__).parents[2] / "shared/data/scier"
COUNTS = yaml.safe_load((Path(morerl.__file__).parent / "corpora/counts/scier.yaml").read_text())["splits"]
# split: (entities, relations) that the LLM form alone leads to and the PLM form confirms
RECOVERED = {"dev": (2234, 1128), "test": (2947, 1611)}


@pytest.fixture(scope="module")
def real():
    if not RAW.is_dir():
        pytest.skip("no SciER release in ../shared/data/scier")
    return {split: list(read(RAW, split)) for split in ("train", "dev", "test")}


def pieces(sample):
    """Entities as (start, end, type), relations as (head, label, tail) of those."""
    at = {e.id: (e.start, e.end, e.type) for e in sample.gold.entities}
    return Counter(at.values()), Counter((at[r.head], r.label, at[r.tail]) for r in sample.gold.relations)


def found(samples):
    relations = [r.label for s in samples for r in s.gold.relations]
    types = [e.type for s in samples for e in s.gold.entities]
    counts = {"samples": len(samples), "mentions": len(types), "relations": len(relations)}
    return {**counts, "labels": dict(Counter(relations)), "types": dict(Counter(types))}


def test_real_counts_are_the_published_ones(real):
    for split, items in real.items():
        assert all(isinstance(item, Sample) for item in items)
        assert found(items) == COUNTS[split]
        assert [s.id for s in items] == [f"scier/{split}/{n:06d}" for n in range(1, len(items) + 1)]


def test_the_counts_add_up_to_the_published_totals():
    assert tuple(COUNTS) == SPLITS
    for counts in COUNTS.values():
        assert sum(counts["labels"].values()) == counts["relations"] and set(counts["labels"]) == set(RELATIONS)
        assert sum(counts["types"].values()) == counts["mentions"] and set(counts["types"]) == set(TYPES)
    totals = [sum(counts[key] for counts in COUNTS.values()) for key in ("samples", "mentions", "relations")]
    assert totals == [7722, 24518, 12083]


@pytest.mark.parametrize("split", RECOVERED)
def test_real_forms_agree_and_the_llm_form_alone_recovers_nearly_all(real, split):
    # RAW itself holds both forms, so a sample there is a row in which they agree
    listed, placed = (list(read(RAW / form, split)) for form in ("LLM", "PLM"))
    assert placed == real[split] and [s.id for s in listed] == [s.id for s in placed]
    assert [s.text for s in listed] == [s.text for s in placed] and found(listed) == found(placed)
    pairs = [(pieces(x), pieces(y)) for x, y in zip(listed, placed, strict=True)]
    assert tuple(sum((x[i] & y[i]).total() for x, y in pairs) for i in (0, 1)) == RECOVERED[split]


def test_real_gold_breaks_the_argument_types_about_as_often_as_published(real):
    spec = yaml.safe_load((Path(morerl.__file__).parent / "guidelines/scier.yaml").read_text())
    wants = {label["name"]: (label["head"], label["tail"]) for label in spec["labels"] if "head" in label}
    for split, published in {"train": 2.37, "dev": 1.30, "test": 0.88}.items():
        typed = [(h[2], y, t[2]) for s in real[split] for h, y, t in pieces(s)[1].elements() if y in wants]
        broken = sum(h not in wants[y][0] or t not in wants[y][1] for h, y, t in typed)
        assert 100 * broken / len(typed) == pytest.approx(published, abs=0.005), split


def test_small_release():
    assert splits(SMALL) == splits(SMALL / "LLM") == ("train", "dev", "test_ood")
    assert splits(SMALL / "PLM") == ("dev", "test_ood")
    first, none, typed, gates, tasks = read(SMALL, "dev")
    assert first.text.startswith("We train BranchNet ( BN : v2 ) on LeafSet ,") and first.task == "extract"
    assert [(e.id, e.text, e.type) for e in first.gold.entities[:3]] == [
        ("e0", "BranchNet", "Method"),
        ("e1", "BN : v2", "Method"),
        ("e2", "LeafSet", "Dataset"),
    ]
    assert [(r.head, r.label, r.tail) for r in first.gold.relations] == [
        ("e1", "Synonym-Of", "e0"),
        ("e0", "Trained-With", "e2"),
        ("e3", "Evaluated-With", "e4"),
    ]
    assert none.gold.entities == none.gold.relations == () == none.mentions and none.head is none.tail is None
    assert typed.text.startswith("Many   have Twigs") and [s.id[-6:] for s in (gates, tasks)] == ["000004", "000005"]


@pytest.mark.parametrize("split", ["dev", "test_ood"])
def test_small_forms_lead_to_the_same_samples(split):
    both, listed, placed = (list(read(SMALL / form, split)) for form in ("", "LLM", "PLM"))
    assert both == placed and [pieces(s) for s in listed] == [pieces(s) for s in both]
    assert [(s.id, s.text) for s in listed] == [(s.id, s.text) for s in both]


def test_ids_bear_the_corpus_asked_for():
    assert [s.id for s in read(SMALL, "test_ood", corpus="mine")] == ["mine/test_ood/000001", "mine/test_ood/000002"]


def rows(form, split="dev"):
    return [json.loads(line) for line in (SMALL / form / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def write(folder, items, split="dev"):
    folder.mkdir(parents=True, exist_ok=True)
    lines = (item if isinstance(item, bytes) else json.dumps(item).encode() for item in items)
    (folder / f"{split}.jsonl").write_bytes(b"".join(line + b"\r\n" for line in lines))
    return folder


def told(items):
    return [(i.line, i.reason) for i in items if isinstance(i, Reject)]


def changed(row, **fields):
    return {key: value for key, value in {**row, **fields}.items() if value is not None}


def related(*triples):
    return {"rel": triples, "rel_plus": [[f"{head}:Task", label, f"{tail}:Task"] for head, label, tail in triples]}


ROW = rows("LLM")[4]  # Leaf counting, twig counting -SubTask-Of-> plant imaging
FIRST = ["Leaf counting", "SubTask-Of", "plant imaging"]
(PLUS,) = related(FIRST)["rel_plus"]
NER = ROW["ner"]
TWICE = {"sentence": "a b a c", "ner": [[word, "Task"] for word in "abac"], "rel": [], "rel_plus": []}
BAD_ROWS = {
    "json": (b'{"doc_id": "702", "sentence', "bad_json"),
    "no object": (b"[]", "bad_field"),
    "no number": (b'{"sentence": NaN}', "bad_field"),
    "bytes": (b'{"sentence": "\xff\xfe"}', "bad_json"),
    "surrogate": (b'{"sentence": "\\ud800"}', "bad_json"),
    "nested": (b'{"ner": ' + b"[" * 100_000, "bad_json"),
    "long": (b'"' + b"a" * 10_000_000 + b'"', "line_too_long"),
    "lacks": (changed(ROW, rel=None), "missing_field"),
    "more": (changed(ROW, note="x"), "unknown_field"),
    "number": (changed(ROW, sentence=7), "bad_field"),
    "short": (changed(ROW, ner=[["Leaf counting"]]), "bad_field"),
    "blank": (changed(ROW, sentence=" ", ner=[], rel=[], rel_plus=[]), "empty_sentence"),
    "type": (changed(ROW, ner=[["Leaf counting", "task"]]), "unknown_type"),
    "label": (changed(ROW, **related([FIRST[0], "Is-A", FIRST[2]])), "unknown_label"),
    "unpaired": (changed(ROW, rel=[FIRST]), "rel_plus_disagrees"),
    "other": (changed(ROW, rel=[FIRST], rel_plus=[[PLUS[2], "SubTask-Of", PLUS[0]]]), "rel_plus_disagrees"),
    "absent": (changed(ROW, ner=[["root counting", "Task"], *NER]), "mention_not_found"),
    "part of a word": (changed(ROW, ner=[["Leaf count", "Task"], *NER]), "mention_not_found"),
    "empty": (changed(ROW, ner=[["", "Task"], *NER]), "mention_not_found"),
    "backwards": (changed(TWICE, ner=TWICE["ner"][::-1]), "mentions_out_of_order"),
    "overlap": (changed(TWICE, ner=[["b a", "Task"], ["a c", "Task"]]), "mentions_overlap"),
    "argument": (changed(ROW, rel=[FIRST], rel_plus=[["Leaf counting:Method", *PLUS[1:]]]), "unknown_argument"),
    "itself": (changed(ROW, **related([FIRST[0], FIRST[1], FIRST[0]])), "relation_to_itself"),
    "order": (changed(TWICE, **related(["b", "Used-For", "c"], ["a", "Used-For", "b"])), "relations_out_of_order"),
    "many": (changed(ROW, sentence="a " * 65, ner=[["a", "Task"]] * 65), "too_many"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_line_is_named_and_its_neighbours_keep_their_numbers(case, tmp_path):
    bad, reason = BAD_ROWS[case]
    good = rows("LLM")
    items = list(read(write(tmp_path / "LLM", [good[0], b"", bad, good[1]]).parent, "dev"))
    assert told(items) == [(3, reason)] and items[1].file == "LLM/dev.jsonl" and items[1].detail
    assert [(items[i].id, items[i].text) for i in (0, 2)] == [
        ("scier/dev/000001", good[0]["sentence"]),
        ("scier/dev/000003", good[1]["sentence"]),
    ]


DOC = rows("PLM")[1]
LABEL = DOC["relations"][1][0]
BAD_DOCS = {
    "type": ({"ner": [DOC["ner"][0], [[22, 23, "task"], *DOC["ner"][1][1:]]]}, [(1, "unknown_type")]),
    "outside": ({"ner": [DOC["ner"][0], [[0, 1, "Task"]]]}, [(1, "bad_span")]),
    "crossed": ({"ner": [DOC["ner"][0], [[25, 24, "Task"]]]}, [(1, "bad_span")]),
    "huge": ({"ner": [DOC["ner"][0], [[25, 10**40, "Task"]]]}, [(1, "bad_span")]),
    "twice": ({"ner": [DOC["ner"][0], DOC["ner"][1][:1] * 2]}, [(1, "duplicate_mention")]),
    "argument": ({"relations": [[], [[0, 0, *LABEL[2:]]]]}, [(1, "unknown_argument")]),
    "label": ({"relations": [[], [[*LABEL[:4], "Is-A"]]]}, [(1, "unknown_label")]),
    "lengths": ({"ner": [[]]}, [(1, "bad_field")] * 2),
    "tokens": ({"doc_tokens": DOC["doc_tokens"][1:]}, [(1, "tokens_disagree")] * 2),
    "shape": ({"relations": [[], [[1, 2, 3, "Part-Of"]]]}, [(1, "bad_field")] * 2),
    "fraction": ({"ner": [[], [[1.0, 2, "Task"]]]}, [(1, "bad_field")] * 2),
    "more": ({"clusters": []}, [(1, "unknown_field")] * 2),
    "lacks": ({"ner": None}, [(1, "missing_field")] * 2),
}


@pytest.mark.parametrize("case", BAD_DOCS)
def test_a_bad_document_keeps_the_numbers_of_the_next(case, tmp_path):
    fields, rejects = BAD_DOCS[case]
    items = list(read(write(tmp_path / "PLM", [changed(DOC, **fields), *rows("PLM", "test_ood")]).parent, "dev"))
    assert told(items) == rejects and [i.id[-6:] for i in items[2:]] == ["000003", "000004"]


@pytest.mark.parametrize("bad", [b'{"sentences": [["a"', changed(DOC, sentences=None), b'"' + b"a" * 10_000_000])
def test_a_document_that_cannot_be_counted_stops_the_reading(bad, tmp_path):
    write(tmp_path / "PLM", [DOC, bad, DOC])
    with pytest.raises(DataError, match=r"(?s)dev\.jsonl:2: .*cannot be counted.*get the file again"):
        list(read(tmp_path, "dev"))


DISAGREE = {
    "sentence": {"sentence": ROW["sentence"].replace("belong", "belongs")},
    "mentions": {"ner": NER[:2]},
    "relations": related(FIRST),
    "types": {"rel": [FIRST] * 2, "rel_plus": [PLUS, ["Leaf counting:Method", *PLUS[1:]]]},
}


@pytest.mark.parametrize("case", DISAGREE)
def test_forms_that_disagree(case, tmp_path):
    write(tmp_path / "PLM", rows("PLM"))
    write(tmp_path / "LLM", [*rows("LLM")[:4], changed(ROW, **DISAGREE[case])])
    items = list(read(tmp_path, "dev"))
    assert told(items) == [(5, "forms_disagree")] and items[4].file == "LLM/dev.jsonl"
    assert items[4].detail.startswith("relations" if case == "types" else case)


def test_forms_of_another_length_or_order(tmp_path):
    write(tmp_path / "PLM", rows("PLM"))
    write(tmp_path / "LLM", rows("LLM")[:4])
    assert told(read(tmp_path, "dev")) == [(2, "forms_disagree")]  # the second document has the row
    write(tmp_path / "LLM", [*rows("LLM"), ROW])
    assert told(read(tmp_path, "dev")) == [(6, "forms_disagree")]
    swapped = changed(ROW, ner=NER[::-1], rel=ROW["rel"][::-1], rel_plus=ROW["rel_plus"][::-1])
    write(tmp_path / "LLM", [*rows("LLM")[:4], swapped])
    assert all(a == b for a, b in zip_longest(read(tmp_path, "dev"), read(SMALL, "dev")))


def test_missing_splits(tmp_path):
    with pytest.raises(DataError, match=r"no split of SciER in .*edzq/SciER"):
        splits(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no test\.jsonl in .*LLM/ and PLM/"):
        read(SMALL, "test")
    with pytest.raises(ConfigError, match="no split 'valid'; it has train, dev, test, test_ood"):
        read(SMALL, "valid")
    (tmp_path / "LLM/dev.jsonl").mkdir(parents=True)
    with pytest.raises(DataError):
        read(tmp_path, "dev")
