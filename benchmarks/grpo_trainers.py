"""The two trainers of benchmarks/grpo_step.py, and one step of either."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer
from trl.kernels.chunked_logprob import _use_triton as stock_use_triton
from trl.models.utils import disable_gradient_checkpointing

from benchmarks.flops import Cell
from benchmarks.grpo_meter import Meter
from benchmarks.grpo_model import model, rows
from morerl.training.trainer import ScheduledGRPOTrainer

KINDS = {"stock": GRPOTrainer, "ours": ScheduledGRPOTrainer}
USES_TRITON = {"stock": stock_use_triton, "ours": trl.trainer.utils._use_triton}  # the one thing morerl patches in TRL
# the text model alone, as configs/more/qwen2_5_vl_7b.yaml
ADAPTER = {"r": 64, "lora_alpha": 128, "target_modules": r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"}
FIELDS = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")


def make_trainer(
    kind: str, cell: Cell, reader: Any, folder: Path, *, shape: str, device: str, lora: bool
) -> GRPOTrainer:
    """A trainer of one step over the cell's prompts; the tiny model lies in `folder`/tiny."""
    gpu = device == "cuda"
    made = rows(cell, reader)
    # pictures as they are, not through Arrow
    data = Dataset.from_dict({"index": range(len(made))}).with_transform(
        lambda batch: {key: [made[at][key] for at in batch["index"]] for key in made[0]}
    )
    arguments = GRPOConfig(
        output_dir=str(folder / kind),
        per_device_train_batch_size=cell.rows,
        num_generations=cell.group,
        max_completion_length=cell.completion,
        generation_kwargs={"min_new_tokens": cell.completion},
        max_steps=1,
        loss_type="dapo",
        use_cpu=not gpu,
        bf16=shape != "tiny",
        gradient_checkpointing=gpu,
        dataloader_pin_memory=gpu,
        shuffle_dataset=False,
        remove_unused_columns=False,
        log_multimodal=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    extra: dict[str, Any] = {"peft_config": LoraConfig(**ADAPTER)} if lora else {}
    if kind == "ours":
        extra |= {"windows": [list(range(cell.prompts))], "longest_prompt": cell.prompt}
    trainer = KINDS[kind](
        model=model(shape, folder / "tiny", reader, device),
        args=arguments,
        reward_funcs=_by_place,
        train_dataset=data,
        processing_class=reader,
        **extra,
    )
    trainer.remove_callback(PrinterCallback)  # standard output is for the result
    _park(trainer)
    return trainer


def _by_place(completions: list[Any], **kwargs: Any) -> list[float]:
    """Every group has spread."""
    return [float(place % 2) for place in range(len(completions))]


def _park(trainer: GRPOTrainer) -> None:
    """Where memory is scarce, a trainer that waits leaves the GPU and begins its optimizer anew."""
    if trainer.accelerator.device.type == "cuda":
        trainer.optimizer = trainer.lr_scheduler = trainer._buffered_inputs = None
        trainer.model.zero_grad(set_to_none=True)
        trainer.model.to("cpu")
        gc.collect()
        torch.cuda.empty_cache()


def run(kind: str, trainer: GRPOTrainer, cell: Cell, *, memory: bool) -> Meter | None:
    """One step and one scoring; None where the GPU's memory does not hold it."""
    gc.collect()
    device = trainer.accelerator.device
    trainer.model.to(device)
    meter = Meter(device.type, memory=memory)
    off = meter.watch(trainer)
    try:
        with _patched(kind):
            trainer.train()
            _score(trainer, cell, meter)
    except torch.cuda.OutOfMemoryError as error:
        print(f"{kind}, {cell}: {str(error).splitlines()[0]}", file=sys.stderr)
        return None
    finally:
        off()
        _park(trainer)
    return meter


@contextmanager
def _patched(kind: str) -> Iterator[None]:
    """TRL as TRL has it, or as morerl has it."""
    trl.trainer.utils._use_triton = USES_TRITON[kind]
    try:
        yield
    finally:
        trl.trainer.utils._use_triton = USES_TRITON["ours"]


def _score(trainer: GRPOTrainer, cell: Cell, meter: Meter) -> None:
    window = trainer._buffered_inputs[0]
    _check(trainer, window, cell)
    ids = torch.cat([window["prompt_ids"], window["completion_ids"]], dim=1)
    mask = torch.cat([window["prompt_mask"], window["completion_mask"]], dim=1)
    fields = {name: window[name] for name in FIELDS}
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, trainer.args.gradient_checkpointing_kwargs):
        meter.start("scoring")
        trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, cell.completion, batch_size=cell.rows, **fields
        )
        meter.stop("scoring")


def _check(trainer: GRPOTrainer, window: dict[str, Any], cell: Cell) -> None:
    for name, length in (("prompt", cell.prompt), ("completion", cell.completion)):
        lengths = window[f"{name}_mask"].sum(1)
        if len(lengths) != cell.rows or not bool((lengths == length).all()):
            raise RuntimeError(f"{type(trainer).__name__}: {name}s of {lengths.tolist()} tokens, wanted {length}")
    if getattr(trainer, "stock_because", None) is not None:
        raise RuntimeError(f"prompts are not shared: {trainer.stock_because}")
