"""What benchmarks/grpo_step.py trains: Qwen2.5-VL of three shapes from random weights, and prompts of an exact length.

Numbers of 3B and 7B: the config.json of Qwen/Qwen2.5-VL-3B-Instruct and -7B-Instruct on the Hugging Face hub. Their
tokenizer is the tiny model's: only lengths matter here, and nothing is downloaded.
"""

from __future__ import annotations

import random
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, PreTrainedModel, Qwen2_5_VLConfig, Qwen2_5_VLProcessor

from benchmarks.flops import Cell
from morerl.models.load import load_processing
from morerl.models.tiny import build_tiny
from morerl.settings import TinySettings

SIDES = ((12, 9), (6, 6))  # a whole picture and a crop: columns and rows of image tokens
VOCABULARY = 2048
TINY = TinySettings(vocab_size=VOCABULARY, hidden_size=128, layers=4)  # as configs/scenes/demo.yaml, but for its words
TEXT = {
    "3B": {
        "vocab_size": 151_936,
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
    },
    "7B": {
        "vocab_size": 152_064,
        "hidden_size": 3584,
        "intermediate_size": 18_944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}
TIED = {"3B": True, "7B": False}
GRIDS = tuple((2 * rows, 2 * columns) for columns, rows in SIDES)  # in patches, (rows, columns)


def build(shape: str, folder: Path) -> Qwen2_5_VLProcessor:
    """The processor; the tiny model is left in `folder`."""
    settings = TINY if shape == "tiny" else TINY.model_copy(update={"patch_size": 14})
    texts = [path.read_text(encoding="utf-8") for path in sorted(_guidelines(), key=str)]
    build_tiny(folder, texts, settings, seed=0)
    return load_processing(folder).reader


def _guidelines() -> list[Any]:
    return [path for path in files("morerl.guidelines").iterdir() if path.name.endswith(".yaml")]


def model(shape: str, folder: Path, reader: Qwen2_5_VLProcessor, device: str) -> PreTrainedModel:
    """The same weights at every call: float32 for the tiny model, else bfloat16."""
    if shape == "tiny":
        made = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).to(device)
    else:
        torch.manual_seed(0)
        with torch.device(device):
            config = real_config(shape, reader.tokenizer)
            made = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    made.generation_config.eos_token_id = reader.tokenizer.eos_token_id
    made.generation_config.pad_token_id = reader.tokenizer.pad_token_id
    return made


def real_config(shape: str, tokenizer: Any) -> Qwen2_5_VLConfig:
    """The published shape, with the special tokens of `tokenizer`."""
    token = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]}
    return Qwen2_5_VLConfig(
        text_config={
            **TEXT[shape],
            "max_position_embeddings": 128_000,
            "rope_parameters": rope,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": TEXT[shape]["hidden_size"],
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=TIED[shape],
    )


def rows(cell: Cell, reader: Qwen2_5_VLProcessor) -> list[dict[str, Any]]:
    """A step's prompts, each of exactly `cell.prompt` tokens, its two pictures included."""
    words = _words(reader.tokenizer)
    side = reader.image_processor.patch_size * reader.image_processor.merge_size
    return [_row(number, cell.prompt, words, side, reader) for number in range(cell.prompts)]


def _row(number: int, length: int, words: list[str], side: int, reader: Qwen2_5_VLProcessor) -> dict[str, Any]:
    pictures = [_picture(10 * number + place, *sides, side) for place, sides in enumerate(SIDES)]
    chance = random.Random(number)
    text = "the"
    text += "".join(chance.choices(words, k=length - _tokens(text, pictures, reader)))
    if _tokens(text, pictures, reader) != length:
        raise RuntimeError(f"prompt {number} has {_tokens(text, pictures, reader)} tokens instead of {length}")
    return {"prompt": [{"role": "user", "content": text}], "images": pictures}


def _tokens(text: str, pictures: list[Image.Image], reader: Qwen2_5_VLProcessor) -> int:
    blocks = [*({"type": "image", "image": picture} for picture in pictures), {"type": "text", "text": text}]
    chat = reader.apply_chat_template([{"role": "user", "content": blocks}], add_generation_prompt=True, tokenize=False)
    return reader(images=pictures, text=[chat], return_tensors="pt")["input_ids"].shape[1]


def _words(tokenizer: Any) -> list[str]:
    """Words of one token each behind a space, so that a text of n of them has n tokens."""
    candidates = (tokenizer.decode([number]) for number in range(len(tokenizer)))
    plain = (word for word in candidates if word[:1] == " " and word[1:].isalpha() and word.isascii())
    return [word for word in plain if len(tokenizer(word)["input_ids"]) == 1]


def _picture(seed: int, columns: int, rows: int, side: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (rows * side, columns * side, 3), dtype=np.uint8)
    return Image.fromarray(noise)
