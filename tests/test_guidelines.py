"""The packaged guidelines say what the corpora need; a guideline of one's own fails with a clear message."""

import json
import re
from pathlib import Path

import pytest

from morerl.corpora import sem2010
from morerl.errors import ConfigError, DataError
from morerl.guidelines import known_specs, load_spec

SHARED = Path(__file__).parents[1].parent / "shared/data"
MORE_LABELS = [
    "none",
    "/per/per/opponent",
    "/per/per/partner",
    "/per/per/relatives",
    "/per/per/alternate_names",
    "/per/org/opposed_to",
    "/per/org/leader_of",
    "/per/org/member_of",
    "/per/loc/place_of_birth",
    "/per/loc/place_of_residence",
    "/per/loc/place_of_governance",
    "/per/misc/present_in",
    "/per/misc/awarded",
    "/per/misc/party",
    "/per/misc/nationality",
    "/per/misc/president",
    "/org/org/alternate_names",
    "/org/org/subsidiary",
    "/org/loc/locate_at",
    "/org/misc/present_in",
    "/loc/loc/contain",
]
OWN = """
corpus: mine
protocol: more
question: What links the two?
none: nothing
labels:
  - {name: nothing, definition: No link.}
  - {name: owns, definition: The head has the tail.}
"""
TAGGED = re.compile(r"[^<>]*<e1>[^<>]+</e1>[^<>]+<e2>[^<>]+</e2>[^<>]* -> ([\w-]+(?:\(e\d,e\d\))?)(?:, since .*)?")


@pytest.mark.parametrize("name", known_specs())
def test_every_label_is_explained_in_full(name):
    for label in load_spec(name).labels:
        assert label.definition.endswith(".") and ". " not in label.definition, label.name
        assert label.restrictions and all(text.endswith(".") for text in label.restrictions), label.name
        assert label.positive and label.near_miss, label.name


@pytest.mark.parametrize("name", known_specs())
def test_a_name_is_its_corpus_and_texts_are_unique(name):
    spec = load_spec(name)
    texts = [t for x in spec.labels for t in (x.definition, *x.restrictions, x.positive, x.near_miss)]
    assert spec.corpus == name and spec.rules and len(set(texts)) == len(texts)


def test_sem2010_has_the_nine_directed_relations_then_other():
    spec = load_spec("sem2010")
    assert [label.name for label in spec.labels] == [*sem2010.RELATIONS, "Other"]
    assert spec.answers == sem2010.LABELS and len(spec.answers) == 19
    assert spec.none == "Other" and not spec.labels[-1].directed
    assert spec.protocol == "sem2010"


def test_sem2010_examples_are_marked_and_name_their_own_answer():
    spec = load_spec("sem2010")
    for label in spec.labels:
        own, near = TAGGED.fullmatch(label.positive), TAGGED.fullmatch(label.near_miss)
        assert own and near, label.name
        assert own[1].partition("(")[0] == label.name and own[1] in spec.answers
        assert near[1].partition("(")[0] != label.name and near[1] in spec.answers


def test_more_has_its_21_labels_in_id_order():
    spec = load_spec("more")
    assert list(spec.answers) == MORE_LABELS == [label.name for label in spec.labels]
    assert spec.none == "none" == spec.answers[0] and list(spec.types) == ["per", "org", "loc", "misc"]
    released = SHARED / "more/relations_21.json"
    if released.is_file():
        assert json.loads(released.read_text()) == {name: i for i, name in enumerate(spec.answers)}


def test_more_types_are_those_of_the_label_path():
    for label in load_spec("more").labels[1:]:
        _, head, tail, _ = label.name.split("/")
        assert (label.head, label.tail) == ((head,), (tail,))


