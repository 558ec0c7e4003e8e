"""Out and back: any samples survive every format; Label Studio and brat as their users leave them."""

import json
import os
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from interchange_samples import corpora, sorted_by_id
from PIL import Image

from morerl.corpora import jsonl, more, sem2010
from morerl.errors import DataError, ImageError
from morerl.guidelines import load_spec
from morerl.interchange import brat, by_split, label_studio, new_folder
from morerl.jsonl import write_records
from morerl.schema import Region, Sample

REGION = Region(id="r0", box=(0.1, 0.2, 0.3, 0.4))
SLOW_DRAWS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def back(tool, folder):
    return [item for split in tool.splits(folder) for item in tool.read(folder, split, corpus="other")]


def out_and_back(tool, samples, *rest):
    """What comes back, after a look that nothing was written but the export."""
    with tempfile.TemporaryDirectory() as here:
        assert tool.write(samples, Path(here) / "a" / "out", *rest) == len(samples)
        assert os.listdir(here) == ["a"] and os.listdir(Path(here) / "a") == ["out"]
        return back(tool, Path(here) / "a" / "out")


@SLOW_DRAWS
@given(corpora())
def test_any_samples_come_back_from_label_studio(samples):
    assert sorted_by_id(out_and_back(label_studio, samples)) == sorted_by_id(samples)


@SLOW_DRAWS
@given(corpora(pictures=False))
def test_any_samples_without_pictures_come_back_from_brat(samples):
    assert sorted_by_id(out_and_back(brat, samples)) == sorted_by_id(samples)


@SLOW_DRAWS
@given(corpora())
def test_any_samples_come_back_from_jsonl(samples):
    with tempfile.TemporaryDirectory() as here:
        for split, part in by_split(samples).items():
            write_records(Path(here) / f"{split}.jsonl", part)
        assert back(jsonl, Path(here)) == [one for part in by_split(samples).values() for one in part]


@pytest.mark.parametrize("tool", [label_studio, brat])
def test_an_export_is_whole_or_not_there(tmp_path, tool, text_pair):
    picture = text_pair(1).model_copy(update={"id": "b", "image": "../up.png", "regions": (REGION,)})
    with pytest.raises(DataError, match=r"^b"):
        tool.write([text_pair(), picture], tmp_path / "out")
    assert os.listdir(tmp_path) == []
    tool.write([text_pair()], tmp_path / "out")
    with pytest.raises(DataError, match="is there already"):
        tool.write([text_pair()], tmp_path / "out")
    assert back(tool, tmp_path / "out") == [text_pair()]


def test_what_no_export_can_hold(tmp_path, text_pair):
    with pytest.raises(DataError, match="no sample to export"):
        by_split([])
    with pytest.raises(DataError, match="'text/0' occurs twice"):
        by_split([text_pair(), text_pair()])
    for split in ("..", "a/b", "", ".hidden", "x" * 65, "rejected", "Rejected", "train\n"):
        with pytest.raises(DataError, match="no plain name"):
            by_split([text_pair().model_copy(update={"split": split})])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"), new_folder(tmp_path / "file" / "out"):
        pass


@pytest.mark.parametrize("tool", [label_studio, brat, jsonl])
def test_an_empty_folder_and_a_missing_one_are_named(tmp_path, tool):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="want"):
            tool.splits(folder)
        with pytest.raises(DataError, match="want"):
            list(tool.read(folder, "train", corpus="c"))


def test_jsonl_names_every_bad_line(tmp_path, text_pair, monkeypatch):
    good = text_pair().model_dump_json()
    other = text_pair(1).model_dump_json()
    lines = [good, "", "{", good, other.replace('"train"', '"test"'), other.replace('"start":0', '"start":1')]
    lines += ["[" * 100_000, other + "x" * 600, "\ufeff" + good, other.replace("Hale", "\\ud800"), other]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "rejected.jsonl").write_text(good)
    monkeypatch.setattr(jsonl, "MAX_LINE", 700)
    assert jsonl.splits(tmp_path) == ("train",)
    *items, last = jsonl.read(tmp_path, "train")
    assert items[0] == text_pair() and last == text_pair(1)
    assert [(item.line, item.reason) for item in items[1:]] == [
        (3, "bad_json"),
        (4, "duplicate_id"),
        (5, "wrong_split"),
        (6, "bad_field"),
        (7, "line_too_long"),
        (8, "line_too_long"),
        (9, "bad_json"),
        (10, "bad_json"),
    ]


