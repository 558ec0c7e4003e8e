"""The Hugging Face export: lossless, as TRL reads it, no picture but those under the image root; and the tool."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from interchange_samples import corpora, sorted_by_id
from PIL import Image

from morerl.corpora import jsonl, more
from morerl.errors import ConfigError, DataError, ImageError
from morerl.guidelines import load_spec
from morerl.images import crop, open_image
from morerl.interchange import brat, hf, label_studio, vocabulary
from morerl.jsonl import write_records
from morerl.prompts.parse import parse
from morerl.prompts.render import render, render_gold, template_of
from morerl.schema import Gold, Reject
from morerl.settings import ImageSettings, PromptSettings
from morerl.task import Label, TaskSpec, fold

ROOT = Path(__file__).parents[1]
SPEC = load_spec("more")


def back(folder):
    return [item for split in hf.splits(folder) for item in hf.read(folder, split, corpus="other")]


def rows(folder):
    from datasets import load_from_disk

    return {row["id"]: row for part in load_from_disk(folder).values() for row in part}


@pytest.fixture(scope="module")
def drawn(world):
    return [sample for split in ("train", "dev", "test") for sample in more.read(world / "raw", split)]


@pytest.fixture(scope="module")
def exported(world, drawn, tmp_path_factory):
    out = tmp_path_factory.mktemp("hf") / "out"
    assert hf.write(iter(drawn), out, SPEC, image_root=world / "raw") == len(drawn)
    return out


def test_the_drawn_world_comes_back(exported, drawn):
    assert hf.splits(exported) == ("train", "dev", "test")
    assert back(exported) == drawn


def test_every_row_is_the_prompt_its_gold_and_its_pictures(exported, drawn, world):
    prompt, images = PromptSettings(), ImageSettings()
    found = rows(exported)
    for sample in drawn[::20]:
        row = found[sample.id]
        (user,) = render(sample, SPEC, prompt, images)
        user_row, assistant = row["messages"]
        assert (user_row["role"], assistant["role"]) == ("user", "assistant")
        assert user_row["content"] == user["content"][-1]["text"]
        assert assistant["content"] == render_gold(sample, template_of(sample, prompt))
        picture = open_image(world / "raw", sample.image)
        shown = [picture, crop(picture, sample.regions[0].box)]
        assert len(row["images"]) == sum(block["type"] == "image" for block in user["content"]) == 2
        assert [a.convert("RGB").tobytes() for a in row["images"]] == [b.tobytes() for b in shown]


def test_the_whole_picture_is_the_file_itself(exported, drawn, world):
    from datasets import Image as ImageColumn
    from datasets import List, load_from_disk

    part = load_from_disk(exported)["test"].cast_column("images", List(ImageColumn(decode=False)))
    raw = {row["id"]: row["images"][0] for row in part}
    for sample in drawn:
        if sample.split == "test":
            assert raw[sample.id]["bytes"] == (world / "raw" / sample.image).read_bytes()
            assert raw[sample.id]["path"] is None


def test_trl_accepts_the_rows_as_they_are(exported, drawn):
    from trl.data_utils import is_conversational, prepare_multimodal_messages

    row = rows(exported)[drawn[0].id]
    assert is_conversational(row)
    messages = prepare_multimodal_messages(row["messages"], row["images"])
    assert [block["type"] for block in messages[0]["content"]] == ["image", "image", "text"]


def task_of(samples):
    """A guideline that knows what the samples use, as far as one can: names that differ."""
    words = vocabulary(samples, None)
    types = {fold(name): name for name in ("per", *words.types)}
    labels = {fold(name): name for name in ("none", *words.labels) if name not in types.values()}
    made = [Label(name=name, definition="d") for name in labels.values()]
    types = dict.fromkeys(types.values(), "d")
    return TaskSpec(corpus="any", protocol="more", question="q", types=types, labels=made, none=made[0].name)


def known(sample, spec):
    """The sample, without its gold where the guideline cannot know it."""
    fits = sample.gold is None or not parse(render_gold(sample), spec, sample).problems
    return sample if fits else sample.model_copy(update={"gold": None})


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(corpora(pictures=False))
def test_any_samples_come_back(samples):
    spec = task_of(samples)
    samples = [known(sample, spec) for sample in samples]
    with tempfile.TemporaryDirectory() as here:
        assert hf.write(samples, Path(here) / "a" / "out", spec) == len(samples)
        assert os.listdir(here) == ["a"] and os.listdir(Path(here) / "a") == ["out"]
        assert sorted_by_id(back(Path(here) / "a" / "out")) == sorted_by_id(samples)


def test_text_among_pictures_has_an_empty_list_and_unknown_gold_no_completion(tmp_path, world, drawn, text_pair):
    hf.write([drawn[0], text_pair().model_copy(update={"gold": None})], tmp_path / "a", SPEC, image_root=world / "raw")
    row = rows(tmp_path / "a")["text/0"]
    assert row["images"] == [] and [message["role"] for message in row["messages"]] == ["user"]
    hf.write([text_pair()], tmp_path / "b", SPEC)
    assert list(rows(tmp_path / "b")["text/0"]) == ["id", "messages", "sample"]
    with pytest.raises(DataError, match="is there already"):
        hf.write([text_pair()], tmp_path / "b", SPEC)


@pytest.mark.parametrize(
    ("change", "guideline", "message"),
    [
        ({"gold": Gold(label="invented")}, "more", r"text/0: the gold answer is none .*'more' \(unknown_label\)"),
        ({}, "scier", "text/0 asks 'pair', which the guideline 'scier' does not"),
        ({"gold": None}, "scier", "text/0 asks 'pair'"),
        ({"task": "extract", "head": None, "tail": None, "gold": None}, "wnut17", "text/0 asks 'extract'"),
        ({"task": "entities", "head": None, "tail": None, "gold": None}, "sem2010", "text/0 asks 'entities'"),
    ],
)
def test_what_the_guideline_does_not_know_is_no_lesson(tmp_path, text_pair, change, guideline, message):
    with pytest.raises(DataError, match=message):
        hf.write([text_pair().model_copy(update=change)], tmp_path / "out", load_spec(guideline))
    assert os.listdir(tmp_path) == []


def pictured(text_pair, name):
    return text_pair().model_copy(update={"image": name})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "outside_root"),
        ("none.png", "missing"),
        ("https://a.org/b.png", "url"),
        ("t.png", "not_an_image"),
    ],
)
def test_a_picture_that_cannot_be_used_names_its_sample_and_leaves_nothing(tmp_path, text_pair, name, reason):
    root = tmp_path / "root"
    root.mkdir()
    (root / "t.png").write_text("no picture")
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    with pytest.raises(ImageError, match=r"^text/0: ") as error:
        hf.write([pictured(text_pair, name)], tmp_path / "out", SPEC, image_root=root)
    assert error.value.reason == reason
    assert sorted(os.listdir(tmp_path)) == ["root", "secret.png"]


def test_pictures_need_their_root(tmp_path, text_pair):
    with pytest.raises(ConfigError, match="--image-root"):
        hf.write([pictured(text_pair, "a.png")], tmp_path / "out", SPEC)


def test_what_is_no_export_is_named(tmp_path, text_pair):
    from datasets import Dataset, DatasetDict

    for raw in (None, "{}", "[", '{"splits": 3}', '{"splits": [3]}', "[" * 100_000):
        if raw is not None:
            (tmp_path / "dataset_dict.json").write_text(raw)
        with pytest.raises(DataError, match="no folder written by"):
            hf.splits(tmp_path)
    DatasetDict(train=Dataset.from_dict({"text": ["a"]})).save_to_disk(tmp_path / "plain")
    with pytest.raises(DataError, match="no column `sample`, only text"):
        hf.read(tmp_path / "plain", "train", corpus="c")
    with pytest.raises(DataError, match="no split 'dev'; it has train"):
        hf.read(tmp_path / "plain", "dev", corpus="c")
    (tmp_path / "plain" / "rejected").mkdir()
    (tmp_path / "plain" / "dataset_dict.json").write_text('{"splits": ["../plain", "..", "rejected", "train"]}')
    assert hf.splits(tmp_path / "plain") == ("train",)
    (tmp_path / "plain" / "train" / "data-00000-of-00001.arrow").write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot read the dataset"):
        hf.read(tmp_path / "plain", "train", corpus="c")


def test_bad_rows_are_rejects(tmp_path, text_pair):
    from datasets import Dataset, DatasetDict

    good = text_pair().model_dump_json()
    column = [good, None, "{", good, good.replace("train", "test"), text_pair(1).model_dump_json()]
    DatasetDict(train=Dataset.from_dict({"sample": column})).save_to_disk(tmp_path / "a")
    first, *rejects, last = back(tmp_path / "a")
    assert (first, last) == (text_pair(), text_pair(1)) and all(isinstance(r, Reject) for r in rejects)
    assert [(r.line, r.reason) for r in rejects] == [
        (2, "bad_json"),
        (3, "bad_json"),
        (4, "duplicate_id"),
        (5, "wrong_split"),
    ]


def test_reading_and_writing_import_no_torch():
    code = "import sys, morerl.interchange.hf, morerl.interchange.brat, morerl.interchange.label_studio, datasets"
    code += "; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.stdout.strip() == "[]", done.stderr


def tool(*arguments):
    command = [sys.executable, ROOT / "tools" / "export_corpus.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("reader", [hf, label_studio, brat])
def test_the_tool_writes_what_the_readers_read(tmp_path, text_pair, reader):
    name = reader.__name__.rpartition(".")[2]
    samples = [text_pair(), text_pair(1).model_copy(update={"split": "dev", "gold": Gold(label="none")})]
    for sample in samples:
        write_records(tmp_path / f"{sample.split}.jsonl", [sample])
    files = [tmp_path / f"{split}.jsonl" for split in jsonl.splits(tmp_path)]
    done = tool(*files, "--to", name, "--guidelines", "more", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, f"2 samples in {tmp_path / 'out'}\n"), done.stderr
    assert [
        item for split in reader.splits(tmp_path / "out") for item in reader.read(tmp_path / "out", split, corpus="c")
    ] == samples


def test_the_tool_says_what_is_missing(tmp_path, text_pair):
    write_records(tmp_path / "train.jsonl", [text_pair()])
    done = tool(tmp_path / "train.jsonl", "--to", "hf", "--out", tmp_path / "out")
    assert done.returncode == 2 and "--guidelines" in done.stderr
    (tmp_path / "bad.jsonl").write_text(json.dumps({"id": "a"}))
    done = tool(tmp_path / "bad.jsonl", "--to", "brat", "--out", tmp_path / "out")
    assert done.returncode == 2 and "bad.jsonl:1" in done.stderr and not (tmp_path / "out").exists()
