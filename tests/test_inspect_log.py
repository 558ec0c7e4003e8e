"""A run's predictions as an inspect-ai log, read back by inspect-ai itself."""

import base64
import io
import shutil
import sys

import pytest
from extras import imported
from PIL import Image

from morerl.errors import ConfigError, DataError
from morerl.inference import score_run
from morerl.jsonl import read_samples, write_records
from morerl.prompts.render import render_completion, render_gold
from morerl.report.inspect_log import write_inspect
from morerl.runs import begin
from morerl.schema import Entity, Extraction, Prediction, Rated, Sample


@pytest.fixture
def answered(make_settings, world, tmp_path):
    """Settings of a run whose GRPO has answered four test samples twice; the third one's picture is gone."""
    shutil.copytree(world / "raw", tmp_path / "raw")
    samples = read_samples(world / "data" / "test.jsonl")
    first = samples[0]
    apart = next(one for one in samples if one.image != first.image)
    samples = [first, samples[1], apart, samples[2]]
    write_records(tmp_path / "data" / "test.jsonl", samples)
    (tmp_path / "raw" / apart.image).unlink()
    settings = make_settings(data={"dir": str(tmp_path / "data"), "image_root": str(tmp_path / "raw")})
    begin(settings, "grpo", [])
    (settings.run.dir / "grpo" / "model").mkdir()
    right = [render_completion(f"because {n}", one.gold.label) for n, one in enumerate(samples)]
    wrong = ["<think>it never ends", "no tags", render_completion("x", "/no/such"), "<img src=http://127.0.0.1:1/x>"]
    rows = [
        Prediction(id=one.id, completions=(good, bad)) for one, good, bad in zip(samples, right, wrong, strict=True)
    ]
    write_records(settings.run.dir / "predictions" / "grpo.test.jsonl", rows)
    write_records(settings.run.dir / "rated.jsonl", [Rated(id=first.id, n=4, n_correct=1)])
    return settings, samples


@pytest.fixture
def log_file(monkeypatch):
    return imported("inspect_ai.log", monkeypatch)


def test_inspect_reads_pictures_reasoning_scores_and_figures(answered, log_file, tmp_path):
    settings, samples = answered
    ((_, metrics),) = score_run(settings, draws=20)
    out = tmp_path / "logs" / "run.eval"
    assert write_inspect(settings.run.dir, out) == 8 and list(out.parent.iterdir()) == [out]
    log = log_file.read_eval_log(out, resolve_attachments=True)
    assert (log.status, log.eval.config.epochs, log.eval.dataset.samples) == ("success", 2, 4)
    (score,) = log.results.scores
    assert score.scorer == "more" and next(iter(score.metrics)) == "micro_f1"
    assert score.metrics["micro_f1"].value == metrics.primary["value"]
    assert tuple(score.metrics["micro_f1"].metadata["ci95"]) == metrics.ci95["micro_f1"]
    by_place = {(one.id, one.epoch): one for one in log.samples}
    for number, sample in enumerate(samples):
        good, bad = by_place[sample.id, 1], by_place[sample.id, 2]
        assert (good.scores["right"].value, bad.scores["right"].value) == ("C", "I")
        assert good.target == good.scores["right"].answer == sample.gold.label
        assert [part.type for part in good.messages[1].content] == ["reasoning", "text"]
        assert good.messages[1].content[0].reasoning == f"because {number}"
        assert good.scores["rewards"].value.keys() == bad.scores["rewards"].value.keys() != set()
        assert good.scores["rewards"].value["answer"] > bad.scores["rewards"].value["answer"]
        assert good.metadata["labels"] == [sample.gold.label] and (good.metadata["right"], good.metadata["drawn"]) == (
            1,
            2,
        )
    first, _, gone, _ = samples
    assert by_place[first.id, 1].metadata["pass_rate"] == 0.25
    assert by_place[samples[1].id, 2].output.completion == "no tags"
    assert "unclosed_think" in by_place[first.id, 2].scores["right"].explanation
    shown = by_place[first.id, 1].input[0].content
    assert [part.type for part in shown] == ["image", "image", "text"] and first.mentions[0].text in shown[-1].text
    for part in shown[:2]:
        head, _, data = part.image.partition(",")
        assert head in ("data:image/png;base64", "data:image/webp;base64")
        assert min(Image.open(io.BytesIO(base64.b64decode(data))).size) >= 16
    missing = by_place[gone.id, 1].input[0].content
    assert [part.type for part in missing] == ["text", "text"] and "[missing]" in missing[0].text


