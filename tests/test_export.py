"""`morerl export`: what is merged is the same model, the folder says how it is asked, and nothing is half written."""

import json
import re
import shutil

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from serving import make_loud, served
from transformers import AutoModelForImageTextToText, AutoProcessor

from morerl.benchmark.plan import Wanted, plan
from morerl.config import dump_settings, load_settings
from morerl.errors import ConfigError
from morerl.export import export_model, write
from morerl.export.facts import public
from morerl.extract.extractor import Extractor
from morerl.guidelines import guideline_file, load_spec
from morerl.images import views
from morerl.inference import run_predict, score_run
from morerl.jsonl import read_records, read_samples
from morerl.models.endpoint import complete
from morerl.models.load import load_model, load_processing
from morerl.runs import begin, finish, sha256
from morerl.schema import Prediction
from morerl.settings import Settings
from morerl.tasks import load_tasks
from morerl.teacher.build import run_teach
from morerl.training.sft import run_sft

LORA = {"r": 4, "target_modules": ["q_proj", "v_proj", "up_proj"]}


@pytest.fixture(scope="module")
def loud(narrow_model, tmp_path_factory):
    return make_loud(narrow_model, tmp_path_factory.mktemp("loud"))


@pytest.fixture
def tuned(make_settings, loud):
    """Settings of a run whose SFT has ended with a LoRA adapter that changes much."""
    model = {"path": str(loud), "lora": LORA}
    settings = make_settings(model={**make_settings().model.model_dump(), **model})
    begin(settings, "sft", [settings.data.dir / "train.jsonl"])
    torch.manual_seed(0)
    adapted = get_peft_model(load_model(loud, settings.model), LoraConfig(**LORA, init_lora_weights=False))
    folder = settings.run.dir / "sft" / "model"
    adapted.save_pretrained(folder)
    load_processing(loud).reader.save_pretrained(folder)
    (folder / "dev.json").write_text('{"step": 4, "value": 12.5}')
    finish(settings, "sft", {"steps": 4, "dev": {"step": 4, "value": 12.5}, "seconds": 1.0})
    return settings


@pytest.fixture
def whole(make_settings, narrow_model):
    """Settings of a run that trained all weights."""
    settings = make_settings()
    begin(settings, "sft", [])
    shutil.copytree(narrow_model, settings.run.dir / "sft" / "model")
    return settings


def logits(model, settings, processor):
    sample = read_samples(settings.data.dir / "test.jsonl")[0]
    pictures = views(sample, settings.data.image_root, settings.images, factor=16)
    text = "<|vision_start|><|image_pad|><|vision_end|>" * len(pictures) + sample.text
    with torch.no_grad():
        return model(**processor(text=[text], images=pictures, return_tensors="pt")).logits


def texts(path):
    return [one.completions for one in read_records(path, Prediction)]


def predicted(settings, folder, out):
    """What the exported model answers to the run's test split, asked as its own morerl.yaml says."""
    where = {
        "predict.model": folder,
        "predict.out": out,
        "run.dir": out.parent,
        "data.dir": settings.data.dir,
        "data.image_root": settings.data.image_root,
    }
    return texts(*run_predict(load_settings(folder / "morerl.yaml", [f"{k}={v}" for k, v in where.items()])))


def test_the_merged_model_is_the_adapted_one(tuned, loud, tmp_path):
    out = export_model(tuned.run.dir, tmp_path / "out")
    processor = AutoProcessor.from_pretrained(out)
    merged = AutoModelForImageTextToText.from_pretrained(out, dtype=torch.float32)
    adapted = load_model(tuned.run.dir / "sft" / "model", tuned.model)
    found, wanted = (logits(model, tuned, processor) for model in (merged, adapted))
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert (logits(load_model(loud, tuned.model), tuned, processor) - wanted).abs().max() > 0.1 * wanted.abs().max()
    assert load_file(out / "model.safetensors").keys() == load_file(loud / "model.safetensors").keys()

    before = texts(*run_predict(tuned))
    assert predicted(tuned, out, tmp_path / "again" / "predictions.jsonl") == before and len(set(before)) > 5


def test_the_folder_says_how_its_model_is_asked(tuned, tmp_path, monkeypatch):
    out = export_model(tuned.run.dir, tmp_path / "out")
    assert (out / "guidelines.yaml").read_bytes() == guideline_file("more").read_bytes()
    asked = load_settings(out / "morerl.yaml")
    assert (asked.prompt, asked.images, asked.generate) == (tuned.prompt, tuned.images, tuned.generate)
    assert asked.model.lora is None and asked.data.guidelines == str(out / "guidelines.yaml")
    monkeypatch.chdir(out)  # and when it has been moved
    assert load_spec(load_settings(out / "morerl.yaml").data.guidelines) == load_spec("more")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "more").symlink_to(tuned.data.dir)
    (task,) = plan(["more"], Wanted(str(out), tmp_path / "data", tmp_path / "b", None, "test", 1, []))
    assert (task.settings.prompt, task.settings.images) == (tuned.prompt, tuned.images)


