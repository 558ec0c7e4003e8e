"""Both training stages on TRL, with the narrow model: what is learnt, in which order, and what a stop costs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from morerl.config import dump_settings
from morerl.errors import ConfigError, DataError
from morerl.evaluation import score_files
from morerl.inference import run_predict, run_rate, score_run
from morerl.jsonl import read_records, write_records
from morerl.models.load import load_model, load_processing
from morerl.prompts.render import render_completion
from morerl.runs import read_json, sha256
from morerl.schema import Prediction, Rated, Reasoning
from morerl.settings import ModelSettings
from morerl.teacher.build import run_teach
from morerl.training.grpo import run_grpo
from morerl.training.sampler import LengthSampler
from morerl.training.sft import run_sft
from morerl.training.stage import train_to_end


class Stop(Exception):
    """Stands for a kill: raised from inside the progress callback."""


def stop_at(step):
    def listener(done, total, figures):
        if done == step:
            raise Stop

    return listener


def weights(folder):
    return sha256(folder / "model.safetensors")


@pytest.fixture
def rated(world, make_settings):
    """A rated.jsonl in which every other one of some train samples is hard."""

    def make(settings, count=16, ids=None):
        ids = ids or [f"more/train/{number:06d}" for number in range(1, count + 1)]
        rows = [Rated(id=id_, n=1, n_correct=index % 2) for index, id_ in enumerate(ids)]
        write_records(settings.run.dir / "rated.jsonl", rows)

    return make


def test_sft_keeps_the_best_dev_model_and_never_opens_the_test_split(make_settings, world, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "dev"):
        (data / f"{split}.jsonl").write_bytes((world / "data" / f"{split}.jsonl").read_bytes())
    settings = make_settings(data={"dir": str(data)})
    run_teach(settings)
    result = run_sft(settings)
    assert result["steps"] == 4
    log = [json.loads(line) for line in (settings.run.dir / "sft" / "log.jsonl").read_text().splitlines()]
    scores = {entry["step"]: entry["dev_f1"] for entry in log if "dev_f1" in entry}
    assert sorted(scores) == [0, 2, 4] and result["dev"]["value"] == max(scores.values())
    assert run_sft(settings) == result  # done: returns at once
    shutil.rmtree(settings.run.dir / "sft" / "model")
    with pytest.raises(ConfigError, match=r"sft is finished but .*model is gone: remove .*sft to train it anew"):
        run_sft(settings)


def test_an_interrupted_lora_run_goes_on_with_its_adapter(make_settings, tmp_path):
    lora = {"r": 4, "target_modules": ["q_proj", "v_proj"]}
    ends = []
    for name in ("plain", "broken"):
        model = {**make_settings().model.model_dump(), "lora": lora}
        settings = make_settings(run={"dir": str(tmp_path / name)}, model=model)
        run_teach(settings)
        if name == "broken":
            with pytest.raises(Stop):
                run_sft(settings, listener=stop_at(3))
        run_sft(settings)
        ends.append(sha256(settings.run.dir / "sft/checkpoints/checkpoint-4/adapter_model.safetensors"))
    assert ends[0] == ends[1]


def test_grpo_goes_on_with_the_adapter_of_sft_and_is_held_to_it(make_settings, rated, tmp_path, monkeypatch):
    """Another adapter in its place would begin where the base model is; the KL is to what SFT made, not to the base."""
    from safetensors.torch import load_file

    monkeypatch.setattr("morerl.training.grpo.judge", by_length)
    model = {**make_settings().model.model_dump(), "lora": {"r": 4, "target_modules": ["q_proj", "v_proj"]}}
    settings = make_settings(model=model)
    run_teach(settings)
    run_sft(settings)
    start = settings.run.dir / "sft/checkpoints/checkpoint-4"
    grpo = {"model": str(start), "dev": {"every_steps": 4, "limit": 2}}
    ends = {}
    for name, rate in (("still", 0.0), ("plain", 1e-2), ("broken", 1e-2)):
        options = {**make_settings().grpo.trainer, "beta": 0.04, "learning_rate": rate, "save_steps": 2}
        run = make_settings(run={"dir": str(tmp_path / name)}, model=model, grpo={**grpo, "trainer": options})
        rated(run)
        if name == "broken":
            with pytest.raises(Stop):
                run_grpo(run, listener=stop_at(3))
        run_grpo(run)
        ends[name] = load_file(run.run.dir / "grpo/checkpoints/checkpoint-4/adapter_model.safetensors")
        assert not list((run.run.dir / "grpo").rglob("ref"))
        log = [json.loads(line) for line in (run.run.dir / "grpo/log.jsonl").read_text().splitlines()]
        assert abs(next(entry["kl"] for entry in log if "kl" in entry)) < 1e-6
    before = load_file(start / "adapter_model.safetensors")
    assert any(weight.abs().max() > 0 for key, weight in before.items() if "lora_B" in key)
    for other, same in ((ends["still"], True), (ends["plain"], False)):
        assert all(torch.equal(weight, other[key]) for key, weight in before.items()) is same
    assert all(torch.equal(weight, ends["broken"][key]) for key, weight in ends["plain"].items())


def test_only_the_completion_is_learnt(make_settings, world, tmp_path):
    from trl import SFTConfig

    from morerl.jsonl import read_samples
    from morerl.models.load import load_model, load_processing
    from morerl.tasks import load_tasks
    from morerl.training.hooks import ResumableSFTTrainer
    from morerl.training.rows import make_dataset

    settings = make_settings()
    processing = load_processing(settings.model.path)
    samples = read_samples(world / "data" / "train.jsonl")[:3]
    rows = make_dataset(
        samples,
        load_tasks(settings),
        settings,
        processing,
        lambda sample: {"completion": [{"role": "assistant", "content": "<think>x</think>"}]},
    )
    model = load_model(settings.model.path, settings.model)
    arguments = SFTConfig(output_dir=str(tmp_path), bf16=False, use_cpu=True, report_to="none", max_length=None)
    trainer = ResumableSFTTrainer(
        model=model, args=arguments, train_dataset=rows, processing_class=processing.reader, lengths=[1, 1, 1]
    )
    batch = trainer.data_collator([rows[i] for i in range(3)])
    learnt = [processing.tokenizer.decode(row[row >= 0]) for row in batch["labels"]]
    assert learnt == ["<think>x</think><|im_end|>\n"] * 3
    assert len(batch["image_grid_thw"]) == 6  # picture and crop of each


def in_epoch_two(make_settings, folder, order, batch_size=4):
    """Settings of ten steps with a checkpoint after every other; about 24 chains, so an epoch has six."""
    sft = make_settings().sft.model_dump()
    sft["trainer"] |= {
        "train_sampling_strategy": order,
        "max_steps": 10,
        "per_device_train_batch_size": batch_size,
    }
    return make_settings(run={"dir": str(folder)}, sft=sft, teach={"share": 0.1})


@pytest.mark.parametrize("order", ["random", "group_by_length"])
def test_an_interrupted_sft_ends_with_the_weights_of_an_undisturbed_one(make_settings, tmp_path, order):
    plain = in_epoch_two(make_settings, tmp_path / "plain", order)
    broken = in_epoch_two(make_settings, tmp_path / "broken", order)
    for settings in (plain, broken):
        run_teach(settings)
    run_sft(plain)
    with pytest.raises(Stop):
        run_sft(broken, listener=stop_at(9))
    run_sft(broken)
    last = "sft/checkpoints/checkpoint-10"
    assert weights(plain.run.dir / last) == weights(broken.run.dir / last) != weights(Path(plain.model.path))
    assert read_json(plain.run.dir / "sft/model/dev.json") == read_json(broken.run.dir / "sft/model/dev.json")


def test_every_learnt_token_counts_alike_however_a_step_is_cut_up(make_settings, tmp_path):
    """Stock, a Qwen2.5-VL's micro-batches count alike, though one has fewer tokens to learn than another."""
    ends = []
    for size, times in ((4, 1), (2, 2), (1, 4)):
        sft = make_settings().sft.model_dump()
        sft["trainer"] |= {"per_device_train_batch_size": size, "gradient_accumulation_steps": times, "max_steps": 2}
        settings = make_settings(run={"dir": str(tmp_path / f"{times}")}, sft=sft, teach={"share": 0.1})
        run_teach(settings)
        run_sft(settings)
        ends.append(load_model(settings.run.dir / "sft/checkpoints/checkpoint-2", ModelSettings()).state_dict())
    for cut in ends[1:]:
        assert max(float((ends[0][name] - cut[name]).abs().max()) for name in cut) < 1e-5


