"""The extractor on a real model of this machine: good and bad pictures, a run's own guideline, other schemas."""

import struct
import zlib

import pytest
from engine_models import build
from PIL import Image

from morerl import Extractor
from morerl.config import dump_settings
from morerl.errors import ConfigError, ImageError
from morerl.extract.wanted import of_spec, wanted
from morerl.guidelines import load_spec

BOXES = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]


@pytest.fixture
def run(make_settings, narrow_model, tmp_path):
    """A model in a run's folder, beside the settings that made it; and the folder of its pictures."""
    stage = tmp_path / "run" / "grpo"
    stage.mkdir(parents=True)
    (stage / "config.yaml").write_text(dump_settings(make_settings()))
    (stage / "model").symlink_to(narrow_model)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.effect_noise((90, 60), 60).convert("RGB").save(pictures / "a.png")
    return stage / "model", pictures


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_models_folder_is_the_same_however_its_path_is_written(run, make_settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = ["run/grpo/model", "./run/grpo/model", "run/../run/grpo/model/", tmp_path / "run" / "grpo" / "model"]
    marks = {Extractor.from_pretrained(path).mark for path in typed}
    assert len(marks) == 1
    (tmp_path / "run/grpo/config.yaml").write_text(dump_settings(make_settings(prompt={"template": "guided"})))
    assert Extractor.from_pretrained("run/grpo/model").mark not in marks


def test_one_bad_picture_is_one_reported_record(run, tmp_path):
    model, pictures = run
    (pictures / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:600])
    (pictures / "text.png").write_text("no picture")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 6_000, 8, 2, 0, 0, 0))
    (pictures / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    (pictures / "link.png").symlink_to(tmp_path / "outside.png")
    bad = {
        "cut.png": "truncated",
        "text.png": "not_an_image",
        "huge.png": "too_many_pixels",
        "../outside.png": "outside_root",
        "link.png": "outside_root",
        "/etc/passwd": "outside_root",
        "none.png": "missing",
        "http://127.0.0.1:1/a.png": "url",
        "file:///etc/passwd": "url",
        "data:image/png;base64,AAAA": "url",
        "a\0.png": "outside_root",
        "": "bad_image",
    }
    extractor = Extractor.from_pretrained(model, image_root=pictures)
    pair = {"text": "Hale helps Osei", "mentions": ["Hale"], "regions": BOXES}
    records = [record for name in bad for record in ({**pair, "image": name}, {**pair, "image": "a.png"})]
    out = list(extractor.extract_many(records, batch_size=5))
    assert [one.error.reason for one in out[::2]] == list(bad.values())
    assert all(one.error is None and len(one.answers) == 2 for one in out[1::2])
    with pytest.raises(ImageError, match="local files"):
        extractor.extract("x", "https://example.org/a.png", mentions=["x"], regions=BOXES)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"regions": [[0, 0, 1, 2]]}, "bad_region"),
        ({"regions": [[0.5, 0, 0.5, 1]]}, "bad_region"),
        ({"regions": "r0"}, "bad_region"),
        ({"regions": [{"id": "m0", "box": BOXES[0]}]}, "repeated_id"),
        ({"regions": BOXES, "image": None}, "bad_region"),
        ({"mentions": [[0, 99]]}, "bad_mention"),
        ({"mentions": [{"start": 0, "end": 4, "text": "Osei"}]}, "bad_mention"),
        ({"mentions": ["Hale", "Hale"]}, "bad_mention"),
        ({"mentions": [], "regions": []}, "no_arguments"),
        ({"regions": []}, "one_argument"),
    ],
)
def test_a_record_that_cannot_be_asked_is_named(extractor, fields, reason):
    pair = {"text": "Hale helps Osei", "image": "a.png", "mentions": ["Hale"], "regions": BOXES}
    (result,) = extractor.extract_many([pair | fields])
    assert result.error.reason == reason and result.text == "Hale helps Osei"


@pytest.fixture
def extractor(run):
    return Extractor.from_pretrained(run[0], image_root=run[1])


def test_a_run_knows_its_guideline_and_how_it_was_asked(run, extractor):
    assert extractor.wanted == of_spec(load_spec("more"))
    assert extractor._prompt.template == "stepwise_brief"
    by_name = Extractor.from_pretrained(run[0], "more", image_root=run[1])
    assert by_name._prompt.template == "stepwise_brief" and by_name.mark == extractor.mark
    by_run = Extractor.from_pretrained(run[0].parent.parent, image_root=run[1])
    assert by_run.wanted == extractor.wanted and by_run.mark == extractor.mark
    other = Extractor.from_pretrained(run[0], ["cup", "dog"], relations=["holds"], image_root=run[1])
    assert other._prompt.template is None, "the run's template shows no labels: another schema would not be asked"
    assert other.mark != extractor.mark
    result = other.extract("The dog holds a cup.", "a.png")
    assert result.error is None and len(result.answers) == 1
    assert other.extract("The dog", "a.png", regions=BOXES, mentions=["dog"]).answers[0].head == "r0"


def test_a_model_from_elsewhere_needs_a_schema(narrow_model):
    with pytest.raises(ConfigError, match="schema= is missing"):
        Extractor.from_pretrained(narrow_model)
    with pytest.raises(ConfigError, match="no such folder"):
        Extractor.from_pretrained(narrow_model / "nowhere", ["a"])
    with pytest.raises(ConfigError, match="int8"):
        Extractor.from_pretrained(narrow_model, ["a"], dtype="int8")
    assert wanted(["a"]) == Extractor.from_pretrained(narrow_model, ["a"]).wanted


def test_a_picture_is_opened_once_for_all_its_pairs(run, monkeypatch):
    from morerl.extract import answerers

    opened = []

    def opening(*arguments):
        opened.append(arguments)
        return open_image(*arguments)

    open_image = answerers.open_image
    monkeypatch.setattr(answerers, "open_image", opening)
    extractor = Extractor.from_pretrained(run[0], image_root=run[1])
    result = extractor.extract("Hale helps Osei", "a.png", regions=BOXES, mentions=["Hale", "Osei"])
    assert len(result.answers) == 4 and len(opened) == 1


def test_a_model_of_text_alone_with_short_windows_of_attention(narrow_model, run, tmp_path, caplog):
    model, tokenizer = build("Qwen2", narrow_model)
    model.config.update({"use_sliding_window": True, "sliding_window": 4, "layer_types": ["sliding_attention"] * 2})
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    model.save_pretrained(tmp_path / "text")
    tokenizer.save_pretrained(tmp_path / "text")
    extractor = Extractor.from_pretrained(tmp_path / "text", ["per"], image_root=run[1], max_new_tokens=8)
    assert [one.getMessage() for one in caplog.records if "by itself" in one.getMessage()] == [
        "slower, for every prompt is read by itself: qwen2 attends over windows of 4 tokens, and a row may have 8"
    ]
    seen, unseen = extractor.extract_many(["Hale helps Osei", {"text": "Hale", "image": "a.png"}])
    assert seen.error is None and unseen.error.reason == "no_pictures"