def test_the_card_has_the_figures_data_and_settings_of_the_run(tuned, tmp_path):
    run_predict(tuned)
    ((_, metrics),) = score_run(tuned, draws=50)
    other = tuned.run.dir / "predictions" / "sft.dev.metrics.json"  # scored under the stage's name, of another model
    other.write_text(metrics.model_copy(update={"settings": {"model": "elsewhere/model"}}).model_dump_json())
    out = export_model(tuned.run.dir / "sft" / "model", tmp_path / "a model")
    card = ModelCard.load(out / "README.md")
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_type) == ("more", "test", "f1")
    assert result.metric_value == round(metrics.primary["value"], 2)
    header = card.data.to_dict()
    assert (header["library_name"], header["pipeline_tag"]) == ("transformers", "image-text-to-text")
    low, high = metrics.ci95["micro_f1"]
    assert f"| {metrics.primary['value']:.2f} | {low:.2f} to {high:.2f} | {metrics.n} |" in card.text
    for split in ("train", "test"):
        path = tuned.data.dir / f"{split}.jsonl"
        assert f"{split}.jsonl | {len(read_samples(path))} | `{sha256(path)}`" in card.text
    assert "4 steps; kept after step 4, with 12.50 on dev" in card.text
    settings = yaml.safe_load(re.search(r"```yaml\n(.*?)```", card.text, re.DOTALL)[1])
    assert settings["model"]["lora"] == LORA and settings["run"]["dir"] == ".../run"
    written = [path.read_text() for path in out.rglob("*") if path.suffix in {".md", ".json", ".yaml"}]
    assert len(written) > 7 and not any(str(tmp_path.parent) in text for text in written)
    assert "vllm serve 'a model'" in card.text


def test_what_a_card_shows_of_settings_names_no_server_and_no_place_of_the_machine(make_settings):
    inside = {"learning_rate": 1e-5, "model_init_kwargs": {"device_map": "auto"}}
    server = {"vllm_server_base_url": "http://gpu7:8000", "vllm_server_host": "10.0.0.7", "vllm_server_port": 8000}
    places = {"reasoning": ["../them/secret/a.jsonl", "runs/../../secret/b.jsonl", "~/secret/c.jsonl", "here/d.jsonl"]}
    settings = make_settings(
        sft={"trainer": {**server, **inside}, **places},
        grpo={"trainer": {**server, **inside, "deepspeed": {"url": "s3://gpu7/x"}}, "model": "/secret/m"},
    )
    shown = public(settings)
    assert shown["sft"]["trainer"] == inside and shown["grpo"]["trainer"] == {**inside, "deepspeed": {"url": "..."}}
    assert shown["sft"]["reasoning"] == [".../a.jsonl", ".../b.jsonl", ".../c.jsonl", "here/d.jsonl"]
    assert not {"gpu7", "10.0.0.7", "secret", "8000"} & set(re.findall(r"[\w.]+", yaml.safe_dump(shown)))


def test_weights_without_an_adapter_are_copied_and_their_cache_is_on(whole, tmp_path):
    model = whole.run.dir / "sft" / "model"
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"use_cache": False}))
    out = export_model(whole.run.dir, tmp_path / "out")
    assert sha256(out / "model.safetensors") == sha256(model / "model.safetensors")
    assert json.loads((out / "config.json").read_text())["use_cache"] is True
    assert "had not ended" in (out / "README.md").read_text()


