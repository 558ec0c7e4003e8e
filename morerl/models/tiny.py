"""The embedded default: a Qwen2.5-VL of one to two million random weights, built from its real parts.

Real config classes, processor, special tokens and chat template; a byte-level BPE trained on the
corpus; saved as safetensors in the layout `from_pretrained` reads. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from morerl.settings import TinySettings

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLProcessor, Qwen2Tokenizer

# Qwen2.5-VL's own special tokens, in the order of its vocabulary
SPECIAL = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
]
MERGE = 2
INIT = 0.06  # standard deviation; the 0.02 of wide models leaves so narrow a one near zero for hundreds of steps


def build_tiny(out: Path, texts: Iterable[str], shape: TinySettings, *, seed: int) -> None:
    """Builds model and processor and saves them to `out`.

    texts: what the tokenizer learns its merges from. The same texts, shape and seed give the same
    bytes.
    """
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # its bars would run through the stage's own

    processor = _processor(_tokenizer(texts, shape.vocab_size), shape)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(shape, processor.tokenizer))
    model.generation_config = GenerationConfig(
        eos_token_id=processor.tokenizer.eos_token_id, pad_token_id=processor.tokenizer.pad_token_id
    )
    model.save_pretrained(out)
    processor.save_pretrained(out)


def _tokenizer(texts: Iterable[str], vocab_size: int) -> Qwen2Tokenizer:
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import Qwen2Tokenizer

    blank = Qwen2Tokenizer()
    learner = Tokenizer(BPE())
    learner.normalizer = blank.backend_tokenizer.normalizer
    learner.pre_tokenizer = blank.backend_tokenizer.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    learnt = _vocabulary(learner)
    return Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=learnt["merges"],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL,
        model_max_length=32_768,
    )


def _vocabulary(learner: object) -> dict[str, object]:
    import json

    model = json.loads(learner.to_str())["model"]  # type: ignore[attr-defined]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def _processor(tokenizer: Qwen2Tokenizer, shape: TinySettings) -> Qwen2_5_VLProcessor:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    # morerl fits pictures itself (morerl.images), so the processor's own limits are wide
    sizes = {"patch_size": shape.patch_size, "merge_size": MERGE, "temporal_patch_size": 2}
    limits = {"shortest_edge": (shape.patch_size * MERGE) ** 2, "longest_edge": 2**20}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**sizes, size=limits),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes, size=limits),
        chat_template=(files("trl") / "chat_templates" / "qwen2_5_vl.jinja").read_text(encoding="utf-8"),
    )


def _config(shape: TinySettings, tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    from transformers import Qwen2_5_VLConfig

    token = tokenizer.convert_tokens_to_ids
    half = shape.hidden_size // shape.heads // 2
    # M-RoPE splits the rotary half-dimension into time : height : width = 2 : 3 : 3, as the 7B does
    sections = [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "initializer_range": INIT,
            "hidden_size": shape.hidden_size,
            "intermediate_size": shape.intermediate_size,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "attention_dropout": shape.attention_dropout,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": sections},
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": shape.vision_layers,
            "initializer_range": INIT,
            "hidden_size": shape.vision_hidden_size,
            "intermediate_size": 2 * shape.vision_hidden_size,
            "num_heads": 2,
            "out_hidden_size": shape.hidden_size,
            "patch_size": shape.patch_size,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": 8 * MERGE * shape.patch_size,
            "fullatt_block_indexes": list(range(shape.vision_layers)),
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