INTERRUPTED = """
import sys
from contextlib import contextmanager
from morerl.cli import main, training


@contextmanager
def stopped(stage):
    def listener(done, total, figures):
        if done == int(stop):
            sys.exit("stopped")
    yield listener


stop = sys.argv.pop()
training.training_bar = stopped
main()
"""


@pytest.mark.slow
def test_an_interrupted_sft_by_length_goes_on_in_its_order_on_two_ranks(make_settings, tmp_path):
    """Accelerate tells a sampler the epoch, but after a resume not on several ranks."""
    (tmp_path / "sft.py").write_text(INTERRUPTED)
    ends = []
    for name, stops in (("plain", (-1,)), ("broken", (9, -1))):
        settings = in_epoch_two(make_settings, tmp_path / name, "group_by_length", batch_size=2)
        run_teach(settings)
        config = tmp_path / f"{name}.yaml"
        config.write_text(dump_settings(settings))
        for stop in stops:
            command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
            done = subprocess.run([*command, tmp_path / "sft.py", "sft", config, str(stop)], timeout=240, check=False)
            assert (done.returncode == 0) == (stop == -1)
        ends.append(weights(settings.run.dir / "sft/checkpoints/checkpoint-10"))
    assert ends[0] == ends[1]


def test_batches_of_like_length_are_drawn_by_seed_and_epoch_alone():
    lengths = [(37 * n) % 101 for n in range(800)]
    sampler = LengthSampler(lengths, 8, seed=3)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(second) == list(range(800))
    spans = [max(batch) - min(batch) for batch in zip(*[(lengths[i] for i in second)] * 8, strict=True)]
    assert sorted(spans)[len(spans) // 2] < 10  # of 100
    sampler.set_epoch(0)
    assert list(sampler) != second
    again = LengthSampler(lengths, 8, seed=3)
    again.set_epoch(1)
    torch.rand(5)
    assert list(again) == second


def by_length(case, parts):
    """Rewards with spread in every group, which an untrained model never earns from the real ones."""
    return {name: float(len(case.completion) % 7) for name in parts}


def test_an_interrupted_grpo_goes_on_in_a_later_epoch_as_if_nothing_had_been(
    make_settings, rated, tmp_path, monkeypatch
):
    monkeypatch.setattr("morerl.training.grpo.judge", by_length)
    # 8 hard + 8 easy, then 8 + 4: windows of 2 prompts, so step 9 on is epoch 2, where stock TRL replays epoch 1
    options = {"max_steps": 13, "save_steps": 4}
    ends = {}
    for name in ("plain", "broken"):
        settings = make_settings(
            run={"dir": str(tmp_path / name)},
            grpo={
                "model": make_settings().model.path,
                "dev": {"every_steps": 13, "limit": 2},
                "trainer": {**make_settings().grpo.trainer, **options},
            },
        )
        rated(settings)
        if name == "broken":
            with pytest.raises(Stop):
                run_grpo(settings, listener=stop_at(11))
        run_grpo(settings)
        log = [json.loads(line) for line in (settings.run.dir / "grpo/log.jsonl").read_text().splitlines()]
        rewards = [(entry["step"], entry["reward"]) for entry in log if "reward" in entry]
        ends[name] = (weights(settings.run.dir / "grpo/checkpoints/checkpoint-13"), rewards)
    assert ends["plain"] == ends["broken"]
    assert ends["plain"][0] != weights(Path(settings.model.path))  # something was learnt


def test_grpo_trains_on_text_and_picture_rows_mixed(make_settings, rated, world, text_pair, tmp_path):
    from morerl.jsonl import read_samples

    pictures = read_samples(world / "data" / "train.jsonl")[:8]
    texts = [text_pair(number) for number in range(6)]
    data = tmp_path / "mixed"
    write_records(data / "train.jsonl", [*pictures, *texts])
    write_records(data / "dev.jsonl", [*read_samples(world / "data" / "dev.jsonl")[:2], text_pair(99)])
    settings = make_settings(
        data={"dir": str(data)}, grpo={"model": make_settings().model.path, "mixing": {"epochs": 1}}
    )
    rated(settings, ids=[s.id for pair in zip(pictures, texts, strict=False) for s in pair])
    assert run_grpo(settings)["steps"] == 4


def test_rating_covers_every_sample_that_sft_did_not_use(make_settings, world):
    settings = make_settings(rate={"model": make_settings().model.path})
    run_teach(settings)
    result = run_rate(settings)
    used = {json.loads(line)["id"] for line in (settings.run.dir / "reasoning.jsonl").open()}
    every = {json.loads(line)["id"] for line in (world / "data" / "train.jsonl").open()}
    rows = list(read_records(settings.run.dir / "rated.jsonl", Rated))
    assert {row.id for row in rows} == every - used and result["easy"] + result["hard"] == len(every - used)
    assert result["hard"] == len(rows)  # an untrained model writes nothing that parses; that is hard, not dropped


def test_rating_covers_what_sft_has_learnt_where_that_is_asked_for(make_settings, tmp_path):
    """R2GRPO draws from the rows of SFT, and R1-RE has no SFT and so no reasoning at all."""
    model = {"model": make_settings().model.path}
    assert run_rate(make_settings(rate={**model, "taught": True, "limit": 5}))["rated"] == 5
    settings = make_settings(run={"dir": str(tmp_path / "other")}, rate=model)
    ids = [json.loads(line)["id"] for line in (settings.data.dir / "train.jsonl").open()]
    chains = [Reasoning(id=id_, completion="x", model="x", prompt_hash="") for id_ in ids]
    write_records(settings.run.dir / "reasoning.jsonl", chains)
    with pytest.raises(DataError, match=r"is taught \(rate\.taught=true rates those too\)"):
        run_rate(settings)


def test_rating_by_draws_counts_the_right_ones_of_n(make_settings, monkeypatch):
    from morerl import inference

    settings = make_settings(rate={"model": make_settings().model.path, "n": 4, "temperature": 1.0, "limit": 3})
    run_teach(settings)
    asked = []

    def two_of_four_right(model, processing, samples, spec, *, settings, **kwargs):
        asked.append((settings.n, settings.temperature))
        gold = [render_completion("x", sample.gold.label) for sample in samples]
        return [[text, "nothing", text, "nothing"] for text in gold]

    monkeypatch.setattr(inference, "generate", two_of_four_right)
    assert run_rate(settings)["hard"] == 3
    rows = list(read_records(settings.run.dir / "rated.jsonl", Rated))
    assert asked == [(4, 1.0)] and [(row.n, row.n_correct, row.pass_rate) for row in rows] == [(4, 2, 0.5)] * 3


def test_predictions_are_scored_and_a_missing_one_is_an_error(make_settings, world, tmp_path):
    settings = make_settings(predict={"model": make_settings().model.path, "out": str(tmp_path / "p.jsonl")})
    (out,) = run_predict(settings)
    gold = world / "data" / "test.jsonl"
    metrics = score_files(gold, out, "more")
    rows = list(read_records(out, Prediction))
    assert metrics.n == len(rows) and metrics.primary == {"name": "micro_f1", "value": 0.0}
    assert sum(metrics.problems.values()) >= len(rows)
    write_records(out, rows[1:])
    with pytest.raises(DataError, match=r"1 samples of .* have no prediction"):
        score_files(gold, out, "more")


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"shuffle_dataset": True}, "the order is grpo.mixing's"),
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"num_generations": 3}, "trainer:"),
    ],
)
def test_grpo_refuses_settings_that_would_go_wrong_silently(make_settings, rated, trainer, message):
    base = make_settings()
    settings = make_settings(grpo={"model": base.model.path, "trainer": {**base.grpo.trainer, **trainer}})
    rated(settings)
    with pytest.raises(ConfigError, match=message):
        run_grpo(settings)


