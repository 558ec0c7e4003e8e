"""What the GRPO trainer does once for a prompt, and where it leaves prompts to TRL's own path."""

import copy

import pytest
import torch
from engine_models import GROUP, PROMPTS, build, make_trainer
from peft import LoraConfig, get_peft_model
from test_engine import scored, window_of
from transformers import Gemma3Processor, MixtralConfig, MixtralForCausalLM
from trl import GRPOConfig

from morerl.errors import MorerlError
from morerl.training import rows
from morerl.training.prefix import why_stock
from morerl.training.trainer import ScheduledGRPOTrainer


def arguments(folder, **options):
    whole = {"per_device_train_batch_size": GROUP, "num_generations": GROUP, "max_completion_length": 8}
    return GRPOConfig(str(folder), **{**whole, "bf16": False, "use_cpu": True, **options})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"gradient_accumulation_steps": 3}, None),
        ({"generation_kwargs": {"repetition_penalty": 1.1, "no_repeat_ngram_size": 3}}, None),
        (
            {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 2},
            "= 6 holds no whole groups of trainer.num_generations = 4; make it a multiple",
        ),
        ({"generation_kwargs": {"num_beams": 2}}, "generation_kwargs.num_beams chooses tokens in its own way"),
        ({"cache_implementation": "static"}, "choose another cache"),
    ],
    ids=str,
)
def test_settings_that_cannot_share_prompts_are_named(options, reason, narrow_model, tmp_path):
    model, reader = build("Qwen2.5-VL", narrow_model)
    found = why_stock(model, reader, arguments(tmp_path, **options), 100)
    assert found is None if reason is None else reason in found


def test_an_adapter_is_shared_too_and_what_is_not_known_is_not(narrow_model, tmp_path):
    model, reader = build("Qwen2", narrow_model)
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    assert why_stock(adapted.get_base_model(), reader, arguments(tmp_path), 100) is None
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": 64}
    experts = MixtralForCausalLM(MixtralConfig(**shape, output_router_logits=True))
    assert "auxiliary loss" in why_stock(experts, reader, arguments(tmp_path), 100)
    of_others = object.__new__(Gemma3Processor)  # the names of what it makes are the class's
    of_others.image_processor = build("Qwen2.5-VL", narrow_model)[1].image_processor
    of_others.tokenizer = reader
    assert "Gemma3Processor makes token_type_ids" in why_stock(model, of_others, arguments(tmp_path), 100)


def counting(monkeypatch, owner, name):
    calls, inner = [], getattr(owner, name)

    def counted(*args, **kwargs):
        calls.append(args)
        return inner(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_a_window_reads_each_picture_once(narrow_model, tmp_path, monkeypatch):
    trainer = make_trainer(ScheduledGRPOTrainer, "Qwen2.5-VL", narrow_model, tmp_path)
    processed = counting(monkeypatch, trainer.processing_class.image_processor, "_preprocess")
    towers = counting(monkeypatch, trainer.model.model.visual, "forward")
    window = window_of(trainer)
    assert len(window["completion_ids"]) == GROUP * PROMPTS and window["num_images"] == [2] * PROMPTS
    assert [len(args[0]) for args in processed] == [2 * PROMPTS]
    assert len(towers) == 1 and len(towers[0]) == 1
    assert len(window["image_grid_thw"]) == 2 * PROMPTS


def test_a_window_opens_each_picture_once_however_long_it_serves(make_settings, world, monkeypatch):
    """TRL reads a window's rows once for each micro-step, and each prompt of it G times."""
    from morerl.jsonl import read_samples
    from morerl.models.load import load_processing
    from morerl.tasks import load_tasks

    settings, samples = make_settings(), read_samples(world / "data" / "train.jsonl")[:6]
    opened = counting(monkeypatch, rows, "load_views")
    processing = load_processing(settings.model.path)
    made = rows.make_dataset(
        samples, load_tasks(settings), settings, processing, lambda sample: {"sample": sample.id}, kept=6
    )
    for _ in range(3):
        stream = [row for row in range(len(samples)) for _ in range(8)]
        batch = made[stream]
    assert [sample.id for (sample, *_) in opened] == [sample.id for sample in samples]
    assert batch["sample"][8] == samples[1].id and batch["images"][0][0] is not batch["images"][8][0]


def test_scoring_before_training_uses_the_pictures_too(narrow_model, tmp_path):
    """Two passes over a window: the second's ratios are against the first's log-probs of the same prompts."""
    options = {"num_iterations": 2, "steps": 2, "learning_rate": 1e-9}
    trainer = make_trainer(ScheduledGRPOTrainer, "Qwen3-VL", narrow_model, tmp_path, **options)
    trainer.train()
    batch = trainer._buffered_inputs[0]
    assert "old_per_token_logps" in batch and "pixel_values" in batch
    now = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].shape[1],
        **{key: batch[key] for key in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")},
    )[0]
    mask = batch["completion_mask"].bool()
    assert torch.allclose(now[mask], batch["old_per_token_logps"][mask], atol=1e-5)


def test_a_layer_that_never_sees_the_tree_is_an_error_and_no_wrong_number(narrow_model, tmp_path):
    trainer = make_trainer(ScheduledGRPOTrainer, "Qwen2", narrow_model, tmp_path)
    window = window_of(trainer)
    deaf = trainer.model.model.layers[1].self_attn
    deaf.config = copy.copy(deaf.config)
    deaf.config._attn_implementation = "sdpa"
    with pytest.raises(MorerlError, match="1 of its 2 layers"):
        scored(trainer, window)
