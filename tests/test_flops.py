"""The benchmark's arithmetic: its formulas against what PyTorch counts, and the shapes it stands for."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText
from trl.trainer.utils import add_fused_lm_head

from benchmarks.flops import FULL, Cell, attention, causal, forward, head, limits, linear, vision
from benchmarks.grpo_model import GRIDS, build, model, real_config, rows
from morerl.models.tree import use_tree_attention
from morerl.training import trainer  # noqa: F401 (the head where a token is predicted, on a CPU too)
from morerl.training.prefix import log_probs

CELL = Cell(group=4, prompt=240, completion=24, prompts=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(model, one prompt of CELL as the model reads it, processor)"""
    folder = tmp_path_factory.mktemp("tiny")
    reader = build("tiny", folder)
    [row] = rows(CELL, reader)
    blocks = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": row["prompt"][0]["content"]}]
    chat = reader.apply_chat_template([{"role": "user", "content": blocks}], add_generation_prompt=True)
    inputs = reader(images=row["images"], text=[chat], return_tensors="pt")
    return model("tiny", folder, reader, "cpu"), dict(inputs), reader


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_formulas_count_what_pytorch_counts(tiny):
    """PyTorch takes attention for a full square, where causality needs half: the squares are compared."""
    lvlm, inputs, _ = tiny
    assert inputs["input_ids"].shape == (1, CELL.prompt)
    config, length = lvlm.config, CELL.prompt
    with torch.no_grad():
        whole = counted(lambda: lvlm(**inputs, logits_to_keep=5))
        tower = counted(lambda: lvlm.model.visual(inputs["pixel_values"], inputs["image_grid_thw"]))
    assert tower == pytest.approx(vision(config, GRIDS), rel=0.01)
    text = linear(config, length) + attention(config, length**2) + head(config, 5)
    assert whole - tower == pytest.approx(text, rel=0.01)


def test_a_backward_pass_is_two_forward_passes(tiny):
    """But for the first layer, whose input needs no gradient, and for attention, which makes its scores anew."""
    lvlm, inputs, _ = tiny
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        lvlm(**inputs)
    by_operation = counter.get_flop_counts()["Global"]
    scores = sum(count for operation, count in by_operation.items() if "attention" in str(operation)) / 2
    first = 2 * inputs["pixel_values"].numel() * lvlm.config.vision_config.hidden_size
    trained = counted(lambda: lvlm(**inputs).logits.sum().backward())
    assert trained - scores + first == pytest.approx(FULL.text * counter.get_total_flops(), rel=1e-3)


def test_each_prefix_once_is_what_the_shared_pass_computes(tiny):
    """Beside the squares of attention it repeats a prompt's last token in each of its branches."""
    lvlm, inputs, _ = tiny
    use_tree_attention(lvlm)
    add_fused_lm_head(lvlm, outputs=("entropy",))
    ids = torch.randint(300, 400, (CELL.group, CELL.completion))
    with torch.no_grad():
        done = counted(lambda: log_probs(lvlm, lvlm, inputs, ids, torch.ones_like(ids)))
    needed = forward(lvlm.config, CELL, GRIDS, once=True).total
    assert needed < done
    pairs = CELL.prompt**2 + CELL.group * CELL.completion * (CELL.prompt + CELL.completion)
    squares = pairs - causal(CELL.prompt) - CELL.group * causal(CELL.completion - 1, CELL.prompt)
    assert done == pytest.approx(needed + attention(lvlm.config, squares), rel=0.02)


def test_the_limit_nears_g_as_the_prompt_grows(tiny):
    config = tiny[0].config
    grown = [limits(config, Cell(8, prompt, 64, 8), GRIDS, FULL)["step"] for prompt in (300, 1_000, 30_000)]
    assert grown == sorted(grown) and 7.5 < grown[-1] < 8
    assert limits(config, Cell(1, 300, 64, 8), GRIDS, FULL) == dict.fromkeys(
        ("rollout", "scoring", "training", "step"), 1.0
    )


@pytest.mark.parametrize(("shape", "millions"), [("3B", 3_755), ("7B", 8_292)])
def test_the_large_shapes_are_the_published_ones(shape, millions, tiny):
    with torch.device("meta"):
        made = AutoModelForImageTextToText.from_config(real_config(shape, tiny[2].tokenizer), dtype=torch.bfloat16)
    assert round(sum(p.numel() for p in made.parameters()) / 1e6) == millions
    grids = [(32, 44)]
    assert vision(made.config, grids) < 2.3 * sum(p.numel() for p in made.model.visual.parameters()) * 32 * 44