def test_a_model_of_several_corpora_takes_each_guideline_along(whole, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text(guideline_file("sem2010").read_text())
    several = {"more": {"dir": "a", "guidelines": "more"}, "mine": {"dir": "b", "guidelines": str(own)}}
    rewards = {"rewards_of": {name: {"answer": 1} for name in several}}
    tree = whole.model_dump(mode="json") | {"data": {"corpora": several}}
    settings = Settings.model_validate(tree | {"grpo": tree["grpo"] | rewards})
    (whole.run.dir / "sft" / "config.yaml").write_text(dump_settings(settings))
    out = export_model(whole.run.dir, tmp_path / "out")
    tasks = load_tasks(load_settings(out / "morerl.yaml"))
    assert {name: one.spec for name, one in tasks.corpora.items()} == {
        "more": load_spec("more"),
        "mine": load_spec("sem2010"),
    }
    assert str(tmp_path) not in (out / "README.md").read_text()


def not_finite(folder):
    path = folder / "sft/model/adapter_model.safetensors"
    save_file({name: weight * float("nan") for name, weight in load_file(path).items()}, path)


def no_base(folder):
    path = folder / "sft/model/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "no/such"}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda run: (run / "sft/model/adapter_model.safetensors").unlink(), "no adapter_model.safetensors"),
        (lambda run: (run / "sft/model/adapter_config.json").write_text("{"), "no base_model_name_or_path"),
        (lambda run: (run / "sft/config.yaml").unlink(), "lie no settings of a run"),
        (lambda run: shutil.rmtree(run / "sft/model"), "neither a run's folder"),
        (not_finite, "cannot be merged"),
        (no_base, "no such folder"),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_nothing(tuned, tmp_path, harm, message):
    harm(tuned.run.dir)
    with pytest.raises(ConfigError, match=message):
        export_model(tuned.run.dir, tmp_path / "to" / "out")
    assert not list((tmp_path / "to").glob("*"))


def test_a_folder_that_holds_something_is_left_alone(whole, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export_model(whole.run.dir, out)  # an empty one is taken
    with pytest.raises(ConfigError, match="exported already"):
        export_model(out, tmp_path / "again")
    (out / "README.md").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        export_model(whole.run.dir, out)
    assert (out / "README.md").read_text() == "mine"


def test_a_full_disk_leaves_nothing_half_written(whole, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_card", full)
    with pytest.raises(OSError, match="No space"):
        export_model(whole.run.dir, tmp_path / "to" / "out")
    assert not list((tmp_path / "to").glob("*"))


@pytest.mark.slow
def test_a_server_answers_with_what_sft_has_learnt(make_settings, loud, tmp_path):
    """From `morerl sft` with LoRA to `transformers serve`, which answers as the run's own model does here."""
    tree = make_settings().model.model_dump() | {"path": str(loud), "lora": LORA}
    # 112 is a multiple of 28 and of 16, the endpoint's and the narrow model's step: neither end changes the picture
    images = {"full_pixels": 112 * 112, "crop_pixels": 112 * 112, "min_side": 112}
    settings = make_settings(model=tree, images=images)
    run_teach(settings)
    run_sft(settings)
    # dev is 0 throughout, so that the model of step 0 is kept, whose adapter does nothing
    last = settings.run.dir / "sft/checkpoints/checkpoint-4/adapter_model.safetensors"
    shutil.copyfile(last, settings.run.dir / "sft/model/adapter_model.safetensors")
    out = export_model(settings.run.dir, tmp_path / "out")
    square = settings.data.model_copy(update={"image_root": tmp_path})
    settings = settings.model_copy(update={"data": square})
    samples = squared(read_samples(settings.data.dir / "test.jsonl", limit=4), tmp_path)
    here = texts(*run_predict(settings, samples=samples))
    asked = load_settings(out / "morerl.yaml")
    shown = {"prompt": asked.prompt, "images": asked.images, "settings": asked.generate, "concurrency": 2}
    with served(str(out), tmp_path / "log.txt") as url:
        there = complete(samples, load_tasks(settings), base_url=url, model=str(out), **shown)
    # this server keeps special tokens of another kind than the end, and takes off blanks at either end
    special = re.compile("|".join(map(re.escape, AutoProcessor.from_pretrained(out).tokenizer.all_special_tokens)))
    assert [special.sub("", one).strip() for (one,) in there] == [special.sub("", one).strip() for (one,) in here]
    assert len({one for (one,) in there}) == len(samples)


def squared(samples, folder):
    """The samples with square pictures and boxes, each of its own colours."""
    out = []
    for number, sample in enumerate(samples):
        image = Image.new("RGB", (224, 224), (60 * number, 200, 90))
        image.paste("blue", (60, 0, 224, 40 * number))
        image.save(folder / f"{number}.png")
        regions = tuple(one.model_copy(update={"box": (0.0, 0.0, 0.5, 0.5)}) for one in sample.regions)
        out.append(sample.model_copy(update={"image": f"{number}.png", "regions": regions}))
    return out


def test_the_extractor_knows_an_exported_model_as_it_knows_the_runs(tuned, tmp_path):
    out = export_model(tuned.run.dir, tmp_path / "out")
    sample = read_samples(tuned.data.dir / "test.jsonl")[0]
    given = {"image": sample.image, "regions": [sample.regions[0].box], "mentions": [sample.mentions[0].text]}
    models = [tuned.run.dir / "sft" / "model", out]
    own, exported = (Extractor.from_pretrained(model, image_root=tuned.data.image_root) for model in models)
    assert own.wanted == exported.wanted and "/per/misc/awarded" in exported.wanted.labels["relations"]
    here, there = (extractor.extract(sample.text, **given).to_dict() for extractor in (own, exported))
    assert here == there and here["error"] is None
