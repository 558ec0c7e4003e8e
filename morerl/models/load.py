"""Model and processor from settings: any image-text-to-text model, or a causal LM for text corpora."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morerl.errors import ConfigError
from morerl.runs import read_json
from morerl.settings import ModelSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin


VISION = r"(.*\.)?(visual|vision_tower|vision_model)\..*"  # names in the vision towers of the families there are


@dataclass(frozen=True, kw_only=True)
class Processing:
    """How a model reads its input: its processor, or its tokenizer where it takes no pictures."""

    reader: ProcessorMixin | PreTrainedTokenizerBase
    tokenizer: PreTrainedTokenizerBase
    takes_pictures: bool
    factor: int  # a picture's sides are multiples of this many pixels; 1: the processor resizes as it sees fit

    def image_tokens(self, width: int, height: int) -> int:
        """Prompt tokens of a fitted picture of that many pixels, start and end apart, where `factor` is above 1."""
        return (width // self.factor) * (height // self.factor)

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """What the tokenizer takes for a special token wherever it stands, the longest first."""
        special = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        return tuple(sorted(special, key=len, reverse=True))


def load_processing(path: Path | str) -> Processing:
    """The processor (or tokenizer) saved with a model.

    Raises ConfigError for a missing folder, a model type without chat template, or a torchvision
    that does not match torch.
    """
    from transformers import AutoProcessor, AutoTokenizer

    takes_pictures = _takes_pictures(path)
    loader = AutoProcessor if takes_pictures else AutoTokenizer
    try:
        reader = loader.from_pretrained(path)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ConfigError(_load_help(path, error)) from error
    tokenizer = reader.tokenizer if takes_pictures else reader
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # as TRL has it; padding is masked everywhere
    if not (reader.chat_template or tokenizer.chat_template):
        raise ConfigError(f"model {path} has no chat template; use an instruct model")
    factor = _factor(reader.image_processor) if takes_pictures else 1
    return Processing(reader=reader, tokenizer=tokenizer, takes_pictures=takes_pictures, factor=factor)


def _factor(image_processor: Any) -> int:
    """Of Qwen2-VL and its successors, which take a picture in about its own size: the side of what becomes a token."""
    if not hasattr(image_processor, "merge_size"):
        return 1
    return int(image_processor.patch_size * image_processor.merge_size)


def load_model(path: Path | str, settings: ModelSettings) -> PreTrainedModel:
    """The weights, in the settings' dtype and attention, ready for `.eval()` or training.

    Raises ConfigError if the folder or hub id cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # its bars would run through the stage's own
    if not torch.cuda.is_available():
        keep_freed_memory()
    loader = AutoModelForImageTextToText if _takes_pictures(path) else AutoModelForCausalLM
    try:
        model = loader.from_pretrained(
            path,
            dtype=getattr(torch, settings.dtype),
            attn_implementation=settings.attention,
            use_safetensors=True,
        )
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ConfigError(_load_help(path, error)) from error
    _save_by_the_names_read(model)
    _decode_as_asked(model)
    return model


def _decode_as_asked(model: PreTrainedModel) -> None:
    """Leaves of the model's own decoding defaults only its special tokens, and whether a server may sample.

    Whatever a call does not name is taken from them: a repetition penalty (Qwen2.5's instruct models come with one)
    would decode dev, ratings and predictions by another policy than the one that GRPO samples and trains. What is saved
    from here on has no such defaults either.
    """
    from transformers import GenerationConfig

    kept = ("bos_token_id", "eos_token_id", "pad_token_id", "do_sample")
    model.generation_config = GenerationConfig(**{name: getattr(model.generation_config, name) for name in kept})


def _save_by_the_names_read(model: PreTrainedModel) -> None:
    """Saved weights get the names they had in the file they came from.

    Under ZeRO-3 transformers 5.23 also undoes, on saving, renamings that it knew of and did not use on loading; a
    Qwen2.5-VL's `model.layers` would be saved as `model.model.layers`, which other programs do not know.
    """
    known = getattr(model, "_weight_conversions", None)
    if known is not None:
        model._weight_conversions = [renaming for renaming in known if renaming.was_used()]


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory for the next tensor of its size; nothing on other C libraries.

    Decoding on a CPU frees and asks for its whole cache at every token; giving those pages back to the
    system and faulting them in again took half the time of a batch of 1,024 rows.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max = -1, -4  # malloc.h
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def _takes_pictures(path: Path | str) -> bool:
    from transformers import AutoConfig

    base = model_folder(path)
    _check_folder(base)
    try:
        config = AutoConfig.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise ConfigError(_load_help(base, error)) from error
    return getattr(config, "vision_config", None) is not None


def _check_folder(base: Path | str) -> None:
    """A name that is no hub id (owner/name) is a folder; the hub is not asked for it, which takes long to fail."""
    name = str(base)
    local = isinstance(base, Path) or name.count("/") > 1 or name.startswith((".", "/", "~"))
    if local and not Path(base).exists():
        raise ConfigError(f"model {name}: no such folder; run the stage that makes it first, or name another model")


def model_folder(path: Path | str) -> Path | str:
    """The base model of a folder that holds only a LoRA adapter; else the path itself.

    Raises ConfigError for an adapter that does not say which.
    """
    adapter = Path(path) / "adapter_config.json"
    if not adapter.is_file() or (Path(path) / "config.json").is_file():
        return path
    base = (read_json(adapter) or {}).get("base_model_name_or_path")
    if not isinstance(base, str):
        raise ConfigError(f"{adapter} names no base_model_name_or_path: save the adapter again with PEFT")
    return base


def load_adapter(model: PreTrainedModel, path: Path | str) -> Any:
    """The base model with the LoRA adapter of a folder, to be trained on. Raises ConfigError if it cannot be loaded."""
    from peft import PeftModel
    from transformers.integrations import is_deepspeed_zero3_enabled

    try:
        # as TRL makes a new one: under ZeRO-3 weights of two dtypes cannot be gathered together
        return PeftModel.from_pretrained(
            model, path, is_trainable=True, autocast_adapter_dtype=not is_deepspeed_zero3_enabled()
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(_load_help(path, error)) from error


def _load_help(path: Path | str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "torchvision" in str(error):
        return f"model {path}: torchvision does not match torch; install both from one index ({first})"
    if not Path(path).exists():
        return f"model {path}: no such folder, and it cannot be had as a hub id ({first})"
    return f"model {path} cannot be loaded: {first}"


def freeze_vision(model: PreTrainedModel) -> int:
    """Freezes the vision tower; returns how many parameters that were. 0 for a text model."""
    frozen = 0
    for name, parameter in model.named_parameters():
        if re.fullmatch(VISION, name):
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    return frozen


def lora_config(settings: ModelSettings) -> Any | None:
    """peft.LoraConfig of the settings, or None. Raises ConfigError for an option PEFT does not know."""
    if settings.lora is None:
        return None
    from peft import LoraConfig

    try:
        frozen = {"exclude_modules": VISION} if settings.freeze_vision else {}
        return LoraConfig(**{**frozen, **settings.lora})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model.lora: {error}") from error
