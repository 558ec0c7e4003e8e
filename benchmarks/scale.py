"""Computes the tables of docs/scale.md: what a GRPO step of Qwen2.5-VL needs in memory, and about how long it takes.

    python -m benchmarks.scale            # writes them between the marks in docs/scale.md; nothing is measured

Assumptions stand in ASSUMED, which the page prints; FLOPs are those of benchmarks/flops.py. Left out on purpose: what
GPUs tell each other, the vision tower's activations (it is frozen), FSDP2's own layout, vLLM.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

from benchmarks.flops import CHECKPOINTED, LORA_CHECKPOINTED, Cell, attention, causal, forward, head, linear
from benchmarks.grpo_model import real_config

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- computed by: python -m benchmarks.scale -->", "<!-- end of what is computed -->"
CELL = Cell(group=8, prompt=1500, completion=512, prompts=2)  # of one GPU, for a step
GRIDS = ((64, 32), (32, 32))  # patches of the largest picture and crop: 401,408 and 200,704 pixels
RANK = 64
RESERVE = 2.0  # GB
SPARE = 0.9  # of a GPU's memory: a sum this rough wants some to spare
FLOPS_SHARE, BANDWIDTH_SHARE = 0.4, 0.5
MORE_PROMPTS = 13_924  # of MORE-R1's four epochs, by its counts of easy and hard samples


class Gpu(NamedTuple):
    """Memory in GB, dense bf16 TFLOP/s and GB/s, by NVIDIA's data sheets."""

    name: str
    memory: int
    tflops: float
    bandwidth: float


GPUS = (Gpu("RTX 4090", 24, 165, 1008), Gpu("A100 SXM", 80, 312, 2039), Gpu("H100 SXM", 80, 989, 3350))
ASSUMED = f"""\
- A step of one GPU: {CELL.prompts} prompts of {CELL.prompt:,} tokens (768 of them a picture of 401,408 pixels and a
  crop of 200,704), {CELL.group} completions each of {CELL.completion} tokens; a micro-batch is one prompt.
- bf16 weights (2 bytes). LoRA of rank {RANK} on the seven matrices of each text layer, in fp32: 16 bytes a parameter
  with gradient and AdamW. All weights, vision tower frozen: on one GPU and DDP all in fp32 (weights 4 bytes and
  autocast's bf16 copy 2, gradient and two moments 12, cache 4), for in bf16 most updates at small learning rates are
  lost; under ZeRO a bf16 gradient, an fp32 copy and two fp32 moments (14 bytes), in equal shares.
- Gradient checkpointing: every layer's input, and one layer while it is recomputed (8 times its width and 4 times its
  MLP's, a token). No reference model (with LoRA and `beta` above 0 a frozen copy of the
  adapter; with all weights and `beta` above 0 add the weights once more).
- KV cache in the weights' type: each prompt once, every completion.
- {RESERVE:g} GB for the CUDA context, tiles of logits and fragmentation. 1 GB is 10^9 bytes.
- Time: matrix products at {FLOPS_SHARE:.0%} of the data sheet's dense bf16 FLOP/s; decoding reads all weights and the
  cache once a token at {BANDWIDTH_SHARE:.0%} of its bandwidth. Not counted: what GPUs tell each other, starting
  kernels, reading pictures, rewards."""


class Shape(NamedTuple):
    """A model by its numbers of parameters."""

    config: Qwen2_5_VLConfig
    all: int
    text: int
    lora: int


class Tokens:
    """As much of a tokenizer as a config asks for."""

    eos_token_id = pad_token_id = 0

    def convert_tokens_to_ids(self, token: str) -> int:
        """Any id will do: no text is read."""
        return 0


def shape(name: str) -> Shape:
    """The published shape, built without memory."""
    config = real_config(name, Tokens())
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    counts = {name: one.numel() for name, one in model.named_parameters()}
    tower = sum(n for name, n in counts.items() if ".visual." in f".{name}")
    matrices = [p for name, p in model.named_parameters() if "layers." in name and name.endswith("_proj.weight")]
    lora = sum(RANK * sum(one.shape) for one in matrices)
    return Shape(config, sum(counts.values()), sum(counts.values()) - tower, lora)


