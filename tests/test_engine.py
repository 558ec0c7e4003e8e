"""A prompt computed once for its group gives what TRL's path gives, which computes it for each completion."""

import pytest
import torch
from engine_models import FAMILIES, GROUP, PROMPTS, make_trainer
from transformers import LogitsProcessorList
from trl import GRPOTrainer

from morerl.models.rollout import Draw, drawn, uniforms
from morerl.training.trainer import ScheduledGRPOTrainer

CASES = [
    pytest.param(family, pictures, lora, id=f"{family}-{pictures} pictures-{'lora' if lora else 'full'}")
    for family in FAMILIES
    for pictures in ((1, 2) if "VL" in family else (0,))
    for lora in (False, True)
]


class StockTrainer(GRPOTrainer):
    """TRL's trainer, but for the random numbers, which are ours."""

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, **kwargs):
        window = self._step // (self.num_iterations * self.args.steps_per_generation)
        names = [f"{self.args.seed}/{window}/{row}" for row in range(len(prompt_ids))]
        choose = Draw(uniforms(names, self.max_completion_length), self.generation_config)
        inner, mine = self.model.generate, drawn(self.generation_config)

        def generate(**inputs):
            return inner(**{**inputs, "generation_config": mine}, logits_processor=LogitsProcessorList([choose]))

        self.model.generate = generate
        try:
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields, num_generations, **kwargs)
        finally:
            del self.model.generate


def both(family, narrow_model, folder, **options):
    stock = make_trainer(StockTrainer, family, narrow_model, folder / "stock", **options)
    ours = make_trainer(ScheduledGRPOTrainer, family, narrow_model, folder / "ours", **options)
    assert ours.stock_because is None
    return stock, ours


def window_of(trainer):
    """The first generation window, as the trainer makes it."""
    inputs = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    return trainer._generate_and_score_completions(inputs)


def scored(trainer, window):
    """Log-probs and entropies of a window's completions, with a gradient."""
    ids = torch.cat([window["prompt_ids"], window["completion_ids"]], dim=1)
    mask = torch.cat([window["prompt_mask"], window["completion_mask"]], dim=1)
    fields = {key: window.get(key) for key in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")}
    width = window["completion_ids"].shape[1]
    return trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, mask, width, compute_entropy=True, **{k: v for k, v in fields.items() if v is not None}
    )[:2]


def gradients(trainer):
    return {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}


def assert_close(ours, stock, tolerance):
    """The largest relative difference of norms over the tensors of two dicts."""
    assert ours.keys() == stock.keys() and ours
    worst = max(((ours[n] - stock[n]).norm() / stock[n].norm().clamp(min=1e-6)).item() for n in stock)
    assert worst < tolerance


@pytest.mark.parametrize(("family", "pictures", "lora"), CASES)
def test_rollouts_log_probs_and_gradients_are_those_of_the_stock_path(family, pictures, lora, narrow_model, tmp_path):
    stock, ours = both(family, narrow_model, tmp_path, pictures=pictures, lora=lora)
    theirs, window = window_of(stock), window_of(ours)
    assert torch.equal(window["completion_ids"], theirs["completion_ids"])
    assert torch.equal(window["prompt_ids"], theirs["prompt_ids"])
    assert torch.equal(window["advantages"], theirs["advantages"])
    lengths = window["completion_mask"].sum(1)
    assert len(lengths.unique()) > 1 and len(window["prompt_mask"].sum(1).unique()) > 1  # ragged on both sides

    mask = window["completion_mask"]
    for trainer, of_window in ((stock, theirs), (ours, window)):
        logps, entropies = scored(trainer, of_window)
        ((logps * window["advantages"][:, None] + 0.1 * entropies.detach()) * mask).sum().backward()
        trainer.seen = (logps * mask).detach(), (entropies * mask).detach()
    for ours_seen, stock_seen in zip(ours.seen, stock.seen, strict=True):
        assert torch.allclose(ours_seen, stock_seen, atol=1e-5)
    assert_close(gradients(ours), gradients(stock), 2e-5)


@pytest.mark.parametrize(("family", "pictures", "lora"), CASES)
def test_a_step_is_the_stock_step(family, pictures, lora, narrow_model, tmp_path):
    assert_same_run(*both(family, narrow_model, tmp_path, pictures=pictures, lora=lora), 1e-4)


SETTINGS = {
    "checkpointed activations": {"gradient_checkpointing": True},
    "two passes over a window": {"num_iterations": 2, "steps": 4},
    "a reference model": {"beta": 0.04, "lora": True, "steps": 2},
    "a reference model of its own": {"beta": 0.04, "steps": 2},
    "loss grpo, in micro-batches": {
        "loss_type": "grpo",
        "per_device_train_batch_size": GROUP,
        "gradient_accumulation_steps": PROMPTS,
    },
    "loss dr_grpo": {"loss_type": "dr_grpo"},
    "sequence-level ratios": {"importance_sampling_level": "sequence", "num_iterations": 2, "steps": 2},
    "tokens of high entropy": {"top_entropy_quantile": 0.3},
    "no truncated completions": {"mask_truncated_completions": True},
    "padding to a multiple": {"pad_to_multiple_of": 64},
    "temperature, top-p, penalty": {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.3},
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_with_this_setting_too_steps_are_the_stock_steps(options, narrow_model, tmp_path):
    assert_same_run(*both("Qwen2.5-VL", narrow_model, tmp_path, **options), 1e-4)


BONUS = {
    "static": {"entropy_coef": 0.5},
    "adaptive": {"use_adaptive_entropy": True, "entropy_target": 9.0, "entropy_coef_delta": 0.1, "steps": 2},
}


@pytest.mark.parametrize("options", BONUS.values(), ids=BONUS)
def test_an_entropy_bonus_counts_on_groups_without_spread_too(options, narrow_model, tmp_path):
    """All rewards are alike, so the bonus alone moves the weights."""
    alike = {"reward": lambda completions, **kwargs: [1.0] * len(completions), **options}
    stock, ours = both("Qwen2", narrow_model, tmp_path, **alike)
    assert_same_run(stock, ours, 1e-4)
    assert any(weight.any() for weight in ours.moved.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "lora"),
    [("Qwen2", False), ("Qwen2.5-VL", False), ("Qwen3-VL", True)],
)
def test_twenty_steps_are_the_stock_steps(family, lora, narrow_model, tmp_path):
    """Over windows that serve two optimizer steps of two micro-steps each."""
    trainers = both(
        family,
        narrow_model,
        tmp_path,
        lora=lora,
        steps=20,
        per_device_train_batch_size=GROUP,
        gradient_accumulation_steps=PROMPTS,
        learning_rate=3e-4,
    )
    assert_same_run(*trainers, 1e-3)


def assert_same_run(stock, ours, tolerance):
    for trainer in (stock, ours):
        start = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        trainer.train()
        trainer.moved = {n: p.detach() - start[n] for n, p in trainer.model.named_parameters() if p.requires_grad}
    figures = [
        [
            (entry["loss"], entry["grad_norm"], entry.get("reward", 0.0), entry["entropy"])
            for entry in trainer.state.log_history
            if "loss" in entry
        ]
        for trainer in (stock, ours)
    ]
    assert len(figures[0]) == stock.args.max_steps
    for theirs, mine in zip(*figures, strict=True):
        assert mine == pytest.approx(theirs, rel=tolerance, abs=1e-5)
    assert_close(ours.moved, stock.moved, 100 * tolerance)
