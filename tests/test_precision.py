"""What trainer options and launchers do not decide: precision is the settings', GRPO's length the schedule's."""

import pytest
import torch
from trl import GRPOConfig, SFTConfig

from morerl.errors import ConfigError
from morerl.training.arguments import _check_precision, trainer_arguments

LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # what `accelerate launch` sets for its processes


def arguments(settings, kind=GRPOConfig, **options):
    given = settings.grpo.trainer if kind is GRPOConfig else settings.sft.trainer
    return trainer_arguments(kind, {**given, **options}, settings.run.dir, settings, settings.grpo.dev)


def test_a_launcher_of_another_precision_is_refused(make_settings, monkeypatch):
    monkeypatch.setenv(LAUNCHED, "bf16")
    with pytest.raises(ConfigError, match=r"model\.dtype is float32, but the launcher asks for bf16: .*no`"):
        arguments(make_settings())


def test_epochs_are_the_schedules_in_grpo_and_the_users_in_sft(make_settings):
    with pytest.raises(ConfigError, match=r"num_train_epochs is not yours to set: grpo\.mixing\.epochs"):
        arguments(make_settings(), num_train_epochs=3)
    assert arguments(make_settings(), SFTConfig, num_train_epochs=3).num_train_epochs == 3


@pytest.mark.parametrize("name", ["reward_weights", "chat_template_kwargs"])
def test_what_grpo_alone_would_do_otherwise_is_refused(make_settings, name):
    with pytest.raises(ConfigError, match=f"trainer.{name} is not yours to set"):
        arguments(make_settings(), **{name: [1.0] if name == "reward_weights" else {"enable_thinking": False}})


def test_all_weights_in_float16_are_refused_and_an_adapter_is_not(make_settings):
    model = {**make_settings().model.model_dump(), "dtype": "float16"}
    with pytest.raises(ConfigError, match=r"model\.dtype is float16.*bfloat16.*model\.lora"):
        arguments(make_settings(model=model))
    assert arguments(make_settings(model={**model, "lora": {"r": 2}})).fp16


@pytest.mark.parametrize(
    ("model", "launched", "lost"),
    [
        ({"dtype": "bfloat16"}, {}, True),
        ({"dtype": "bfloat16"}, {"ACCELERATE_USE_FSDP": "true"}, False),
        ({"dtype": "bfloat16"}, {"ACCELERATE_USE_DEEPSPEED": "true"}, False),
        ({"dtype": "bfloat16", "lora": {"r": 2}}, {}, False),
        ({"dtype": "float32"}, {}, False),
    ],
)
def test_updates_that_bfloat16_would_lose_are_told(make_settings, monkeypatch, caplog, model, launched, lost):
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("morerl.training.arguments._by_deepspeed", lambda _: "ACCELERATE_USE_DEEPSPEED" in launched)
    settings = make_settings(model={**make_settings().model.model_dump(), **model})
    _check_precision(SFTConfig(bf16=False, use_cpu=True, report_to="none"), settings)
    assert ("most updates are lost; say model.dtype: float32 and trainer.bf16: true" in caplog.text) == lost


def test_small_updates_are_lost_in_bfloat16_and_not_under_autocast():
    """Why that is told: a step of 5e-6 on a weight of 0.03 is less than half of what bfloat16 tells apart."""
    for dtype, moved in ((torch.bfloat16, (0.0, 0.2)), (torch.float32, (0.99, 1.0))):
        torch.manual_seed(0)
        weight = torch.nn.Parameter((0.03 * torch.randn(10_000)).to(dtype))
        before, optimizer = weight.detach().clone(), torch.optim.AdamW([weight], lr=5e-6)
        for _ in range(20):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        share = float((weight != before).float().mean())
        assert moved[0] <= share <= moved[1], (dtype, share)


@pytest.mark.parametrize(
    ("launched", "dtype", "options", "precision"),
    [
        ("bf16", "bfloat16", {}, "bf16"),
        ("bf16", "float32", {"bf16": True}, "bf16"),  # float32 weights under autocast, said in so many words
        ("no", "float32", {}, "no"),
        ("no", "bfloat16", {}, "bf16"),
    ],
)
def test_a_precision_that_is_asked_for_is_had(make_settings, monkeypatch, launched, dtype, options, precision):
    monkeypatch.setenv(LAUNCHED, launched)
    model = {**make_settings().model.model_dump(), "dtype": dtype}
    assert arguments(make_settings(model=model), **options).mixed_precision == precision
