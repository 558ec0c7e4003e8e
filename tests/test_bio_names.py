"""Which corpus a folder of column files is, what is told of it, and the lines that are no token: pictures, ids, \\r."""

from pathlib import Path

import pytest

from morerl.corpora import bio
from morerl.schema import Reject, Sample

DATA = Path(__file__).parent / "data/bio"
SHARED = Path(__file__).parents[2] / "shared/data"
REAL = {"wnut17": "wnut17", "crossner_ai": "crossner/ai", "crossner_science": "crossner/science"}
CONLL, WNUT = ("PER", "LOC", "ORG", "MISC"), ("person", "location", "corporation", "product", "creative-work", "group")


def folder(root, name, types, *tags):
    (made := root / name).mkdir()
    lines = [f"Quill\tB-{kind}" for kind in types] + [f"Ida\t{tag}" for tag in tags]
    (made / "train.txt").write_text("\n".join(lines))
    return made


@pytest.mark.parametrize("name", [*REAL, "conll2003"])
def test_the_corpus_is_known_by_its_types(name):
    path = DATA / "conll" if name == "conll2003" else SHARED / REAL[name]
    if not path.is_dir():
        pytest.skip(f"no {name} in {path}")
    assert bio.guess_corpus(path) == name and bio.notes(path, name) == []


@pytest.mark.parametrize("name", ["CoNLL", "conll03", "my CoNLL-2003 (en)", "conllpp"])
def test_the_four_types_of_many_corpora_are_conll2003_where_the_folder_says_so(tmp_path, name):
    assert bio.guess_corpus(folder(tmp_path, name, CONLL)) == "conll2003"


OTHERS = {
    "Broad Twitter": ("broad_twitter", ("PER", "LOC", "ORG"), None),
    "conll_btc": ("conll_btc", ("PER", "LOC"), None),  # types of the guideline, but not all
    "My Own-Set.2": ("my_own_set_2", CONLL, "conll2003"),
    "conll-2002": ("conll_2002", CONLL, "conll2003"),
    "conll2012": ("conll2012", CONLL, "conll2003"),
    "tweets": ("tweets", ("person", "location"), None),
    "more": ("more", ("per",), None),  # a type of the guideline of MORE, which is not about entities alone
    "wnut and more": ("wnut_and_more", (*WNUT, "other"), None),
    "O alone": ("o_alone", (), None),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_corpus_has_its_folder_s_name_and_a_hint_where_the_types_fit(tmp_path, name):
    expected, types, hint = OTHERS[name]
    made = folder(tmp_path, name, types, "O")
    assert bio.guess_corpus(made) == expected
    told = f"the types fit the guideline {hint}; give --name {hint} if it is that corpus"
    assert bio.notes(made, expected) == ([told] if hint else [])
    assert bio.notes(made, "conll2003") == []  # the name was given


def test_entities_that_open_without_a_b_are_told_by_split(tmp_path):
    made = folder(tmp_path, "own", ("a", "a"), "O", "I-a", "O", "I-b")
    (made / "dev.txt").write_text("Ida\tB-a\n")
    assert bio.notes(made, "own") == ["train: 2 entities open without a B, and are read so"]


def read(root, content):
    (root / "train.txt").write_bytes(content)
    items = list(bio.read(root, "train", corpus="own"))
    return [i for i in items if isinstance(i, Sample)], [(i.line, i.reason) for i in items if isinstance(i, Reject)]


@pytest.mark.parametrize("bad", [b"Ida\tB-x\rOda\tB-x", b"Ida\rB-x", b"Ida\tB-x\r\rOda\tB-x\r", b"\rIda\tB-x"])
def test_a_carriage_return_inside_a_line_is_named(tmp_path, bad):
    assert read(tmp_path, bad) == ([], [(1, "bad_line_end")])
    samples, rejects = read(tmp_path, b"a\tO\r\n\r\n" + bad + b"\n\nb\tO\r\r\n")
    assert [s.text for s in samples] == ["a", "b"] and rejects == [(3, "bad_line_end")]


def test_an_imgid_line_gives_its_sentence_a_picture(tmp_path):
    lines = b"IMGID:1212\nRT\tO\nIda\tB-PER\n\nno\tO\n\nIMGID:17_06-O.2\r\nOda\tI-PER\n\nIMGID:9\n\nlast O"
    samples, rejects = read(tmp_path, lines)
    assert [(s.text, s.image) for s in samples] == [
        ("RT Ida", "1212.jpg"),
        ("no", None),
        ("Oda", "17_06-O.2.jpg"),
        ("last", None),
    ]
    assert not rejects and [len(s.gold.entities) for s in samples] == [1, 0, 1, 0]
    assert read(tmp_path, b"a O\nIMGID:2\nb O") == ([], [(2, "no_tag")])
    assert read(tmp_path, b"IMGID:2 O")[0][0].text == "IMGID:2"  # a token with its tag


@pytest.mark.parametrize("name", ["", "../x", "a/b", "..", ".x", "a\\b", "C:x", "http://x", "x\0"])
def test_an_imgid_that_is_no_plain_name_spoils_its_sentence(tmp_path, name):
    samples, rejects = read(tmp_path, f"a\tO\n\nIMGID:{name}\nb\tO\n\nc\tO".encode())
    assert [s.text for s in samples] == ["a", "c"] and rejects == [(3, "bad_image_path")]


@pytest.mark.parametrize("line", ["# id", "# id 5b0e\tdomain=en", "# id 5b0e domain=en", "# id\t7"])
def test_an_id_line_before_a_sentence_is_passed_over(tmp_path, line):
    samples, rejects = read(tmp_path, f"{line}\nIda _ _ B-PER\n\n\n{line}\nOda _ _ B-PER\n".encode())
    assert not rejects and [s.text for s in samples] == ["Ida", "Oda"]
    samples, rejects = read(tmp_path, b"# O\nidle O\n# id O\n\n# idle O")
    assert not rejects and [s.text for s in samples] == ["# idle #", "#"]  # tokens
