"""Reading SemEval-2010 Task 8: the real release where it is present, and every way a file can be wrong."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.corpora.sem2010 import LABELS, dev_numbers, read
from morerl.errors import ConfigError, DataError
from morerl.schema import Reject, Sample

RAW = Path(__file__).parents[1].parent / "shared/data/sem2010"
# label: train (e1,e2), train (e2,e1), test (e1,e2), test (e2,e1)
COUNTS = {
    "Cause-Effect": (344, 659, 134, 194),
    "Component-Whole": (470, 471, 162, 150),
    "Content-Container": (374, 166, 153, 39),
    "Entity-Destination": (844, 1, 291, 1),
    "Entity-Origin": (568, 148, 211, 47),
    "Instrument-Agency": (97, 407, 22, 134),
    "Member-Collection": (78, 612, 32, 201),
    "Message-Topic": (490, 144, 210, 51),
    "Product-Producer": (323, 394, 108, 123),
}
FIVE = [
    '1\t"The <e1>frost</e1> brought on the <e2>ruin</e2>."',
    "Cause-Effect(e1,e2)",
    "Comment: SECRET one",
    "",
    '2\t"She said "a <e1>jug</e1>" and paid the "old" <e2>potter</e2>"."',
    "Product-Producer(e1,e2)",
    "Comment:",
    "",
    '3\t"<e1>Bees</e1> of the <e2>swarm</e2>"',
    "Member-Collection(e1,e2)",
    "Comment: SECRET two",
    "SECRET three",
    "",
    '4\t"A <e1>nurse</e1>\u2028waited by a <e2>fountain</e2>."',
    "Other",
    "",
    '5\t"The <e1>leaflet</e1> explains the <e2>fees</e2>."',
    "Message-Topic(e1,e2)",
    "Comment: SECRET four",
]
BAD = {
    "no_label": ['7\t"A <e1>b</e1> c <e2>d</e2>."', "Comment: Other"],
    "undirected_label": ['7\t"A <e1>b</e1> c <e2>d</e2>."', "Message-Topic"],
    "unknown_label": ['7\t"A <e1>b</e1> c <e2>d</e2>."', "message-topic(e1,e2)"],
    "stray_line": ['7\t"A <e1>b</e1> c <e2>d</e2>."', "Other", "Other"],
    "bad_sentence": ["7\tA <e1>b</e1> c <e2>d</e2>.", "Other"],
    "duplicate_id": ['05\t"A <e1>b</e1> c <e2>d</e2>."', "Other"],
}
BAD_TAGS = [
    "A b c d",
    "A <e1>b</e1> c d",
    "A <e2>b</e2> c <e1>d</e1>",
    "A <e1>b <e2>c</e2></e1> d",
    "A <e1>b</e1> <e1>c</e1> <e2>d</e2>",
    "A <e1>b</e1> c <e2>d",
    "A <e1></e1> c <e2>d</e2>",
    "A <e1>b</e1> c <e2> </e2>",
]


@pytest.fixture(scope="module")
def real():
    if not RAW.is_dir():
        pytest.skip("no SemEval-2010 release in ../shared/data/sem2010")
    return {split: list(read(RAW, split)) for split in ("train", "dev", "test")}


def write(folder, lines, *, name="TRAIN_FILE.TXT", end="\r\n"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes("".join(line + end for line in lines).encode())
    return folder


def both(folder):
    """Every sample of a small training file, dev and train together, and the rejects of train."""
    train, dev = list(read(folder, "train")), list(read(folder, "dev"))
    rejects = [item for item in train if isinstance(item, Reject)]
    assert rejects == [item for item in dev if isinstance(item, Reject)]
    return [item for item in train + dev if isinstance(item, Sample)], rejects


def test_real_counts_are_the_published_ones(real):
    assert {split: len(items) for split, items in real.items()} == {"train": 7200, "dev": 800, "test": 2717}
    assert all(isinstance(item, Sample) for items in real.values() for item in items)
    train = Counter(s.gold.label for s in real["train"] + real["dev"])
    test = Counter(s.gold.label for s in real["test"])
    for relation, counts in COUNTS.items():
        directions = (relation + "(e1,e2)", relation + "(e2,e1)")
        assert (*(train[d] for d in directions), *(test[d] for d in directions)) == counts
    assert (train["Other"], test["Other"]) == (1410, 454) and set(train) == set(test) == set(LABELS)


def test_real_dev_is_a_stratified_tenth_and_keeps_the_singleton_in_train(real):
    train, dev = (Counter(s.gold.label for s in real[split]) for split in ("train", "dev"))
    assert dev["Entity-Destination(e2,e1)"] == 0 and train["Entity-Destination(e2,e1)"] == 1
    assert all(abs(dev[label] - (train[label] + dev[label]) / 10) < 1 for label in LABELS)
    numbers = {split: [int(s.id.rsplit("/", 1)[1]) for s in items] for split, items in real.items()}
    assert all(order == sorted(order) for order in numbers.values())
    assert sorted(numbers["train"] + numbers["dev"]) == list(range(1, 8001))
    assert numbers["test"] == list(range(8001, 10718))
    assert numbers["dev"][:5] == [16, 19, 33, 49, 52]  # the draw must never change between versions


def test_real_first_test_sample(real):
    sample = real["test"][0]
    assert sample.id == "sem2010/test/08001" and sample.split == "test" and sample.image is None
    assert sample.text == "The most common audits were about waste and recycling."
    assert [(m.id, m.start, m.end, m.text) for m in sample.mentions] == [
        ("m0", 16, 22, "audits"),
        ("m1", 34, 39, "waste"),
    ]
    assert (sample.head, sample.tail, sample.gold.label) == ("m0", "m1", "Message-Topic(e1,e2)")


def test_real_text_is_the_quoted_sentence_without_tags_and_nothing_else(real):
    for name, splits in (("TRAIN_FILE.TXT", ("train", "dev")), ("TEST_FILE_FULL.TXT", ("test",))):
        (path,) = RAW.rglob(name)
        printed = dict(re.findall(r'^(\d+)\t"(.*)"\r$', path.read_bytes().decode("ascii"), re.MULTILINE))
        for sample in (s for split in splits for s in real[split]):
            sentence = printed.pop(str(int(sample.id[-5:])))
            assert sample.text == re.sub(r"</?e[12]>", "", sentence)
            tagged = [m.text for m in sample.mentions]
            assert tagged == re.findall(r"<e[12]>(.*?)</e[12]>", sentence)
            assert sample.mentions[0].end <= sample.mentions[1].start
        assert not printed


def test_real_quirks_are_those_on_record(real):
    train = real["train"] + real["dev"]
    assert (sum('"' in s.text for s in train), sum('"' in s.text for s in real["test"])) == (185, 79)
    assert len({s.text for s in train} & {s.text for s in real["test"]}) == 15


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_five_items(tmp_path, end):
    samples, rejects = both(write(tmp_path / "deep/er", FIVE, end=end).parent)
    assert not rejects and [s.id for s in samples] == [f"sem2010/train/0000{i}" for i in range(1, 6)]
    assert samples[1].text == 'She said "a jug" and paid the "old" potter".'
    assert [m.text for m in samples[1].mentions] == ["jug", "potter"]
    assert samples[3].text == "A nurse\u2028waited by a fountain." and samples[3].gold.label == "Other"
    assert not any("SECRET" in s.model_dump_json() for s in samples)


def test_items_without_empty_lines_or_newline_at_the_end(tmp_path):
    lines = [line for line in FIVE if line]
    (tmp_path / "train_file.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    samples, rejects = both(tmp_path)
    assert len(samples) == 5 and not rejects


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_block_is_named_and_its_neighbours_stay(tmp_path, reason):
    samples, rejects = both(write(tmp_path / "a", [*FIVE, "", *BAD[reason]]).parent)
    assert [(r.file, r.line, r.reason) for r in rejects] == [("a/TRAIN_FILE.TXT", 21, reason)]
    assert rejects[0].detail and len(samples) == 5


@pytest.mark.parametrize("sentence", BAD_TAGS)
def test_bad_tags(tmp_path, sentence):
    samples, rejects = both(write(tmp_path, [f'9\t"{sentence}"', "Other", "Comment:", "", *FIVE]))
    assert [(r.line, r.reason) for r in rejects] == [(1, "bad_tags")] and len(samples) == 5


def test_bytes_that_are_no_text_spoil_one_item_only(tmp_path):
    write(tmp_path, FIVE)
    path = tmp_path / "TRAIN_FILE.TXT"
    path.write_bytes(path.read_bytes().replace(b"SECRET two", b"\xff\xfe"))
    samples, rejects = both(tmp_path)
    assert [r.reason for r in rejects] == ["bad_encoding"] and len(samples) == 4


def test_the_undirected_key_is_never_gold(tmp_path):
    lines = ["8001\tMessage-Topic", "8002\tProduct-Producer"]
    write(tmp_path, lines, name="TEST_FILE_KEY.TXT")
    with pytest.raises(DataError, match=r"TEST_FILE_FULL\.TXT.*TEST_FILE_KEY\.TXT cannot replace it"):
        read(tmp_path, "test")
    write(tmp_path, lines, name="TEST_FILE_FULL.TXT")
    rejects = list(read(tmp_path, "test"))
    assert [r.reason for r in rejects] == ["undirected_label"] * 2
    assert "does not say which entity comes first" in rejects[0].detail


def test_unlabelled_test_file_is_the_fallback_only(tmp_path):
    write(tmp_path, [FIVE[0], FIVE[4]], name="TEST_FILE.txt")
    write(tmp_path, ["1\tCause-Effect", "2\tProduct-Producer"], name="TEST_FILE_KEY.TXT")
    samples = list(read(tmp_path, "test"))
    assert [s.id for s in samples] == ["sem2010/test/00001", "sem2010/test/00002"]
    assert [s.gold for s in samples] == [None, None]
    write(tmp_path, FIVE[:3], name="test_file_full.txt")
    (sample,) = read(tmp_path, "test")
    assert sample.gold.label == "Cause-Effect(e1,e2)"


def test_a_comment_in_the_unlabelled_file_is_refused(tmp_path):
    write(tmp_path, FIVE[:3], name="TEST_FILE.txt")
    assert [r.reason for r in read(tmp_path, "test")] == ["stray_line"]


def test_missing_and_ambiguous_files(tmp_path):
    with pytest.raises(DataError, match=r"no TRAIN_FILE\.TXT below.*download.*S10-1006"):
        read(tmp_path / "nowhere", "dev")
    write(tmp_path / "a", FIVE)
    write(tmp_path / "b", FIVE)
    assert len(both(tmp_path)[0]) == 5
    write(tmp_path / "b", FIVE[:3])
    with pytest.raises(DataError, match="keep one"):
        read(tmp_path, "train")
    with pytest.raises(ConfigError, match="no split 'valid'; it has train, dev, test"):
        read(tmp_path, "valid")


@given(st.dictionaries(st.integers(1, 500), st.sampled_from(LABELS[:5])))
def test_dev_is_a_tenth_and_leaves_every_label_in_train(labels):
    dev = dev_numbers(labels)
    assert dev <= set(labels) and dev == dev_numbers(dict(reversed(labels.items())))
    train = Counter(label for number, label in labels.items() if number not in dev)
    assert set(train) == set(labels.values()) and abs(len(dev) - len(labels) / 10) < 2


def test_another_seed_draws_another_dev():
    labels = dict.fromkeys(range(100), "Other")
    assert len(dev_numbers(labels)) == 10 and dev_numbers(labels) != dev_numbers(labels, seed=1)


PIECE = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<"), max_size=12)


@given(PIECE, PIECE.filter(str.strip), PIECE, PIECE.filter(str.strip), PIECE)
def test_any_text_keeps_its_offsets(tmp_path_factory, before, e1, between, e2, after):
    folder = tmp_path_factory.mktemp("any")
    write(folder, [f'1\t"{before}<e1>{e1}</e1>{between}<e2>{e2}</e2>{after}"', "Other"])
    ((sample,), rejects) = both(folder)
    assert not rejects and sample.text == before + e1 + between + e2 + after
    assert [m.text for m in sample.mentions] == [e1, e2]
