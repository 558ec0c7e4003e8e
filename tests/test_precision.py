"""What trainer options and launchers do not decide: precision is the settings', GRPO's length the schedule's."""

import pytest
from trl import GRPOConfig, SFTConfig

from morerl.errors import ConfigError
from morerl.training.arguments import trainer_arguments

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