@pytest.mark.parametrize("option", [{"scale_rewards": "batch"}, {"multi_objective_aggregation": "normalize_then_sum"}])
def test_refills_are_refused_where_advantages_are_scaled_by_all_that_is_scored_at_once(make_settings, rated, option):
    base = make_settings()
    grpo = {"model": base.model.path, "mixing": {"strategy": "adaptive", "refill": 0.5}}
    settings = make_settings(grpo={**grpo, "trainer": {**base.grpo.trainer, **option}})
    rated(settings)
    with pytest.raises(ConfigError, match=r"scales refills otherwise: take another or grpo\.mixing\.refill=0"):
        run_grpo(settings)


@pytest.mark.parametrize("name", ["packing", "padding_free"])
def test_rows_that_would_see_each_other_are_refused(make_settings, name):
    """Of a VL, whose positions have rows of their own, the mask does not know where a row begins."""
    settings = make_settings()
    run_teach(settings)
    settings.sft.trainer[name] = True
    with pytest.raises(ConfigError, match=f"sft.trainer.{name}: a model that reads pictures"):
        run_sft(settings)


def test_what_is_frozen_of_an_adapter_stays_so_beside_a_reference(make_settings, rated, tmp_path, monkeypatch):
    """To ask the reference TRL switches adapters, and PEFT lets all of the one it comes back to learn."""
    monkeypatch.setattr("morerl.training.grpo.judge", by_length)
    model = {**make_settings().model.model_dump(), "lora": {"r": 4, "target_modules": ["q_proj", "qkv"]}}
    settings = make_settings(model={**model, "freeze_vision": False})
    run_teach(settings)
    run_sft(settings)
    trained = []

    def to_end(trainer, *args):
        trained.append(trainer)
        return train_to_end(trainer, *args)

    monkeypatch.setattr("morerl.training.grpo.train_to_end", to_end)
    options = {**make_settings().grpo.trainer, "beta": 0.04, "max_steps": 1}
    grpo = {"model": str(settings.run.dir / "sft/checkpoints/checkpoint-4"), "trainer": options}
    run = make_settings(run={"dir": str(tmp_path / "grpo")}, model={**model, "freeze_vision": True}, grpo=grpo)
    rated(run)
    run_grpo(run)
    weights = dict(trained[0].model.named_parameters())
    vision = [weight for name, weight in weights.items() if "visual" in name and ".default." in name]
    text = [weight for name, weight in weights.items() if "q_proj" in name and ".default." in name]
    assert vision and not any(weight.requires_grad for weight in vision) and all(one.grad is None for one in vision)
    assert text and all(weight.requires_grad for weight in text)


def test_a_score_before_the_answers_says_which_stage_makes_them(make_settings):
    with pytest.raises(DataError, match="run `morerl predict` first"):
        score_run(make_settings())


def test_a_model_that_no_stage_has_made_is_missed_at_once(tmp_path):
    for name in (tmp_path / "sft" / "model", "./sft/model", "runs/demo/sft/model"):
        with pytest.raises(ConfigError, match="no such folder; run the stage that makes it first"):
            load_processing(name)


def test_reasoning_for_a_sample_outside_train_is_refused(make_settings, world):
    settings = make_settings()
    run_teach(settings)
    path = settings.run.dir / "reasoning.jsonl"
    path.write_text(path.read_text().replace("more/train/", "more/test/", 1))
    with pytest.raises(DataError, match="only train samples may be learnt from"):
        run_sft(settings)
