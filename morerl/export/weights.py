"""The weights and the processor of an exported folder: a LoRA adapter merged into its base, other weights as they are.

Only safetensors are read. Left out on purpose: quantised bases, into which an adapter cannot be merged without loss.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from morerl.errors import ConfigError
from morerl.jsonl import write_json
from morerl.models.load import load_adapter, load_model, load_processing, model_folder
from morerl.settings import ModelSettings

WEIGHTS = ("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json")


def write_model(model: Path, out: Path, settings: ModelSettings) -> bool:
    """Writes weights, configs and processor into the folder `out`; returns whether the model takes pictures.

    An adapter is merged in the settings' dtype. Raises ConfigError for a model that cannot be loaded or merged.
    """
    processing = load_processing(model)
    base = model_folder(model)
    if base == model:
        _copy(model, out)
    else:
        _merge(base, model, out, settings)
    _keep_cache(out / "config.json")
    processing.reader.save_pretrained(out)
    return processing.takes_pictures


def _copy(model: Path, out: Path) -> None:
    if not list(model.glob("model*.safetensors")):
        raise ConfigError(f"{model} holds no model*.safetensors; other formats are not read")
    for pattern in WEIGHTS:
        for path in model.glob(pattern):
            shutil.copyfile(path, out / path.name)


def _merge(base: Path | str, adapter: Path, out: Path, settings: ModelSettings) -> None:
    if not (adapter / "adapter_model.safetensors").is_file():
        raise ConfigError(f"{adapter} holds no adapter_model.safetensors; other formats are not read")
    # the attention is no part of what is written, and the run's may not be installed here
    model = load_adapter(load_model(base, settings.model_copy(update={"attention": "sdpa"})), adapter)
    if not hasattr(model, "merge_and_unload"):
        raise ConfigError(f"{adapter} is no LoRA adapter, and cannot be merged into {base}")
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # weights that are not finite
        raise ConfigError(f"{adapter} cannot be merged into {base}: {error}") from error
    merged.save_pretrained(out)


def _keep_cache(path: Path) -> None:
    """Training turns the cache of keys and values off, and says so in the config it saves."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("use_cache") is False:
        write_json(path, config | {"use_cache": True})
