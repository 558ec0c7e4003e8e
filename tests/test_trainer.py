"""The overrides of TRL's private hooks: equal to the stock path where they should be, and where not, why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from engine_models import PLAIN
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from morerl.models.load import load_processing
from morerl.training.trainer import ScheduledGRPOTrainer, drop_nothing
from morerl.training.window import take_rows

PROMPTS = 4


ROW_BY_ROW = {"generation_kwargs": {"typical_p": 1.0}}  # changes nothing but that prompts are not shared


def trainer(kind, narrow_model, folder, reward, attention_dropout=0.0, options=None, **extra):
    tokenizer = load_processing(narrow_model).tokenizer
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            attention_dropout=attention_dropout,
        )
    )
    rows = [{"prompt": [{"role": "user", "content": f"text {n}"}], "number": n} for n in range(PROMPTS)]
    arguments = GRPOConfig(
        **{
            "output_dir": str(folder),
            "per_device_train_batch_size": 8,
            "num_generations": 2,
            "max_completion_length": 4,
            "max_steps": 1,
            "learning_rate": 1e-2,
            **PLAIN,
            "loss_type": "dapo",
            "disable_dropout": kind is GRPOTrainer,
            **(options or {}),
        }
    )
    return kind(
        model=model,
        args=arguments,
        reward_funcs=reward,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        **extra,
    )


def spread(completions, number, **kwargs):
    """Every group has spread: 0, 1, 0, 1, ..."""
    return [float(index % 2) for index in range(len(completions))]


def half_spread(completions, number, **kwargs):
    """Only the groups of even prompts have spread; the odd ones' rewards are all 0.1 + 0.2."""
    return [float(index % 2) if n % 2 == 0 else 0.1 + 0.2 for index, n in enumerate(number)]


def train(kind, narrow_model, folder, reward, **extra):
    if kind is ScheduledGRPOTrainer:
        extra["windows"] = [list(range(PROMPTS))]
    one = trainer(kind, narrow_model, folder, reward, **extra)
    one.train()
    norm = next(entry["grad_norm"] for entry in one.state.log_history if "grad_norm" in entry)
    return one, norm


