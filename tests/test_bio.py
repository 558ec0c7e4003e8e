"""Reading entities in columns: the real corpora where they are present, every scheme, every way a line can be wrong."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from morerl.corpora import bio, bio_rows
from morerl.errors import DataError
from morerl.guidelines import load_spec
from morerl.schema import Reject, Sample

DATA = Path(__file__).parent / "data/bio"
COUNTS = Path(bio.__file__).parent / "counts"
SHARED = Path(__file__).parents[2] / "shared/data"
REAL = {"wnut17": "wnut17", "crossner_ai": "crossner/ai", "crossner_science": "crossner/science"}
NOTES = {"wnut17": (3394, 1009, 1287, 1079), "crossner_ai": (100, 350, 431, 1809)}
NOTES |= {"crossner_science": (200, 450, 543, 3089), "conll2003": (14041, 3250, 3453, 5648)}


def real(name):
    if not (folder := SHARED / REAL[name]).is_dir():
        pytest.skip(f"no {name} in ../shared/data/{REAL[name]}")
    return folder


def read(folder, lines, name="train.txt", split="train"):
    """Samples and rejects of a small file; lines are text or bytes, joined by newlines."""
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    (folder / name).write_bytes(b"\n".join(raw))
    items = list(bio.read(folder, split, corpus="own"))
    return [i for i in items if isinstance(i, Sample)], [i for i in items if isinstance(i, Reject)]


def found(sample):
    assert [e.id for e in sample.gold.entities] == [f"e{i}" for i in range(len(sample.gold.entities))]
    return [(e.text, e.type) for e in sample.gold.entities]


@pytest.mark.parametrize("name", REAL)
def test_real_counts_are_those_on_record(name):
    folder, counts = real(name), yaml.safe_load((COUNTS / f"{name}.yaml").read_text())["splits"]
    assert bio.splits(folder) == ("train", "dev", "test") == tuple(counts)
    for split, expected in counts.items():
        samples = list(bio.read(folder, split, corpus=name))
        assert all(isinstance(s, Sample) and s.task == "entities" and s.types == () for s in samples)
        assert samples[-1].id == f"{name}/{split}/{expected['samples']:06d}" and len(samples) == expected["samples"]
        assert Counter(e.type for s in samples for e in s.gold.entities) == expected["types"]
        assert bio.repairs(folder, split) == 0


@pytest.mark.parametrize("name", NOTES)
def test_counts_are_the_published_ones_and_the_guideline_knows_and_shows_their_types(name):
    splits = yaml.safe_load((COUNTS / f"{name}.yaml").read_text())["splits"]
    samples = [splits[split]["samples"] for split in ("train", "dev", "test")]
    assert (*samples, splits["test"]["mentions"]) == NOTES[name]
    for counts in splits.values():
        assert sum(counts["types"].values()) == counts["mentions"]
        assert counts["types"].keys() == load_spec(name).types.keys()
    types = load_spec(name).types
    for own, kind in types.items():
        marked = [re.findall(r"\[[^\]]+\]([\w-]+)", text) for text in (kind.positive, kind.near_miss)]
        assert marked[0] == [own] and marked[1][0] in types.keys() - {own} and ", since " in kind.near_miss, own


@pytest.mark.parametrize("name", REAL)
def test_real_texts_are_the_first_columns_and_entities_those_of_seqeval(name):
    entities_of = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    folder = real(name)
    for split, pattern in {"train": "*train*", "dev": "*dev*", "test": "*test.[at]*"}.items():
        (path,) = folder.glob(pattern)
        blocks = path.read_text(encoding="utf-8").replace("\n\t\n", "\n\n").split("\n\n")
        rows = [re.findall("^(.+)\t(.+)$", block, re.MULTILINE) for block in blocks]
        for sample, pairs in zip(bio.read(folder, split, corpus=name), filter(None, rows), strict=True):
            tokens, tags = zip(*pairs, strict=True)
            gold = [(" ".join(tokens[a : b + 1]), kind) for kind, a, b in entities_of(list(tags))]
            assert sample.text == " ".join(tokens) and found(sample) == gold


def test_conll2003_s_form():
    folder = DATA / "conll"
    assert bio.splits(folder) == ("train", "dev")
    samples = list(bio.read(folder, "train", corpus="c"))
    assert [s.id for s in samples] == [f"c/train/00000{i}" for i in range(1, 6)]
    assert samples[0].text == "Ostravia beats Norrby United ." and samples[0].gold.relations == ()
    assert [" ".join(f"{text}={kind}" for text, kind in found(s)) for s in samples] == [
        "Ostravia=LOC Norrby United=ORG",
        "Ilse Varga=PER Oda Kestrel=PER",
        "",
        "Velmoran=MISC Kestrel=PER Velmora=LOC",
        "SALLOWMERE=LOC",
    ]
    assert bio.repairs(folder, "train") == 0  # IOB1 asks for no B


def test_wnut17_s_form(tmp_path):
    folder = DATA / "emerging"
    train, test = (list(bio.read(folder, split, corpus="w")) for split in ("train", "test"))
    assert [s.text for s in train] == ["cant wait for Lantern Thieves", "fennick roast", ":)"]  # two lone tabs
    assert [found(s) for s in test] == [[("The Saltmarsh Letters", "creative-work")], [("velmora", "group")]]
    shutil.copy(folder / "emerging.test.conll", tmp_path)
    first, second = bio.read(tmp_path, "test", corpus="w")
    assert (first.file, first.line, first.reason) == ("emerging.test.conll", 2, "joined_tags")
    assert second.id == "w/test/000002"
    shutil.copy(folder / "emerging.test", tmp_path)
    with pytest.raises(DataError, match=r"split test: .*emerging\.test, .*emerging\.test\.conll; keep one"):
        bio.splits(tmp_path)


SCHEMES = {
    "IOB1": ("I-a I-a B-a O I-b", [(0, 2), (2, 3), (4, 5)]),
    "IOB2": ("B-a I-a B-a O I-b", [(0, 2), (2, 3), (4, 5)]),
    "IO": ("I-a I-a I-b O I-b", [(0, 2), (2, 3), (4, 5)]),
    "IOBES": ("B-a E-a S-a I-a E-b", [(0, 2), (2, 3), (3, 4), (4, 5)]),
    "BILOU": ("B-a I-a L-a U-a U-a", [(0, 3), (3, 4), (4, 5)]),
    "BMES": ("B-a M-a E-a M-a S-b", [(0, 3), (3, 4), (4, 5)]),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme(tmp_path, scheme):
    tags, expected = SCHEMES[scheme]
    ((sample,), rejects) = read(tmp_path, [f"{word} {tag}" for word, tag in zip("vwxyz", tags.split(), strict=True)])
    assert not rejects and [(e.start // 2, e.end // 2 + 1) for e in sample.gold.entities] == expected
    assert bio.repairs(tmp_path, "train") == {"IOB2": 1, "IOBES": 2, "BMES": 1}.get(scheme, 0)


@given(st.lists(st.sampled_from(["O", *(f"{p}-{t}" for p in "BIES" for t in ("x", "y-z"))]), max_size=12))
@settings(max_examples=300)
def test_entities_are_those_of_conlleval(tags):
    entities_of = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    for other in ({}, {"E": "L", "S": "U"}, {"I": "M"}):
        spans = bio.spans([other.get(tag[0], tag[0]) + tag[1:] for tag in tags])
        assert [(span.type, span.first, span.last - 1) for span in spans] == entities_of(tags)


BAD = {
    "no_tag": "Quill",
    "bad_tag": "Quill\tB-",
    "joined_tags": "Quill\tB-person,B-group",
    "not_utf8": b"Qu\xffll\tO",
}
BAD_TAGS = ["B", "o", "0", "-a", "X-a", "BI-a", "b-a", "person", "B_a", "B-a,I-a"]


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_line_is_named_and_spoils_its_sentence_only(tmp_path, reason):
    lines = ["Ida\tB-person", "", "so\tO", BAD[reason], "Oda", "", "Ida\tI-person"]
    samples, rejects = read(tmp_path, lines)
    assert [(r.file, r.line, r.reason) for r in rejects] == [("train.txt", 4, reason)] and rejects[0].detail
    assert [s.id for s in samples] == ["own/train/000001", "own/train/000003"]


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_a_tag_of_no_scheme_is_bad(tmp_path, tag):
    samples, rejects = read(tmp_path, ["a B-x", "b I-x", "", "c " + tag, "", "d B-x", "e I-x"])
    assert len(samples) == 2 and [r.line for r in rejects] == [4]
    _, rejects = read(tmp_path, ["a B-x", "b M-x", "c E-x", "d M-x", "", "d L-x"])
    assert [(r.line, r.reason) for r in rejects] == [(6, "bad_tag")]


@pytest.mark.parametrize("end", ["", " ", "\t", "  \t ", "\tO", "-DOCSTART- O", "-DOCSTART-", "-DOCSTART-\tX\tO"])
@pytest.mark.parametrize("newline", ["", "\r"])
def test_what_ends_a_sentence(tmp_path, end, newline):
    lines = ["\ufeffIda\tB-person", end, end, "Oda \t I-person \t", "\ufeffvon O"]
    samples, rejects = read(tmp_path, [line + newline for line in lines])
    assert not rejects and [s.text for s in samples] == ["Ida", "Oda \ufeffvon"]
    assert [found(s) for s in samples] == [[("Ida", "person")], [("Oda", "person")]]


def test_only_four_characters_part_columns_and_lines(tmp_path):
    odd = ["a\u00a0b", "\u2028", "c\u0085", "\u3000d", "e\x0bf", "\x1c", "\u200b", "#", '"']
    for tokens, blank in ((odd, " "), (odd, "   "), ([*odd, "North Quay"], "\t")):
        ((sample,), rejects) = read(tmp_path, [f"{token}{blank}NN{blank}B-a-b" for token in tokens])
        assert not rejects and found(sample) == [(token, "a-b") for token in tokens]


def test_a_file_without_end_fills_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(bio_rows, "MAX_TOKENS", 3)
    samples, rejects = read(tmp_path, [*["a O"] * 3, "", *["a O"] * 5, "", "a O"])
    assert [len(s.text) for s in samples] == [5, 1]
    assert [(r.line, r.reason) for r in rejects] == [(8, "sentence_too_long")]
    samples, rejects = read(tmp_path, [b"x" * 5 * bio_rows.MAX_LINE, "a O", "", "b O"])
    assert [(r.line, r.reason) for r in rejects] == [(1, "line_too_long")] and samples[0].text == "b"


NAMES = {
    ("eng.train", "eng.testa", "eng.testb"): ("train", "dev", "test"),
    ("Test.BIO", "VALID.conll", "LICENSE", "README.md", "train.py", "train.json", ".train.swp"): ("dev", "test"),
    ("my-training.tsv", "testament.iob"): ("train", "test"),
    ("deep/train.txt", "other/dev.txt"): ("train", "dev"),
    ("test.txt", "deep/train.txt"): ("test",),
}
NO_NAMES = {
    (): r"no column file in .*train, dev",
    ("README.md", "a/b/train.txt", ".git/train"): "no column file",
    ("train.txt", "wnut17train.conll"): r"split train: .*train\.txt, .*wnut17train\.conll; keep one",
    ("ai/dev.txt", "science/dev.txt"): "split dev: .*ai.*science",
    ("train_dev.txt",): "says train and dev; rename",
}


@pytest.mark.parametrize("names", [*NAMES, *NO_NAMES])
def test_the_files_of_a_folder(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a O\n")
    if names in NO_NAMES:
        with pytest.raises(DataError, match=NO_NAMES[names]):
            bio.splits(tmp_path)
    else:
        assert bio.splits(tmp_path) == NAMES[names]
        assert all(len(list(bio.read(tmp_path, split, corpus="c"))) == 1 for split in NAMES[names])
        with pytest.raises(DataError, match=r"no file of the split 'valid' in .*; it has"):
            bio.read(tmp_path, "valid", corpus="c")


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=("Cs",)), max_size=6), st.booleans()), max_size=8))
def test_any_tokens_keep_their_offsets(tmp_path_factory, pairs):
    pairs = [(re.sub("[\t\r\n ]", "", token), name) for token, name in pairs]
    pairs = [(token, name) for token, name in pairs if token not in ("", "-DOCSTART-")]
    lines = [f"{token}\t{'B-x' if name else 'O'}" for token, name in pairs]
    samples, rejects = read(tmp_path_factory.mktemp("any"), ["z\tO", *lines])
    assert not rejects and samples[0].text == " ".join(["z", *(token for token, _ in pairs)])
    assert found(samples[0]) == [(token, "x") for token, name in pairs if name]


@given(st.binary(max_size=300))
def test_any_bytes_are_samples_and_rejects(tmp_path_factory, noise):
    samples, rejects = read(tmp_path_factory.mktemp("noise"), [noise])
    assert len(samples) + len(rejects) <= noise.count(b"\n") + 1
