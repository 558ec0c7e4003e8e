"""morerl benchmark: several corpora answered, scored and tabled in one go; nothing is asked twice."""

import json

import pytest
from openai_server import Served, said
from typer.testing import CliRunner

from morerl.benchmark.plan import slug
from morerl.benchmark.run import run_benchmark
from morerl.cli import app
from morerl.config import dump_settings
from morerl.errors import ConfigError, DataError
from morerl.jsonl import read_record, read_records, read_samples, write_records
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
        return run_benchmark(
            str(narrow_model), ["more", "birds", "more"], data=data, out=tmp_path / "out", overrides=FAST
        )

    written = again()
    assert [section.title for section in written.table] == ["more, test", "birds, test"] and written.problem is None
    assert [path.name for path in written.files] == ["table.md", "table.json", "table.png"]
    text = written.files[0].read_text()
    assert str(narrow_model) in text and "MOREformer" in text and "n = 6" in text
    folder = tmp_path / "out" / slug(str(narrow_model))
    assert read_record(folder / "birds/metrics.json", Metrics).protocol == "ner"
    assert len(list(read_records(folder / "more/predictions.jsonl", Prediction))) == 6
    monkeypatch.setattr("morerl.benchmark.run.run_predict", lambda *args, **kwargs: pytest.fail("asked again"))
    assert again().table == written.table


def test_a_model_of_a_run_is_asked_as_the_run_says(data, narrow_model, make_settings, tmp_path):
    settings = make_settings(prompt={"template": "stepwise_brief"}, generate={"max_new_tokens": 3})
    stage = tmp_path / "run/sft"
    stage.mkdir(parents=True)
    (stage / "config.yaml").write_text(dump_settings(settings))
    (stage / "model").symlink_to(narrow_model)
    run_benchmark(str(stage / "model"), ["more", "birds"], data=data, out=tmp_path / "out")
    folder = tmp_path / "out" / slug(str(stage / "model"))
    about = json.loads((folder / "more/predict/run.json").read_text())["settings"]
    assert about["prompt"]["template"] == "stepwise_brief" and about["generate"]["max_new_tokens"] == 3
    assert about["images"]["full_pixels"] == 3072
    other = json.loads((folder / "birds/predict/run.json").read_text())["settings"]
    assert other["prompt"]["template"] is None  # stepwise_brief asks about a pair
    asked = (folder / "more/samples.jsonl").read_text()
    with pytest.raises(ConfigError, match="other settings") as caught:
        run_benchmark(
            str(stage / "model"), ["more"], data=data, out=tmp_path / "out", limit=2, overrides=["run.seed=1"]
        )
    assert "data.limit: None -> 2" in str(caught.value) and "seed: 0 -> 1" in str(caught.value)
    assert str(caught.value).endswith(f"\nGive another --out, or delete {folder / 'more'} to have it answered anew.")
    assert (folder / "more/samples.jsonl").read_text() == asked


@pytest.fixture
def server(monkeypatch):
    """Answers whatever it is asked with the one heron."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    right = render_gold(bird(0))
    return Served(lambda body, number: said(right))


def ask(server, data, out, model="m", corpora=("birds",), **options):
    return run_benchmark(model, corpora, data=data, out=out, endpoint=server.url, **options)


def test_settings_that_only_happen_to_lie_beside_are_not_read(data, narrow_model, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "config.yaml").write_text("no settings at all")
    (tmp_path / "org/config.yaml").write_text("no settings at all")
    assert ask(server, data, tmp_path / "out").table
    with monkeypatch.context() as patch:  # a hub id, without a hub
        patch.setattr("morerl.benchmark.run.run_predict", lambda *args, **kwargs: pytest.fail("got so far"))
        with pytest.raises(pytest.fail.Exception, match="got so far"):
            run_benchmark("org/model", ["birds"], data=data, out=tmp_path / "out")


def test_a_table_holds_every_model_that_answered_the_same(data, server, tmp_path):
    out = tmp_path / "out"
    ask(server, data, out, "org/one", limit=2)
    for model in ("org/one", "org_one", "two"):
        written = ask(server, data, tmp_path / "all", model)
    assert [row.system for row in written.table[0].rows] == ["two", "org_one", "org/one"]
    assert len({slug(name) for name in ("org/one", "org_one", "org one", "../org/one", "..", "", "two")}) == 7
    assert slug("org_one") == "org_one" and all("/" not in slug(name) for name in ("/a/b", "../../up"))
    # of fewer samples, or another split, is another matter
    (data / "birds/dev.jsonl").write_text((data / "birds/test.jsonl").read_text())
    assert [row.system for row in ask(server, data, out, "two").table[0].rows] == ["two"]
    (dev,) = ask(server, data, out, "three", split="dev").table
    assert dev.title == "birds, dev" and [row.system for row in dev.rows] == ["three"]


@pytest.mark.parametrize("limit", [3, 4, 9])  # of 4
def test_a_limit_that_leaves_more_out_is_told(data, server, tmp_path, limit):
    (row,) = ask(server, data, tmp_path / "out", limit=limit).table[0].rows
    assert ("the first 3 samples only" in row.why) == (limit == 3)


@pytest.mark.parametrize(
    "key", ["run.dir", "data.dir", "data.limit", "data.guidelines", "data", "predict.model", "predict"]
)
def test_what_has_an_option_is_not_overridden(data, server, tmp_path, key):
    with pytest.raises(ConfigError, match=rf"{key} cannot be overridden here.* --data.* --limit and --out"):
        ask(server, data, tmp_path / "out", overrides=["generate.n=1", f"{key}=x"])
    assert server.bodies == [] and not (tmp_path / "out").exists()


def test_the_other_data_settings_are_overridden(data, server, tmp_path):
    ask(server, data, tmp_path / "out", overrides=["data.image_root=/pictures", "data.max_prompt_tokens=7"])
    about = json.loads((tmp_path / "out/m/birds/predict/run.json").read_text())["settings"]["data"]
    assert (about["image_root"], about["max_prompt_tokens"]) == ("/pictures", 7)


TWO = {"mentions": [{"id": "m", "start": 4, "end": 9, "text": "heron"}], "head": "m", "tail": "m"}
PAIR = Sample.model_validate(bird(1).model_dump() | TWO | {"task": "pair", "gold": {"label": "none"}})
BAD_SECOND = {
    "empty": ("", DataError, "holds no sample"),
    "no gold": (bird(1).model_copy(update={"gold": None}), DataError, "birds/test/1 has no gold answer"),
    "other task": (PAIR, DataError, "birds/test/1 asks 'pair', which the protocol"),
}


@pytest.mark.parametrize("what", BAD_SECOND)
def test_every_corpus_is_checked_before_the_first_is_answered(data, server, tmp_path, what):
    second, error, message = BAD_SECOND[what]
    (data / "other").mkdir()
    (data / "other/guidelines.yaml").write_text(OWN)
    write_records(data / "other/test.jsonl", [bird(0), second] if second else [])
    with pytest.raises(error, match=message):
        ask(server, data, tmp_path / "out", corpora=["birds", "other"])
    assert server.bodies == []


def test_a_template_that_asks_another_corpus_something_else_is_said_first(data, server, tmp_path):
    with pytest.raises(ConfigError, match="'extract' does not ask what more/"):
        ask(server, data, tmp_path / "out", corpora=["birds", "more"], overrides=["prompt.template=extract"])
    assert server.bodies == []


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
