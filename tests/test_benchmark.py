"""morerl benchmark: several corpora answered, scored and tabled in one go; nothing is asked twice."""

import json

import pytest
from openai_server import Served, said
from typer.testing import CliRunner

from morerl import inference
from morerl.benchmark.run import run_benchmark
from morerl.cli import app
from morerl.config import dump_settings
from morerl.errors import ConfigError, DataError, MorerlError
from morerl.jsonl import read_record, read_records, read_samples, write_records
from morerl.partial import fingerprint, in_chunks, kept
from morerl.prompts.render import render_gold
from morerl.schema import Metrics, Prediction, Sample

OWN = """
corpus: birds
protocol: ner
question: Which birds does the text name?
types: {bird: An animal that flies.}
"""
FAST = ["generate.max_new_tokens=4", "images.full_pixels=3072", "images.crop_pixels=1024", "images.min_side=16"]


def bird(number):
    gold = {"entities": [{"id": "e", "start": 4, "end": 9, "text": "heron", "type": "bird"}]}
    fields = {"corpus": "birds", "split": "test", "text": f"The heron of lake {number}", "task": "entities"}
    return Sample.model_validate({"id": f"birds/test/{number}", "gold": gold, **fields})


@pytest.fixture
def data(tmp_path, world):
    """Two prepared corpora: scenes in MORE's form, and one with a guideline of its own."""
    root = tmp_path / "data"
    write_records(root / "more/test.jsonl", read_samples(world / "data/test.jsonl", limit=6))
    (root / "more/corpus.json").write_text(json.dumps({"corpus": "more", "image_root": str(world / "raw")}))
    write_records(root / "birds/test.jsonl", [bird(number) for number in range(4)])
    (root / "birds/guidelines.yaml").write_text(OWN)
    return root


def test_one_table_holds_every_corpus_and_what_was_answered_is_not_asked_again(
    data, narrow_model, tmp_path, monkeypatch
):
    def again():
        return run_benchmark(str(narrow_model), ["more", "birds"], data=data, out=tmp_path / "out", overrides=FAST)

    written = again()
    assert [section.corpus for section in written.table] == ["more", "birds"] and written.problem is None
    assert [path.name for path in written.files] == ["table.md", "table.json", "table.png"]
    text = written.files[0].read_text()
    assert str(narrow_model) in text and "MOREformer" in text and "n = 6" in text
    assert read_record(tmp_path / "out/birds/metrics.json", Metrics).protocol == "ner"
    assert len(list(read_records(tmp_path / "out/more/predictions.jsonl", Prediction))) == 6
    monkeypatch.setattr("morerl.benchmark.run.run_predict", lambda *args, **kwargs: pytest.fail("asked again"))
    assert again().table == written.table


def test_a_model_of_a_run_is_asked_as_the_run_says(data, narrow_model, make_settings, tmp_path):
    settings = make_settings(prompt={"template": "stepwise_brief"}, generate={"max_new_tokens": 3})
    stage = tmp_path / "run/sft"
    stage.mkdir(parents=True)
    (stage / "config.yaml").write_text(dump_settings(settings))
    (stage / "model").symlink_to(narrow_model)
    run_benchmark(str(stage / "model"), ["more", "birds"], data=data, out=tmp_path / "out")
    about = json.loads((tmp_path / "out/more/predict/run.json").read_text())["settings"]
    assert about["prompt"] == {"template": "stepwise_brief"} and about["generate"]["max_new_tokens"] == 3
    assert about["images"]["full_pixels"] == 3072
    other = json.loads((tmp_path / "out/birds/predict/run.json").read_text())["settings"]
    assert other["prompt"] == {"template": None}  # stepwise_brief asks about a pair
    with pytest.raises(ConfigError, match="other settings"):
        run_benchmark(str(stage / "model"), ["more"], data=data, out=tmp_path / "out", overrides=["run.seed=1"])


def test_an_endpoint_is_asked_in_place_of_a_model(data, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    right = render_gold(bird(0))
    server = Served(lambda body, number: said(right))
    arguments = ["benchmark", "big-one", "--corpora", "birds", "--endpoint", server.url, "--data", str(data)]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out"), "--limit", "3"])
    assert done.exit_code == 0, done.output
    assert "big-one" in done.output and "100.00" in done.output and "table.md" in done.output
    assert len(server.bodies) == 3 and server.bodies[0]["model"] == "big-one"
    assert "the first 3 samples only" in (tmp_path / "out/table.md").read_text()


@pytest.mark.parametrize(
    ("corpora", "error", "message"),
    [
        (["sem2010"], DataError, r"no .*sem2010/test.jsonl; make it: python tools/prepare_corpus.py"),
        (["nameless"], ConfigError, "no guideline is called 'nameless'"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_asked(data, tmp_path, corpora, error, message):
    (data / "nameless").mkdir()
    write_records(data / "nameless/test.jsonl", [bird(0)])
    with pytest.raises(error, match=message):
        run_benchmark("nowhere", corpora, data=data, out=tmp_path / "out")


def test_no_corpus_is_a_usage_error():
    done = CliRunner().invoke(app, ["benchmark", "m"])
    assert done.exit_code == 2 and "--corpora" in done.output


# --- an interrupted prediction goes on


def test_a_prediction_that_was_cut_off_goes_on_and_ends_the_same(make_settings, tmp_path, monkeypatch):
    def settings(name):
        return make_settings(
            predict={"model": make_settings().model.path, "out": str(tmp_path / f"{name}.jsonl")},
            generate={"max_new_tokens": 4, "batch_size": 2, "n": 2, "temperature": 1.0},
        )

    monkeypatch.setattr(inference, "CHUNK", 2)
    undisturbed = inference.run_predict(settings("whole")).read_text()
    real, calls = inference.generate, []

    def dying(*args, **kwargs):
        calls.append(len(args[2]))
        if len(calls) == 3:
            raise MorerlError("the lights went out")
        return real(*args, **kwargs)

    monkeypatch.setattr(inference, "generate", dying)
    with pytest.raises(MorerlError, match="lights"):
        inference.run_predict(settings("cut"))
    assert not (tmp_path / "cut.jsonl").exists() and (tmp_path / "cut.jsonl.part").exists()
    seen = []
    out = inference.run_predict(settings("cut"), listener=lambda done, total: seen.append(done))
    assert out.read_text() == undisturbed and not (tmp_path / "cut.jsonl.part").exists()
    assert calls[:3] == [4, 4, 4] and sum(calls[3:]) == len(undisturbed.splitlines()) - 8 and seen[0] > 8


def test_kept_work_is_thrown_away_where_it_is_other_work_or_torn(tmp_path):
    samples, out = [bird(number) for number in range(5)], tmp_path / "p.jsonl"
    asked = []

    def ask(chunk, number):
        asked.append((number, len(chunk)))
        if len(asked) == 2:
            raise MorerlError("stop")
        return [[one.id] for one in chunk]

    mark = fingerprint("a", 1)
    with pytest.raises(MorerlError):
        in_chunks(samples, out, mark, ask, size=2)
    assert kept(out, mark, size=2) == 2 and kept(out, fingerprint("b", 1), size=2) == 0
    part = out.with_name("p.jsonl.part")
    part.write_bytes(part.read_bytes() + b'["torn')
    assert in_chunks(samples, out, mark, ask, size=2) == [[one.id] for one in samples]
    assert asked == [(0, 2), (1, 2), (1, 2), (2, 1)]
    part.write_text(json.dumps(mark) + "\n7\n")
    assert kept(out, mark, size=1) == 0
