"""A family whose processor resizes pictures as it will (LLaVA): every stage, and prompt lengths counted by reading."""

from importlib.resources import files

import pytest
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2Config,
)

from morerl.inference import run_predict, run_rate, score_run
from morerl.jsonl import read_samples
from morerl.models.generate import encode
from morerl.models.load import load_processing
from morerl.models.reading import unreadable
from morerl.tasks import load_tasks
from morerl.teacher.build import run_teach
from morerl.training.grpo import run_grpo
from morerl.training.rows import prompt_tokens
from morerl.training.sft import run_sft

IMAGE = "<image>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{{ '" + IMAGE + "' if part.type == 'image' else part.text }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def llava(narrow_model, tmp_path_factory):
    out, tokenizer = tmp_path_factory.mktemp("llava"), load_processing(narrow_model).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=2, **shape, **ends)
    vision = CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=32, **shape)
    token = {"image_token_index": tokenizer.convert_tokens_to_ids(IMAGE)}
    kept = {"vision_feature_select_strategy": "full"}
    parts = {"text_config": text, "vision_config": vision, "vision_feature_layer": -1}
    model = LlavaForConditionalGeneration(LlavaConfig(**parts, **token, **kept))
    model.generation_config.update(**ends)
    model.save_pretrained(out)
    side = {"height": 32, "width": 32}
    images = CLIPImageProcessor(size=side, crop_size=side)
    more = {"image_token": IMAGE, "num_additional_image_tokens": 1, "chat_template": TEMPLATE}
    LlavaProcessor(images, tokenizer, patch_size=8, **kept, **more).save_pretrained(out)
    return out


@pytest.mark.parametrize("name", ["smolvlm", "llava_next"])
def test_a_text_alone_is_as_long_under_templates_that_read_parts_only(llava, make_settings, text_pair, name):
    settings = make_settings(model={"path": str(llava)}, prompt={"template": None})
    processing, tasks, sample = load_processing(llava), load_tasks(settings), text_pair(0)
    processing.reader.chat_template = (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")
    read = encode([sample], processing, tasks, settings.prompt, settings.images)["input_ids"]
    assert prompt_tokens(sample, tasks, settings, processing) == read.shape[1] > 100


def test_a_prompt_is_as_long_as_the_processor_makes_it(llava, make_settings, world):
    settings = make_settings(model={"path": str(llava)})
    processing, tasks = load_processing(llava), load_tasks(settings)
    assert "grid" in unreadable(processing)
    for sample in list(read_samples(world / "data" / "dev.jsonl"))[:3]:
        read = encode([sample], processing, tasks, settings.prompt, settings.images)["input_ids"]
        assert prompt_tokens(sample, tasks, settings, processing) == read.shape[1]
        assert (read == processing.tokenizer.convert_tokens_to_ids(IMAGE)).sum() == 2 * 17


@pytest.mark.slow
def test_every_stage_runs(llava, make_settings, caplog):
    settings = make_settings(model={"path": str(llava)}, rate={"limit": 6})
    run_teach(settings)
    assert run_sft(settings)["steps"] == 4
    assert run_rate(settings)["rated"] == 6
    assert run_grpo(settings)["steps"] == 4
    assert "LlavaProcessor makes pictures without a grid of patches" in caplog.text
    run_predict(settings)
    ((_, scored),) = score_run(settings, draws=0)
    assert scored.n > 0