def test_more_allows_what_step_five_of_the_paper_allows():
    spec = load_spec("more")
    expected = {"per-per": 4, "per-org": 3, "per-loc": 3, "per-misc": 5}
    expected |= {"org-org": 2, "org-loc": 1, "org-misc": 1, "loc-loc": 1}
    for head in spec.types:
        for tail in spec.types:
            allowed = spec.allowed(head, tail)
            assert "none" in allowed and len(allowed) == 1 + expected.get(f"{head}-{tail}", 0)


def test_more_near_misses_name_another_label():
    for label in load_spec("more").labels:
        named = set(re.findall(r"/\w+/\w+/\w+|\bnone\b", label.near_miss))
        assert named and named <= set(MORE_LABELS) and label.name not in named, label.name


@pytest.mark.parametrize("name", known_specs())
def test_nothing_is_copied_from_the_official_guidelines_or_the_data(name):
    sources = [*SHARED.glob("sem2010/guidelines_txt/*.txt"), *SHARED.glob("sem2010/*/T*_F*.TXT")]
    if not sources:
        pytest.skip("no SemEval-2010 release in ../shared/data/sem2010")
    spec = load_spec(name)
    own = [t for x in spec.labels for t in (x.definition, *x.restrictions, x.positive, x.near_miss)]
    runs = {run for text in (*spec.rules, *own) for run in _runs(text)}
    assert not runs & {run for path in sources for run in _runs(path.read_text(encoding="utf-8"))}


def _runs(text, length=7):
    # the names of the relations, and the order they are listed in, are facts
    words = re.findall(r"[a-z0-9]+", re.sub(r"</?e[12]>|[A-Z][a-z]+ ?-\s?[A-Z][a-z]+", "", text).lower())
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def test_a_guideline_of_ones_own_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(OWN)
    spec = load_spec(str(tmp_path / "mine.yaml"))
    assert spec.answers == ("nothing", "owns") and load_spec(str(tmp_path / "mine.yaml")) is spec
    monkeypatch.chdir(tmp_path)
    assert load_spec("mine.yaml") is spec
    assert load_spec("more") is load_spec("more")


def test_one_relative_path_in_two_folders_is_two_guidelines(tmp_path, monkeypatch):
    for folder, corpus in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.yaml").write_text(OWN.replace("mine", corpus))
        monkeypatch.chdir(tmp_path / folder)
        assert load_spec("own.yaml").corpus == corpus


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'mroe'.*more,.* sem2010.*path"):
        load_spec("mroe")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.yaml: No such file"):
        load_spec(str(tmp_path / "gone.yaml"))


BROKEN = {
    "unclosed": (b"labels: [", "not valid YAML.*line 1"),
    "encoding": (b"corpus: \xff\xfe", "not valid YAML"),
    "date": (b"corpus: 2020-13-45", "not valid YAML"),
    "endless": (b"[" * 100_000, "not valid YAML"),
    "code": (b"corpus: !!python/object/apply:os.mkdir [pwned]", "not valid YAML"),
    "list": (b"- more", "valid dictionary"),
    "empty": (b"", "valid dictionary"),
    "key": (OWN.replace("question", "qestion").encode(), "question: Field required.*1 more"),
    "label": (OWN.replace("owns, def", "owns, dfe").encode(), r"labels\.1.* \(owns\): .*1 more"),
    "bare": (OWN.replace("{name: owns, definition: The head has the tail.}", "x").encode(), r"labels\.1: "),
    "protocol": (OWN.replace("protocol: more", "protocol: mroe").encode(), "protocol: Input should be"),
    "none": (OWN.replace("none: nothing", "none: nil").encode(), "none label 'nil' is not among"),
    "types": (OWN.replace("owns,", "owns, head: [per],").encode(), r"types \['per'\] are not defined"),
    "twice": (OWN.replace("owns", "nothing").encode(), "not unique"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_names_file_and_key(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = BROKEN[case]
    (tmp_path / "own.yaml").write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)own\.yaml.*" + message):
        load_spec(str(tmp_path / "own.yaml"))
    assert not (tmp_path / "pwned").exists()