def test_label_studio_offers_the_guideline_and_what_the_samples_use(tmp_path, text_pair):
    picture = text_pair(1, "<odd> & new").model_copy(update={"image": "p/1 é.jpg", "regions": (REGION,)})
    label_studio.write([text_pair(), picture], tmp_path / "out", load_spec("more"))
    view = ElementTree.parse(tmp_path / "out" / "config.xml").getroot()
    names = {tag.tag: [child.get("value") for child in tag] for tag in view}
    assert names["Relations"] == [*load_spec("more").answers, "<odd> & new"]
    assert names["Labels"] == ["per", "org", "loc", "misc", "Mention"] and names["RectangleLabels"] == ["Region"]
    assert [(tag.tag, tag.get("value")) for tag in view if tag.get("value")] == [("Text", "$text"), ("Image", "$image")]


def test_label_studio_writes_the_size_of_pictures_at_hand(tmp_path, world):
    samples = list(more.read(world / "raw", "dev"))
    label_studio.write(samples, tmp_path / "out", image_root=world / "raw")
    task = json.loads((tmp_path / "out" / "dev.json").read_text())[0]
    with Image.open(world / "raw" / samples[0].image) as picture:
        assert (
            task["annotations"][0]["result"][0].items()
            >= {
                "type": "rectanglelabels",
                "original_width": picture.width,
                "original_height": picture.height,
            }.items()
        )
    assert back(label_studio, tmp_path / "out") == samples
    with pytest.raises(ImageError, match=samples[0].id):
        label_studio.write(samples, tmp_path / "other", image_root=tmp_path)


def test_label_studio_refuses_a_label_that_xml_cannot_hold(tmp_path, text_pair):
    with pytest.raises(DataError, match="cannot show"):
        label_studio.write([text_pair(label="a\0b")], tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("tool", [label_studio, brat])
def test_the_real_dev_sentences_of_semeval_come_back(tmp_path, tool):
    raw = Path(__file__).parents[2] / "shared/data/sem2010"
    if not raw.is_dir():
        pytest.skip("no SemEval-2010 release in ../shared/data/sem2010")
    samples = list(sem2010.read(raw, "dev"))
    assert tool.write(samples, tmp_path / "out", load_spec("sem2010")) == 800
    assert sorted_by_id(back(tool, tmp_path / "out")) == samples


def test_brat_offers_the_guideline_under_names_it_can_hold(tmp_path, text_pair):
    sample = text_pair(label="Cause-Effect(e2,e1)")
    brat.write([sample], tmp_path / "out", load_spec("sem2010"))
    conf = (tmp_path / "out" / "annotation.conf").read_text()
    assert conf.startswith("[entities]\nMention\n") and "\nCause-Effect_e2_e1_\tArg1:<ENTITY>, Arg2:<ENTITY>\n" in conf
    assert conf.count("Arg1:") == 19
    (name,) = {path.stem for path in (tmp_path / "out" / "train").iterdir()}
    assert name == "text=2F0"
    lines = (tmp_path / "out" / "train" / "text=2F0.ann").read_text().splitlines()
    assert lines[:3] == ["T1\tMention 0 4\tHale", "T2\tMention 11 15\tOsei", "R1\tCause-Effect_e2_e1_ Arg1:T1 Arg2:T2"]
    assert lines[3].startswith("#1\tMorerl document\t{") and lines[4:] == [
        '#2\tAnnotatorNotes R1\t"Cause-Effect(e2,e1)"'
    ]


def test_brat_names_of_one_case_do_not_meet(tmp_path):
    ids = ["a/b", "A/B", "x" * 300, "X" * 300]
    samples = [Sample(id=id_, corpus="c", split="train", text=id_, task="extract") for id_ in ids]
    brat.write(samples, tmp_path / "out")
    names = [path.name.casefold() for path in (tmp_path / "out" / "train").iterdir()]
    assert len(set(names)) == 8 and max(map(len, names)) < 200
    assert sorted_by_id(back(brat, tmp_path / "out")) == sorted_by_id(samples)
