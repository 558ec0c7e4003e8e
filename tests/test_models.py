"""The embedded model and decoding, with the real processor."""

from types import SimpleNamespace

import pytest
from peft import get_peft_model

from morerl.errors import ConfigError, DataError
from morerl.guidelines import load_spec
from morerl.jsonl import read_samples
from morerl.models.generate import batches, encode, generate
from morerl.models.load import freeze_vision, load_model, load_processing, lora_config
from morerl.models.tiny import build_tiny
from morerl.runs import sha256
from morerl.schema import Mention, Region, Sample
from morerl.settings import GenerateSettings, ImageSettings, ModelSettings, TinySettings
from morerl.tasks import load_tasks
from morerl.training.rows import fitting, prompt_tokens
from morerl.training.stage import _say_what_differs

SPEC = load_spec("more")


@pytest.fixture
def loaded(narrow_model):
    return load_model(narrow_model, ModelSettings()).eval(), load_processing(narrow_model)


def _generate(loaded, samples, settings, **how):
    model, processing = loaded
    return generate(
        model,
        processing,
        samples,
        load_tasks(settings),
        prompt=settings.prompt,
        images=settings.images,
        settings=GenerateSettings(max_new_tokens=8, **how),
    )


def test_the_default_shape_has_one_to_two_million_weights_and_loads_like_any_model(tmp_path):
    build_tiny(tmp_path, ["Lions in red beat Bears in blue"], TinySettings(), seed=0)
    model = load_model(tmp_path, ModelSettings())
    assert 1_000_000 <= sum(p.numel() for p in model.parameters()) <= 2_000_000
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert type(load_processing(tmp_path).reader).__name__ == "Qwen2_5_VLProcessor"


def test_the_same_seed_builds_the_same_bytes(tmp_path):
    for name in ("a", "b", "c"):
        build_tiny(tmp_path / name, ["one two three"], TinySettings(hidden_size=32, heads=2), seed=int(name == "c"))
    weights = [sha256(tmp_path / name / "model.safetensors") for name in ("a", "b", "c")]
    assert weights[0] == weights[1] != weights[2]
    assert sha256(tmp_path / "a" / "tokenizer.json") == sha256(tmp_path / "b" / "tokenizer.json")


def test_prompt_tokens_is_what_the_processor_makes(loaded, world, make_settings, text_pair):
    settings, processing = make_settings(), loaded[1]
    tasks = load_tasks(settings)
    samples = [*read_samples(world / "data" / "train.jsonl")[:12], text_pair()]
    for sample in samples:
        inputs = encode([sample], processing, tasks, settings.prompt, settings.images)
        assert prompt_tokens(sample, tasks, settings, processing) == inputs["input_ids"].shape[1]


def test_prompts_over_the_limit_are_named_and_left_out(loaded, world, make_settings, tmp_path, caplog):
    samples = read_samples(world / "data" / "train.jsonl")[:20]
    tasks = load_tasks(make_settings())
    lengths = {s.id: prompt_tokens(s, tasks, make_settings(), loaded[1]) for s in samples}
    cap = max(lengths.values()) - 1
    settings = make_settings(data={"max_prompt_tokens": cap})
    kept, kept_lengths = fitting(samples, tasks, settings, loaded[1], tmp_path)
    assert [s.id for s in kept] == [s.id for s in samples if lengths[s.id] <= cap]
    assert kept_lengths == [lengths[s.id] for s in kept]
    named = (tmp_path / "too_long.jsonl").read_text()
    assert all((id_ in named) == (n > cap) for id_, n in lengths.items())
    assert "left out" in caplog.text
    with pytest.raises(DataError, match="every prompt is longer"):
        fitting(samples, tasks, make_settings(data={"max_prompt_tokens": 3}), loaded[1], tmp_path)


def test_greedy_decoding_does_not_depend_on_the_batch_or_the_order(loaded, world, make_settings, text_pair):
    samples = [*read_samples(world / "data" / "train.jsonl")[:5], text_pair(1), text_pair(22)]
    together = _generate(loaded, samples, make_settings())
    alone = [_generate(loaded, [sample], make_settings())[0] for sample in samples]
    assert together == alone
    assert _generate(loaded, samples[::-1], make_settings(), batch_size=2) == together[::-1]


def test_sampling_draws_n_completions_and_repeats_with_its_seed(loaded, world, make_settings):
    samples = read_samples(world / "data" / "train.jsonl")[:2]
    drawn = _generate(loaded, samples, make_settings(), n=5, temperature=1.0)
    assert [len(texts) for texts in drawn] == [5, 5] and len(set(drawn[0])) > 1
    assert drawn == _generate(loaded, samples, make_settings(), n=5, temperature=1.0)


def test_decoding_leaves_the_random_state_alone(loaded, world, make_settings):
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    _generate(loaded, read_samples(world / "data" / "train.jsonl")[:1], make_settings(), temperature=1.0)
    assert torch.rand(3).tolist() == expected


def test_freezing_touches_the_vision_tower_alone(loaded):
    model = loaded[0]
    frozen = freeze_vision(model)
    assert frozen == sum(p.numel() for p in model.model.visual.parameters()) > 0
    assert all(p.requires_grad for p in model.model.language_model.parameters())


def test_a_picture_of_which_nothing_is_shown_makes_a_text():
    """Of views crop alone two mentions show none, and share no batch with what does."""
    mentions = [Mention(id=f"m{n}", start=n, end=n + 1, text="ab"[n]) for n in range(2)]
    fields = {"corpus": "c", "split": "dev", "text": "ab", "image": "a.png", "mentions": mentions, "tail": "m0"}
    regions = [Region(id="r0", box=(0.0, 0.0, 0.5, 0.5))]
    samples = [
        Sample(id=str(n), head="m1" if n % 2 else "r0", regions=[] if n % 2 else regions, **fields) for n in range(4)
    ]
    assert list(batches(samples, 4, ImageSettings(views=["crop"]))) == [[0, 2], [1, 3]]
    assert list(batches(samples, 4, ImageSettings(views=["full", "crop"]))) == [[0, 1, 2, 3]]


def test_all_linear_is_what_the_adapter_names(caplog):
    adapter = SimpleNamespace(r=2, lora_alpha=4, target_modules={"q_proj", "v_proj"})
    _say_what_differs(adapter, {"r": 2, "target_modules": "all-linear"}, "run")
    assert not caplog.text
    _say_what_differs(adapter, {"r": 8, "target_modules": ["q_proj"]}, "run")
    assert "model.lora.r = 8 is not in force" in caplog.text and "model.lora.target_modules" in caplog.text


@pytest.mark.parametrize("targets", ["all-linear", ["gate_proj", "up_proj", "down_proj"]])
def test_an_adapter_leaves_a_frozen_vision_tower_alone(narrow_model, make_settings, targets):
    base = make_settings().model.model_dump()
    for frozen in (True, False):
        asked = make_settings(model={**base, "freeze_vision": frozen, "lora": {"r": 2, "target_modules": targets}})
        model = get_peft_model(load_model(narrow_model, asked.model), lora_config(asked.model))
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        assert trained and any(".visual." in name for name in trained) == (not frozen)


def test_a_missing_model_and_a_missing_picture_say_what_to_do(loaded, world, make_settings, tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        load_processing(tmp_path / "nowhere")
    sample = read_samples(world / "data" / "train.jsonl")[0].model_copy(update={"image": "img_org/train/gone.png"})
    with pytest.raises(DataError, match=r"more/train/000001.*gone.png.*\[missing\]"):
        _generate(loaded, [sample], make_settings())