def memory(one: Shape, *, lora: bool, gpus: int, sharded: str) -> dict[str, float]:
    """GB on one GPU, part by part; `sharded`: "" (DDP), "states" (ZeRO-2) or "all" (ZeRO-3)."""
    of = gpus if sharded else 1
    width = 2 if lora or sharded else 4  # bytes of a weight: see ASSUMED
    copies = 0 if lora or sharded else 2 * one.text
    weights = width * one.all / (gpus if sharded == "all" else 1) + copies
    states = 16 * one.lora / of if lora else (14 if sharded else 12) * one.text / of
    text = one.config.text_config
    row = CELL.prompt + CELL.group * CELL.completion
    layer = 8 * text.hidden_size + 4 * text.intermediate_size
    activations = 2 * row * (text.num_hidden_layers * text.hidden_size + layer)
    gathered = 2 * 2 * one.text / text.num_hidden_layers if sharded == "all" else 0.0  # a layer, and the next
    parts = {"weights": weights + gathered, "training state": states, "activations": activations}
    found = {name: value / 1e9 for name, value in {**parts, "KV cache": cache(one) * width / 2}.items()}
    peak = max(found["activations"], found["KV cache"])  # rollouts and training take turns
    return {**found, "in all": found["weights"] + found["training state"] + peak + RESERVE}


def cache(one: Shape) -> float:
    """Bytes in bf16 of keys and values of a step's prompts and completions on one GPU."""
    text = one.config.text_config
    width = text.num_key_value_heads * text.hidden_size // text.num_attention_heads
    return 2 * 2 * text.num_hidden_layers * width * CELL.prompts * (CELL.prompt + CELL.group * CELL.completion)


def seconds(one: Shape, gpu: Gpu, *, lora: bool) -> dict[str, float]:
    """Seconds of a step on one GPU, part by part."""
    read = forward(one.config, CELL, GRIDS, once=True)
    passes = LORA_CHECKPOINTED if lora else CHECKPOINTED._replace(vision=1)
    training = sum(work * times for work, times in zip(read, passes, strict=True))
    rate = FLOPS_SHARE * gpu.tflops * 1e12
    decoding = CELL.completion * (2 * one.all + cache(one)) / (BANDWIDTH_SHARE * gpu.bandwidth * 1e9)
    found = {"prefill": prefill(one) / rate, "decoding": decoding, "training": training / rate}
    return {**found, "step": sum(found.values())}


def prefill(one: Shape) -> float:
    """FLOPs of reading a step's prompts, pictures included."""
    text = linear(one.config, CELL.prompt) + attention(one.config, causal(CELL.prompt)) + head(one.config, 1)
    return CELL.prompts * text + forward(one.config, CELL, GRIDS, once=True).vision


def tables() -> str:
    """Everything between the marks."""
    shapes = {name: shape(name) for name in ("3B", "7B")}
    return "\n".join(["Assumed:\n", ASSUMED, *_memory_table(shapes), *_time_table(shapes)])


def _memory_table(shapes: dict[str, Shape]) -> Iterator[str]:
    ways = [("one GPU, or DDP", 1, ""), ("ZeRO-2 on 8", 8, "states"), ("ZeRO-3 on 8", 8, "all")]
    ways.append(("ZeRO-3 on 16", 16, "all"))
    yield "\nComputed memory of one GPU, in GB:\n"
    yield "| model | trained | shared out | weights | training state | activations | KV cache | in all |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in shapes.items():
        for lora in (True, False):
            for way, gpus, sharded in ways:
                found = memory(one, lora=lora, gpus=gpus, sharded=sharded).values()
                trained = "LoRA" if lora else "all weights"
                yield f"| {name} | {trained} | {way} | {' | '.join(f'{value:.1f}' for value in found)} |"


def _time_table(shapes: dict[str, Shape]) -> Iterator[str]:
    each = 8 * CELL.prompts
    yield f"\nComputed seconds of a step, and hours of MORE-R1's {MORE_PROMPTS:,} prompts on eight GPUs, each a copy"
    yield f"({each} prompts a step); `-` where one GPU has not a tenth to spare:\n"
    yield "| model | trained | GPU | prefill | decoding | training | step | hours on 8 |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in shapes.items():
        for gpu in GPUS:
            if memory(one, lora=True, gpus=1, sharded="")["in all"] > SPARE * gpu.memory:
                yield f"| {name} | LoRA | {gpu.name} | - | - | - | - | - |"
                continue
            found = seconds(one, gpu, lora=True)
            hours = MORE_PROMPTS / each * found["step"] / 3600
            yield f"| {name} | LoRA | {gpu.name} | {' | '.join(f'{s:.1f}' for s in found.values())} | {hours:.1f} |"


def main() -> None:
    """Writes the tables into the page."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