@pytest.fixture
def unified(make_settings, world, tmp_path):
    """Settings of a run over pictures and texts whose SFT has answered two of the one and, twice, one of the other."""
    text = "Ada flies to Oslo"
    oslo = Entity(id="e0", text="Oslo", type="location", start=13, end=17)
    named = Sample(
        id="wnut17/test/0", corpus="wnut17", split="test", text=text, task="entities", gold=Extraction(entities=(oslo,))
    )
    pairs = read_samples(world / "data" / "test.jsonl")[:2]
    for name, samples in (("more", pairs), ("wnut17", [named])):
        write_records(tmp_path / name / "test.jsonl", samples)
    corpora = {
        "more": {"dir": str(tmp_path / "more"), "image_root": str(world / "raw"), "guidelines": "more"},
        "wnut17": {"dir": str(tmp_path / "wnut17"), "guidelines": "wnut17"},
    }
    alone = dict.fromkeys(("dir", "image_root", "guidelines"))
    rewards = {"more": {"format": 1, "answer": 2}, "wnut17": {"ner_f1": 2}}
    settings = make_settings(
        data={**alone, "corpora": corpora}, prompt={"template": None}, grpo={"rewards_of": rewards}
    )
    begin(settings, "sft", [])
    (settings.run.dir / "sft" / "model").mkdir()
    said = [(render_gold(one, "stepwise"),) for one in pairs]
    half = '{"entities": [{"text": "Oslo", "type": "location"}, {"text": "Ada", "type": "location"}]}'
    half = f"<think>two names</think><answer>{half}</answer>"
    rows = {
        "more": [Prediction(id=one.id, completions=texts) for one, texts in zip(pairs, said, strict=True)],
        "wnut17": [Prediction(id=named.id, completions=(render_gold(named), half))],
    }
    for name, predictions in rows.items():
        write_records(settings.run.dir / "predictions" / f"sft.test.{name}.jsonl", predictions)
    return settings


def test_several_corpora_stand_in_one_log_each_with_its_figures_and_rewards(unified, log_file, tmp_path):
    figures = {path.name.split(".")[2]: metrics for path, metrics in score_run(unified)}
    assert write_inspect(unified.run.dir, tmp_path / "run.eval") == 4
    log = log_file.read_eval_log(tmp_path / "run.eval", resolve_attachments=True)
    assert (log.eval.task, log.eval.dataset.name, log.eval.config.epochs) == ("run sft", "more wnut17", 2)
    assert [(score.name, score.scorer) for score in log.results.scores] == [("more", "more"), ("wnut17", "ner")]
    for score in log.results.scores:
        primary = figures[score.name].primary
        assert score.metrics[primary["name"]].value == primary["value"]
    *pairs, good, half = log.samples
    assert [one.metadata["corpus"] for one in log.samples] == ["more", "more", "wnut17", "wnut17"]
    assert [one.scores["right"].value for one in log.samples] == ["C", "C", "C", "I"]
    assert [part.type for part in pairs[0].input[0].content] == ["image", "image", "text"]
    assert pairs[0].scores["rewards"].value == {"format": 1.0, "answer": 1.0}
    assert [part.type for part in good.input[0].content] == ["text"] and (good.epoch, half.epoch) == (1, 2)
    assert (good.target, good.metadata["labels"]) == ("Oslo [location]", ["location"])
    assert good.scores["rewards"].value == {"ner_f1": 1.0} and half.scores["rewards"].value["ner_f1"] == 2 / 3
    assert good.scores["rewards"].metadata == {"weights": {"ner_f1": 2.0}}


def test_a_log_needs_inspect(answered, tmp_path, monkeypatch):
    settings, _ = answered
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(ConfigError, match=r"needs inspect-ai: uv pip install .*\[inspect\]"):
        write_inspect(settings.run.dir, tmp_path / "a.eval")


def test_what_cannot_be_written_is_said(answered, log_file, tmp_path):
    settings, samples = answered
    with pytest.raises(ConfigError, match=r"ends in \.eval"):
        write_inspect(settings.run.dir, tmp_path / "a.json")
    with pytest.raises(DataError, match="run `morerl predict` first"):
        write_inspect(tmp_path, tmp_path / "a.eval")
    write_records(tmp_path / "data" / "test.jsonl", samples[:0])
    write_records(settings.run.dir / "predictions" / "grpo.test.jsonl", ())
    with pytest.raises(DataError, match="no sample"):
        write_inspect(settings.run.dir, tmp_path / "a.eval")
