"""Two ranks of every engine train as one rank does, on the shipped launcher files, with a SIGKILL in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from morerl.config import dump_settings
from morerl.jsonl import read_samples, write_records
from morerl.models.load import load_model
from morerl.prompts.render import render_gold
from morerl.schema import Rated, Reasoning
from morerl.settings import ModelSettings

pytestmark = pytest.mark.slow

HOME = Path(__file__).parents[1]
LAUNCHERS = HOME / "configs" / "accelerate"
ENGINES = ("ddp", "zero2", "zero3", "fsdp2")
ADAPTIVE = {"strategy": "adaptive", "refill": 1.0, "replay": 0.25}
SHARDED = f"{os.environ.get('MORERL_ADAPTIVE_ON', 'zero3')} adaptive"  # or another of ENGINES
SEED = 6  # of the adaptive runs: one whose four windows are of both kinds
GLOO = {"use_cpu": False, "ddp_backend": "gloo"}  # accelerate leaves DeepSpeed and FSDP out where use_cpu is said
STAGES = ("sft", "grpo")
# times, and what each rank's padding costs
NOT_EQUAL = {"epoch", "step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos"}
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def abrupt_model(narrow_model, tmp_path_factory):
    """The narrow model with every fourth token an end, so that ranks finish their rollouts at different tokens."""
    out = tmp_path_factory.mktemp("abrupt") / "model"
    shutil.copytree(narrow_model, out)
    file = out / "generation_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "eos_token_id": [config["eos_token_id"], *range(0, 480, 4)]}))
    return out


@pytest.fixture(scope="module")
def settings_of(world, abrupt_model, tmp_path_factory):
    """Writes settings for a run over pictures and texts of four steps, a checkpoint at two and four."""
    import conftest

    root = tmp_path_factory.mktemp("ranks")
    text_pair = conftest.text_pair.__wrapped__()
    pictures = read_samples(world / "data" / "train.jsonl")[:8]
    mixed = [sample for n, picture in enumerate(pictures) for sample in (picture, text_pair(n))]
    write_records(root / "data" / "train.jsonl", mixed)
    # three pictures and a text: on two ranks neither their number nor their kind comes out even
    write_records(root / "data" / "dev.jsonl", [*read_samples(world / "data" / "dev.jsonl")[:3], text_pair(99)])
    chains = [Reasoning(id=s.id, completion=render_gold(s), model="gold", prompt_hash="") for s in mixed]
    write_records(root / "reasoning.jsonl", chains)
    write_records(root / "rated.jsonl", [Rated(id=s.id, n=1, n_correct=n // 2 % 2) for n, s in enumerate(mixed)])
    template = conftest.make_settings.__wrapped__(world, abrupt_model, root)

    def write(name, mixing=None, corpora=None, **trainer):
        several = {"corpora": corpora, "dir": None, "image_root": None, "guidelines": None}
        settings = template(
            run={"dir": str(root / name), "seed": SEED if mixing else 0},
            data={**template().data.model_dump(mode="json"), **(several if corpora else {"dir": str(root / "data")})},
            sft={
                **template().sft.model_dump(mode="json", exclude_unset=True),
                "reasoning": str(root / "reasoning.jsonl"),
                "trainer": {**template().sft.trainer, **trainer},
            },
            grpo={
                **template().grpo.model_dump(mode="json", exclude_unset=True),
                "rated": str(root / "rated.jsonl"),
                "model": str(abrupt_model),
                "mixing": mixing or {"epochs": 2},
                "trainer": {**template().grpo.trainer, "max_completion_length": 12, "beta": 0.04, **trainer},
            },
        )
        (root / f"{name}.yaml").write_text(dump_settings(settings))
        return root / f"{name}.yaml"

    return write


def on_two_cpus(engine, folder):
    """The shipped launcher file with two ranks for eight, and fp32 for bf16."""
    shipped = yaml.safe_load((LAUNCHERS / f"{engine}.yaml").read_text())
    path = folder / f"{engine}.launcher.yaml"
    path.write_text(yaml.safe_dump({**shipped, "num_processes": 2, "mixed_precision": "no"}))
    return str(path)


@pytest.fixture(scope="module")
def runs(settings_of):
    """Folders of SFT and GRPO runs: `one` rank, undisturbed, and each engine's, whose one rank is killed in step three.

    `one adaptive` and SHARDED, the adaptive run on an engine that shards the weights, are two more.
    """
    one = settings_of("one", per_device_train_batch_size=8)
    alone = [(stage, one) for stage in STAGES]
    alone.append(("grpo", settings_of("one adaptive", ADAPTIVE, per_device_train_batch_size=8)))
    jobs = [{"stage": s, "launcher": None, "settings": str(file), "kill_after": None} for s, file in alone]
    every = {engine: settings_of(engine, **({} if engine == "ddp" else GLOO)) for engine in ENGINES}
    ranked = [(stage, *one) for one in every.items() for stage in STAGES]
    for stage, name, settings in [*ranked, ("grpo", SHARDED, settings_of(SHARDED, ADAPTIVE, **GLOO))]:
        launcher = on_two_cpus(name.split()[0], one.parent)
        job = {"stage": stage, "launcher": launcher, "settings": str(settings)}
        jobs += [{**job, "kill_after": 3}, {**job, "kill_after": None}]
    (one.parent / "jobs.json").write_text(json.dumps(jobs))
    command = [sys.executable, str(Path(__file__).with_name("ranks_run.py")), str(one.parent / "jobs.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=HOME, env=ENV, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    codes = json.loads(done.stdout.splitlines()[-1])["codes"]
    codes, killed, well = codes[: len(alone)], codes[len(alone) :: 2], codes[len(alone) + 1 :: 2]
    assert (codes, well) == ([[0]] * len(alone), [[0, 0]] * (len(ranked) + 1)), done.stderr[-6000:]
    assert all(-signal.SIGKILL in ranks and 0 not in ranks for ranks in killed)
    return {name: one.parent / name for name in ("one", "one adaptive", *ENGINES, SHARDED)}


def log_of(run, stage="grpo"):
    lines = [json.loads(line) for line in (run / stage / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in NOT_EQUAL} for line in lines]


def weights_of(folder):
    return load_model(folder, ModelSettings(path=str(folder))).state_dict()


def furthest(a, b):
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("engine", ENGINES)
def test_two_ranks_train_as_one_does_though_one_of_them_was_killed(runs, engine, stage):
    """Same rows, rollouts, rewards, losses and gradients; sums in another order differ by 1e-6 in fp32."""
    one, two = log_of(runs["one"], stage), log_of(runs[engine], stage)
    assert [line.keys() for line in two] == [line.keys() for line in one]
    for mine, theirs in zip(one, two, strict=True):
        assert theirs == pytest.approx(mine, rel=1e-5, abs=1e-6)
    assert [line["grad_norm"] > 0.1 for line in one if "grad_norm" in line] == [True] * 4


@pytest.mark.parametrize("engine", ENGINES)
def test_two_ranks_draw_what_one_draws(runs, engine):
    assert (runs[engine] / "schedule.jsonl").read_bytes() == (runs["one"] / "schedule.jsonl").read_bytes()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("engine", ENGINES)
def test_two_ranks_end_with_the_weights_of_one(runs, engine, stage, abrupt_model):
    """Steps that read only texts included: there the vision tower has no gradient, and its momentum goes on."""
    last = f"{stage}/checkpoints/checkpoint-4"
    one, two = weights_of(runs["one"] / last), weights_of(runs[engine] / last)
    assert furthest(one, two) < 1e-5 < 1e-3 < furthest(one, weights_of(abrupt_model))
    kept = [weights_of(runs[name] / stage / "model") for name in ("one", engine)]
    assert furthest(*kept) < 1e-5


def test_adaptive_windows_are_those_of_one_rank(runs):
    """The refills' places lie on the ranks as they fall; a rank with fewer generates idle ones, told of nowhere."""
    one, two = ((runs[name] / "schedule.jsonl").read_text() for name in ("one adaptive", SHARDED))
    assert two == one
    lines = [json.loads(line) for line in one.splitlines()]
    kinds = [{prompt["id"].startswith("text") for prompt in line["prompts"]} for line in lines]
    assert sorted(map(len, kinds)) == [1] * 4 and set.union(*kinds) == {True, False}
    refilled = [[p["refills"] for p in line["prompts"] if "refills" in p] for line in lines]
    order = [[p["id"] for p in line["prompts"] if "refills" not in p] for line in lines]
    halves = [[of.index(id_) // 2 for id_ in ids] for of, ids in zip(order, refilled, strict=True)]
    assert any(half.count(0) != half.count(1) for half in halves)  # one rank had more to generate than the other
    ends = [
        json.loads((runs[n] / "grpo/checkpoints/checkpoint-4/rank-0.json").read_text())
        for n in ("one adaptive", SHARDED)
    ]
    assert ends[0]["standing"] == ends[1]["standing"]


def test_adaptive_training_is_that_of_one_rank(runs):
    one, two = log_of(runs["one adaptive"]), log_of(runs[SHARDED])
    for mine, theirs in zip(one, two, strict=True):
        assert mine.pop("num_tokens", 0) <= theirs.pop("num_tokens", 0)  # idle prompts are read too
        assert theirs == pytest.approx(mine, rel=1e-5, abs=1e-6)
    last = "grpo/checkpoints/checkpoint-4"
    assert furthest(weights_of(runs["one adaptive"] / last), weights_of(runs[SHARDED] / last)) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_are_saved_under_the_names_they_were_read_by(runs, engine, abrupt_model):
    """ZeRO-3 and FSDP2 save what they gather, which has other names than the module or the file."""
    from safetensors import safe_open

    def names(folder):
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            return set(file.keys()) - {"lm_head.weight"}  # tied to the embeddings; some engines write it again

    assert [names(runs[engine] / stage / "model") for stage in STAGES] == [names(abrupt_model)] * 2


def apart(root, image_root):
    """The mixed data of `settings_of` as two corpora."""
    for split in ("train", "dev"):
        mixed = read_samples(root / "data" / f"{split}.jsonl")
        for name in ("more", "text"):
            write_records(root / name / f"{split}.jsonl", [one for one in mixed if one.corpus == name])
    named = {name: {"dir": str(root / name), "guidelines": "more"} for name in ("more", "text")}
    return {**named, "more": {**named["more"], "image_root": str(image_root)}}


def test_the_command_of_the_readme_starts_two_ranks_on_two_corpora(settings_of, world):
    root = settings_of("launched").parent
    settings = settings_of("launched", corpora=apart(root, world / "raw"), max_steps=2)
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--main_process_port", "0"]
    command = [*launch, "--config_file", str(LAUNCHERS / "ddp_cpu.yaml"), "-m", "morerl", "grpo", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=HOME, env=ENV, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = root / "launched" / "grpo" / "checkpoints" / "checkpoint-2"
    assert len(list(checkpoint.glob("rng_state_*.pth"))) == 2
    log = log_of(root / "launched")
    assert all({"dev/more", "dev/text"} < line.keys() for line in log if "dev_f1" in line)
    paid = [(line["rewards/more/answer/mean"], line["rewards/text/answer/mean"]) for line in log if "reward" in line]
    assert paid == [(None, 0.0), (0.0, None)]  # a window of texts, then one of pictures