def test_what_cannot_share_prompts_takes_the_stock_step_and_says_why(narrow_model, tmp_path, caplog):
    stock, stock_norm = train(GRPOTrainer, narrow_model, tmp_path / "stock", spread, options=ROW_BY_ROW)
    ours, our_norm = train(ScheduledGRPOTrainer, narrow_model, tmp_path / "ours", spread, options=ROW_BY_ROW)
    assert our_norm == stock_norm
    said = [record.message for record in caplog.records if record.name == "morerl.training.trainer"]
    assert said == [
        "prompts are computed once for each completion (TRL's own path): "
        "trainer.generation_kwargs.typical_p chooses tokens in its own way"
    ]
    for a, b in zip(stock.model.parameters(), ours.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("options", [{}, ROW_BY_ROW], ids=["shared prompts", "row by row"])
def test_groups_without_spread_do_not_dilute_the_step(narrow_model, tmp_path, options):
    """Half the groups have no spread: their tokens leave the denominator, and nothing else changes."""
    from test_engine import StockTrainer

    kind = GRPOTrainer if options else StockTrainer  # the same rollouts as ours
    _, stock_norm = train(kind, narrow_model, tmp_path / "stock", half_spread, options=options)
    _, our_norm = train(ScheduledGRPOTrainer, narrow_model, tmp_path / "ours", half_spread, options=options)
    assert our_norm == pytest.approx(2 * stock_norm, rel=0.02)


@pytest.mark.parametrize("scale", ["group", "none"])
def test_rewards_that_differ_by_little_teach(narrow_model, tmp_path, scale):
    """Without a scale an advantage is in the rewards' own unit, be it small."""

    def small(completions, number, **kwargs):
        return [0.001 * value for value in half_spread(completions, number)]

    options = {"scale_rewards": scale}
    one, norm = train(ScheduledGRPOTrainer, narrow_model, tmp_path, small, options=options)
    assert norm > 0
    spread = one._has_spread(
        torch.tensor([0.0005, -0.0005, 1e-7, -1e-7]) if scale == "none" else torch.tensor([1.0, -1, 1e-3, -1e-3])
    )
    assert spread.tolist() == [True, True, False, False]


def test_rollouts_come_from_the_policy_itself_and_not_from_its_dropout(narrow_model, tmp_path, monkeypatch):
    """TRL generates in training mode, and its own `disable_dropout` leaves attention dropout on."""

    def draws(kind, **extra):
        one = trainer(kind, narrow_model, tmp_path / kind.__name__, spread, attention_dropout=0.5, **extra)
        modes, generate = [], one.model.generate

        def spied(*args, **kwargs):
            modes.append(one.model.training)
            return generate(*args, **kwargs)

        monkeypatch.setattr(one.model, "generate", spied)
        one.train()
        tokens = torch.arange(20).unsqueeze(0)
        assert modes and all(modes) and one.model.training
        return one.model(tokens).logits, one.model(tokens).logits

    stock = draws(GRPOTrainer)
    ours = draws(ScheduledGRPOTrainer, windows=[list(range(PROMPTS))])
    assert not torch.equal(*stock)
    assert torch.equal(*ours)


def test_dropout_of_layers_and_of_any_name_is_switched_off():
    class Old(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.dropout, self.width = torch.nn.Sequential(torch.nn.Dropout(0.5)), 0.3, 0.3

    model = Old()
    drop_nothing(model)
    assert (model.layers[0].p, model.dropout, model.width) == (0.0, 0.0, 0.3)


TWO_RANKS = """
import atexit
import sys
import torch
from morerl.cli import main
from morerl.training import grpo


def few_with_spread(completions, sample, **kwargs):
    return [float(n % 2) if '"text/1"' in row or '"more/train/000002"' in row else 0.0 for n, row in enumerate(sample)]


grpo.reward_functions = lambda settings, tasks: ([few_with_spread], [1.0])
class Module:
    def __del__(self):
        print("the interpreter came to its end")


sys.modules["last"] = Module()
atexit.register(lambda: print("in a group:", torch.distributed.is_initialized()))
main()
"""


@pytest.mark.slow
def test_ranks_with_more_and_less_to_learn_from_do_not_wait_for_each_other(make_settings, world, text_pair, tmp_path):
    """Pictures and texts, and few groups with spread, so that the ranks have different numbers of rows that teach."""
    from morerl.config import dump_settings
    from morerl.jsonl import read_samples, write_records
    from morerl.schema import Rated

    pictures, texts = read_samples(world / "data" / "train.jsonl")[:8], [text_pair(n) for n in range(8)]
    mixed = [sample for pair in zip(pictures, texts, strict=True) for sample in pair]
    write_records(tmp_path / "data" / "train.jsonl", mixed)
    write_records(tmp_path / "data" / "dev.jsonl", [*read_samples(world / "data" / "dev.jsonl")[:3], text_pair(99)])
    settings = make_settings(
        data={"dir": str(tmp_path / "data")},
        grpo={
            "model": make_settings().model.path,
            "mixing": {"epochs": 1},
            "trainer": {**make_settings().grpo.trainer, "log_completions": True},
        },
    )
    write_records(settings.run.dir / "rated.jsonl", [Rated(id=s.id, n=1, n_correct=i % 2) for i, s in enumerate(mixed)])
    (tmp_path / "run.yaml").write_text(dump_settings(settings))
    (tmp_path / "two.py").write_text(TWO_RANKS)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "--standalone",
        str(tmp_path / "two.py"),
        "grpo",
        str(tmp_path / "run.yaml"),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (settings.run.dir / "grpo" / "model" / "model.safetensors").is_file()
    assert done.stdout.count("4 steps") == 1  # one rank speaks
    assert done.stdout.count("in a group: False") == 2
    assert "its end" not in done.stdout  # where a thread of gloo can abort a rank that has ended well


@pytest.mark.parametrize("options", [{}, ROW_BY_ROW], ids=["shared prompts", "row by row"])
def test_rows_that_teach_nothing_never_reach_the_model(narrow_model, tmp_path, options):
    windows = [list(range(PROMPTS))]
    one = trainer(ScheduledGRPOTrainer, narrow_model, tmp_path, half_spread, options=options, windows=windows)
    seen = []
    inner = one.model.forward

    def forward(*args, **kwargs):
        if kwargs.get("tree") is not None:
            seen.append(sum(len(group.branches) for group in kwargs["tree"].groups))
        elif kwargs.get("labels") is not None:
            seen.append(len(kwargs["input_ids"]))
        return inner(*args, **kwargs)

    one.model.forward = forward
    one.train()
    assert seen == [PROMPTS]  # of 8 rows, the 4 of the two prompts with spread


def test_taken_rows_keep_their_own_pictures():
    batch = {
        "completion_mask": torch.eye(3),
        "num_images": [2, 1, 0],
        "image_grid_thw": torch.tensor([[1, 2, 2], [1, 2, 4], [1, 2, 6]]),
        "pixel_values": torch.arange(24).unsqueeze(1),
        "num_items_in_batch": torch.tensor(9),
    }
    taken = take_rows(batch, [1, 2])
    assert taken["num_images"] == [1, 0] and taken["image_grid_thw"].tolist() == [[1, 2, 6]]
    assert taken["pixel_values"].flatten().tolist() == list(range(12, 24))
    assert taken["completion_mask"].tolist() == [[0, 1, 0], [0, 0, 1]] and taken["num_items_in_batch"] == 9


def test_projecting_only_the_learnt_tokens_gives_the_stock_loss_and_gradient(narrow_model, tmp_path, monkeypatch):
    def step(stock):
        if stock:
            monkeypatch.setattr("trl.trainer.utils._use_triton", lambda device: False)
        one, norm = train(GRPOTrainer, narrow_model, tmp_path / str(stock), spread)
        return norm, [parameter.detach().clone() for parameter in one.model.parameters()]

    ours, stock = step(False), step(True)
    assert ours[0] == pytest.approx(stock[0], rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours[1], stock[1], strict=True))
