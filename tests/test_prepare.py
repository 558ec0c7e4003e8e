"""tools/prepare_corpus.py: samples, counts beside those on record, rejects and exit codes; pictures opened once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from morerl.corpora import more, sem2010
from morerl.corpora.prepare import Counts, Pictures, Published, beside, prepare_split, published
from morerl.jsonl import read_records, read_samples, write_records
from morerl.schema import Reject, Sample

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared/data"
DATA = Path(__file__).parent / "data"


def prepare(*arguments):
    command = [sys.executable, ROOT / "tools/prepare_corpus.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("format_", "folder", "name", "splits"),
    [
        ("scier", "scier", "scier", {"train": 5575, "dev": 713, "test": 854}),
        ("sem2010", "sem2010", "sem2010", {"train": 7200, "dev": 800, "test": 2717}),
        ("bio", "wnut17", "wnut17", {"train": 3394, "dev": 1009, "test": 1287}),
        ("bio", "crossner/ai", "crossner_ai", {"train": 100, "dev": 350, "test": 431}),
        ("bio", "crossner/science", "crossner_science", {"train": 200, "dev": 450, "test": 543}),
    ],
)
def test_the_counts_of_real_corpora_are_those_on_record(tmp_path, format_, folder, name, splits):
    raw = SHARED / folder
    if not raw.is_dir():
        pytest.skip(f"needs the corpus {folder} beside the repository")
    done = prepare(format_, raw, "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    if name == "sem2010":
        assert "15 texts stand in both train and test; they are kept" in done.stdout
    assert f"{name}: found" in done.stdout and "every count on record is met" in done.stdout
    assert {split: len(read_samples(tmp_path / f"{split}.jsonl")) for split in splits} == splits
    assert published(name).splits.keys() >= ({"test"} if name == "sem2010" else set(splits))


@pytest.mark.parametrize(
    ("format_", "folder"),
    [("more", "more/release"), ("mnre", "more/mnre"), ("umre", "more/umre"), ("scier", "scier"), ("bio", "bio/conll")],
)
def test_small_hand_made_corpora_of_every_form(tmp_path, format_, folder):
    done = prepare(format_, DATA / folder, "--out", tmp_path, "--allow-rejects", "99")
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.glob("*.jsonl") if path.name != "rejected.jsonl"]
    assert files and all(read_samples(path) for path in files)
    if format_ in ("mnre", "umre", "more"):
        assert all(sample.corpus == format_ for path in files for sample in read_samples(path))


def test_what_was_prepared_can_be_prepared_again(tmp_path):
    prepare("bio", DATA / "bio/conll", "--out", tmp_path / "once", "--name", "mine")
    done = prepare("jsonl", tmp_path / "once", "--out", tmp_path / "twice")
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "once").glob("*.jsonl"):
        assert path.read_text() == (tmp_path / "twice" / path.name).read_text()
    assert prepare("jsonl", tmp_path / "once", "--out", tmp_path / "named", "--name", "other").returncode == 0
    assert {one.corpus for one in read_samples(tmp_path / "named" / "train.jsonl")} == {"other"}


def test_a_bad_line_is_named_and_ends_with_3_unless_so_many_are_allowed(tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(DATA / "more/release", raw)
    (train,) = raw.glob("txt/train*")
    train.write_text(train.read_text() + "{\n")
    lines = len(train.read_text().splitlines())
    done = prepare("more", raw, "--out", tmp_path / "out", "--skip-pictures")
    assert done.returncode == 3 and "1 lines rejected (1 not_a_literal)" in done.stderr
    (reject,) = read_records(tmp_path / "out/rejected.jsonl", Reject)
    assert (reject.line, reject.reason) == (lines, "not_a_literal") and f"{reject.file}:{lines}" in done.stderr
    again = prepare("more", raw, "--out", tmp_path / "out", "--skip-pictures", "--allow-rejects", "1")
    assert again.returncode == 0


def test_a_reject_of_a_file_that_makes_two_splits_counts_once(tmp_path):
    block = '{}\t"The <e1>hinge</e1> of the <e2>gate</e2> squeaks."\n{}\nComment:\n\n'
    raw = tmp_path / "raw"
    raw.mkdir()
    blocks = [block.format(n, "Component-Whole(e1,e2)") for n in range(1, 21)]
    (raw / "TRAIN_FILE.TXT").write_text("".join([*blocks, block.format(21, "Component-Whole")]))
    done = prepare("sem2010", raw, "--out", tmp_path / "out")
    assert done.returncode == 3 and "1 lines rejected (1 undirected_label)" in done.stderr
    assert sem2010.splits(raw) == ("train", "dev")
    assert "differs: train+dev samples: found 20, published 8000" in done.stdout


def test_a_folder_without_the_corpus_ends_with_2_and_one_message(tmp_path):
    (tmp_path / "empty").mkdir()
    for format_ in ("more", "sem2010", "scier", "bio", "mrc", "jsonl", "hf", "label_studio", "brat"):
        done = prepare(format_, tmp_path / "empty", "--out", tmp_path / "out")
        assert done.returncode == 2, (format_, done)
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
        assert not (tmp_path / "out").exists()


def test_what_two_splits_share_is_said_and_a_shared_id_ends_with_2(tmp_path, pictured):
    for split, numbers in (("train", (0, 1)), ("test", (2, 3))):
        rows = [pictured("img/good.png", number).model_copy(update={"split": split}) for number in numbers]
        write_records(tmp_path / f"raw/{split}.jsonl", rows)
    arguments = ["jsonl", tmp_path / "raw", "--image-root", tmp_path, "--out", tmp_path / "out"]
    done = prepare(*arguments)
    assert done.returncode == 0 and "1 pictures stand in both train and test, e.g. img/good.png" in done.stdout
    assert "1 samples stand in both train and test, alike but for their id" in " ".join(done.stdout.split())
    test = tmp_path / "raw/test.jsonl"
    test.write_text(test.read_text().replace("s2", "s0"))
    done = prepare(*arguments)
    assert done.returncode == 2 and "1 sample ids stand in both train and test, e.g. 's0'" in done.stderr


def test_what_would_lose_files_is_refused(tmp_path):
    prepare("bio", DATA / "bio/conll", "--out", tmp_path / "a", "--name", "mine")
    done = prepare("jsonl", tmp_path / "a", "--out", tmp_path / "a")
    assert done.returncode == 2 and "is the folder that is read" in done.stderr
    done = prepare("jsonl", tmp_path / "a", "--out", tmp_path / "b", "--image-root", tmp_path / "gone")
    assert done.returncode == 2 and "is no folder" in done.stderr
    (tmp_path / "file").touch()
    done = prepare("jsonl", tmp_path / "a", "--out", tmp_path / "file/x")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (tmp_path / "a/dev.jsonl").write_text("")
    done = prepare("jsonl", tmp_path / "a", "--out", tmp_path / "b")
    assert done.returncode == 2 and "no sample in dev; is the file whole" in done.stderr
    (tmp_path / "a/dev.jsonl").unlink()
    (tmp_path / "b/old.jsonl").touch()
    assert "old.jsonl is from another time" in prepare("jsonl", tmp_path / "a", "--out", tmp_path / "b").stdout


# --- pictures


@pytest.fixture
def pictured(tmp_path):
    """A folder of pictures, and how to ask about one."""
    (tmp_path / "img").mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / "img/good.png")
    (tmp_path / "img/cut.png").write_bytes((tmp_path / "img/good.png").read_bytes()[:60])
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "img/moving.webp", save_all=True, append_images=frames[1:])

    def make(name, number=0):
        fields = {"mentions": [{"id": "m0", "start": 0, "end": 1, "text": "a"}], "head": "m0", "tail": "m0"}
        return Sample.model_validate(
            {"id": f"s{number}", "corpus": "c", "split": "train", "text": "ab", "image": name, **fields}
        )

    return make


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("img/good.png", None),
        ("img/gone.png", "missing"),
        ("img/cut.png", "truncated"),
        ("img/moving.webp", "animated"),
        ("img/../../x.png", "outside_root"),
        ("../nowhere/x.png", "outside_root"),  # refused wherever it leads
        ("/nonexistent/x.png", "outside_root"),
        ("file:///nowhere/x.png", "url"),
        ("http://127.0.0.1/x.png", "url"),
        ("gone.png", "missing"),
        ("gone/good.png", None),  # no such folder: told, not judged
    ],
)
def test_a_bad_picture_rejects_its_samples_by_name(tmp_path, pictured, name, reason):
    pictures = Pictures(tmp_path)
    rows = [pictured(name, number) for number in range(3)]
    counts, rejects = prepare_split(rows, tmp_path / "out.jsonl", pictures)
    assert counts.samples == (0 if reason else 3) and [row.reason for row in rejects] == [reason] * len(rejects)
    assert pictures.opened == (name != "gone/good.png") and bool(pictures.unchecked) == (name == "gone/good.png")
    if reason:
        assert len(rejects) == 3 and rejects[2].file == name and rejects[2].detail.startswith("s2: ")


def test_every_picture_is_opened_once_and_none_if_so_asked(tmp_path, pictured, monkeypatch):
    opened = []
    from morerl.corpora import prepare as module

    monkeypatch.setattr(module, "open_image", lambda root, name: opened.append(name))
    rows = [pictured("img/good.png", number) for number in range(5)]
    prepare_split(rows, tmp_path / "out.jsonl", Pictures(tmp_path))
    assert opened == ["img/good.png"]
    prepare_split(rows, tmp_path / "out.jsonl", Pictures(tmp_path, skip=True))
    assert opened == ["img/good.png"]


# --- counts


def test_figures_stand_beside_the_record_joint_splits_too():
    found = {"train": Counts(samples=3), "dev": Counts(samples=1)}
    found["train"].labels["x"] = 2
    record = Published(
        source="s", splits={"train+dev": {"samples": 5, "x": 2}, "dev": {"y": 1}, "test": {"samples": 9}}
    )
    rows = {(row.split, row.figure): (row.found, row.published, row.differs) for row in beside(found, record)}
    assert rows["train+dev", "samples"] == (4, 5, True) and rows["train+dev", "x"] == (2, 2, False)
    assert rows["dev", "y"] == (0, 1, True) and rows["train", "samples"] == (3, None, False)
    assert not any(split == "test" for split, _ in rows)


def test_twenty_thousand_facts_are_prepared_in_seconds(tmp_path):
    import time

    raw = tmp_path / "raw"
    (raw / "txt").mkdir(parents=True)
    row = {
        "img_id": "0400.jpg",
        "text": "Ana Ruiz wins the long race that nobody thought she could win , again",
        "h": {"name": ["Ana", "Ruiz"], "pos": [0, 2]},
        "t": {"name": "[OBJ0]", "pos": ("0.5", "0.4", "0.2", "0.4")},
        "relation": "/per/per/alternate_names",
    }
    row["token"] = row["text"].split()
    (raw / "txt/train.txt").write_text((repr(row) + "\n") * 20_000)
    started = time.process_time()
    counts, rejects = prepare_split(more.read(raw, "train"), tmp_path / "out.jsonl", Pictures(raw))
    assert time.process_time() - started < 10
    assert (counts.samples, rejects) == (20_000, []) and sum(1 for _ in (tmp_path / "out.jsonl").open()) == 20_000


def test_writing_and_counting_holds_no_samples(tmp_path):
    import tracemalloc

    line = {"corpus": "c", "split": "train", "text": "a" * 200, "task": "entities", "gold": {"entities": []}}
    rows = (Sample.model_validate({"id": f"s{n}", **line}) for n in range(20_000))
    tracemalloc.start()
    prepare_split(rows, tmp_path / "out.jsonl", Pictures(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    write_records(tmp_path / "none.jsonl", [])
