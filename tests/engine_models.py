"""Tiny real models of three families with rows to train them on: Qwen2.5-VL, Qwen3-VL and a text-only Qwen2."""

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from trl import GRPOConfig

from morerl.models.load import load_processing
from morerl.training.trainer import ScheduledGRPOTrainer

FAMILIES = ("Qwen2.5-VL", "Qwen3-VL", "Qwen2")
PLAIN = {  # GRPOConfig's: fp32 on a CPU, every step logged, nothing saved or told
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
    "shuffle_dataset": False,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
    "gradient_checkpointing": False,
}
GROUP = 4
PROMPTS = 4  # in a window


def build(family, narrow_model):
    """(model, processor or tokenizer) that ends a completion at any of a fifth of its tokens, so early or late."""
    model, reader = _build(family, narrow_model)
    model.generation_config.eos_token_id = list(range(300, 400))
    return model, reader


def _build(family, narrow_model):
    processing = load_processing(narrow_model)
    tokenizer = processing.tokenizer
    torch.manual_seed(0)
    if family == "Qwen2.5-VL":
        return AutoModelForImageTextToText.from_pretrained(narrow_model, dtype=torch.float32), processing.reader
    if family == "Qwen2":
        tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
        return Qwen2ForCausalLM(Qwen2Config(**text_shape(tokenizer))), tokenizer
    sizes = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    limits = {"shortest_edge": 32**2, "longest_edge": 2**20}
    reader = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes, size=limits),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes, size=limits),
        chat_template=processing.reader.chat_template,
    )
    return Qwen3VLForConditionalGeneration(qwen3(tokenizer)), reader


def text_shape(tokenizer):
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.1,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def qwen3(tokenizer):
    token = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
    return Qwen3VLConfig(
        text_config={**text_shape(tokenizer), "head_dim": 8, "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def picture(seed, width, height):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def rows(family, pictures, count=PROMPTS):
    """Prompts of different lengths; with pictures of different sizes where the family reads them."""
    sentence = "the cup stands left of the small dog and the ball lies under a table"
    out = []
    for n in range(count):
        text = " ".join(sentence.split()[: 3 + 4 * (n % 4)]) + f" {n}"
        row = {"prompt": [{"role": "user", "content": text}], "number": n}
        if family != "Qwen2":
            row["images"] = [picture(10 * n + k, 64 + 32 * (n % 2), 64) for k in range(pictures)]
        out.append(row)
    return out


def dataset(made):
    """The rows as they are: a picture must not go through Arrow."""
    index = Dataset.from_dict({"index": range(len(made))})
    return index.with_transform(lambda batch: {key: [made[i][key] for i in batch["index"]] for key in made[0]})


def uneven(completions, number, **kwargs):
    """Rewards that are no function of the text but for its length, so that every group has spread."""
    lengths = [len(one[0]["content"]) for one in completions]
    return [float((length + 3 * place) % 7) for place, length in enumerate(lengths)]


def make_trainer(kind, family, narrow_model, folder, *, pictures=2, lora=False, reward=uneven, steps=1, **options):
    """A trainer of `kind` (TRL's or ours) over the same model and rows; `windows` are given to ours alone."""
    windows = options.pop("windows", [list(range(PROMPTS))] * steps)
    model, reader = build(family, narrow_model)
    arguments = {
        "output_dir": str(folder),
        "per_device_train_batch_size": GROUP * PROMPTS,
        "num_generations": GROUP,
        "max_completion_length": 8,
        "max_steps": steps,
        "learning_rate": 1e-3,
        **PLAIN,
        "remove_unused_columns": False,
        "log_multimodal": False,
        "top_k": 0,
        **options,
    }
    extra = {"peft_config": LoraConfig(r=4, target_modules=["q_proj", "v_proj"])} if lora else {}
    if issubclass(kind, ScheduledGRPOTrainer):
        extra["windows"] = windows
    torch.manual_seed(0)
    return kind(
        model=model,
        args=GRPOConfig(**arguments),
        reward_funcs=reward,
        train_dataset=dataset(rows(family, pictures)),
        processing_class=reader,
        **extra,
    )
