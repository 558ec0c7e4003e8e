"""Samples -> the rows TRL reads, made when they are asked for: pictures are never held all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morerl.errors import DataError
from morerl.images import sizes
from morerl.jsonl import write_text
from morerl.models.chats import defuse, flat, worded
from morerl.models.generate import encode, load_views, look
from morerl.models.load import Processing
from morerl.prompts.render import picture_count, render
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.tasks import Tasks

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)


def make_dataset(
    samples: Sequence[Sample],
    tasks: Tasks,
    settings: Settings,
    processing: Processing,
    extra: Callable[[Sample], dict[str, Any]],
    *,
    kept: int = 1,
) -> Dataset:
    """A dataset of {"prompt", "images", **extra(sample)} rows, in the order of `samples`.

    The last `kept` rows stay ready, pictures included: GRPO reads those of a window G times for each
    micro-step it serves. The `images` column is [] for a text row among picture rows, and is missing where no row has a
    picture (TRL judges by the first row's keys).
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()  # its bars would run through the stage's own
    with_images = any(sample.image is not None for sample in samples)

    @lru_cache(maxsize=kept)
    def row(index: int) -> dict[str, Any]:
        sample = samples[index]
        messages = defuse(render(sample, tasks.spec(sample), settings.prompt, settings.images), processing)
        if not with_images:
            return {"prompt": flat(messages), **extra(sample)}
        pictures = load_views(sample, processing, settings.images, tasks.image_root(sample))
        return {"prompt": messages, "images": pictures, **extra(sample)}

    if not with_images:
        return Dataset.from_list([row(index) for index in range(len(samples))])

    def rows(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        made = [row(index) for index in batch["index"]]
        return {key: [one[key] for one in made] for key in made[0]}

    return Dataset.from_dict({"index": range(len(samples))}).with_transform(rows)


def fitting(
    samples: Sequence[Sample], tasks: Tasks, settings: Settings, processing: Processing, folder: Path
) -> tuple[list[Sample], list[int]]:
    """The samples whose prompt, image tokens included, is within data.max_prompt_tokens, and those lengths.

    TRL neither cuts nor filters prompts. Those left out are named in <folder>/too_long.jsonl and
    logged. Raises DataError if none is left.
    """
    import json

    lengths = [prompt_tokens(sample, tasks, settings, processing) for sample in samples]
    cap = settings.data.max_prompt_tokens
    kept = [(sample, n) for sample, n in zip(samples, lengths, strict=True) if n <= cap]
    left_out = [(sample.id, n) for sample, n in zip(samples, lengths, strict=True) if n > cap]
    if not kept:
        raise DataError(
            f"every prompt is longer than data.max_prompt_tokens = {cap}: the shortest has {min(lengths)} tokens, "
            "pictures included. Raise it, or lower images.full_pixels and images.crop_pixels"
        )
    if left_out:
        path = folder / "too_long.jsonl"
        write_text(path, (json.dumps({"id": id_, "tokens": n}) + "\n" for id_, n in left_out))
        log.warning(
            "%d of %d prompts are longer than data.max_prompt_tokens = %d (longest %d) and are left out; see %s",
            len(left_out),
            len(samples),
            cap,
            max(lengths),
            path,
        )
    return [sample for sample, _ in kept], [n for _, n in kept]


def prompt_tokens(sample: Sample, tasks: Tasks, settings: Settings, processing: Processing) -> int:
    """Length of the rendered prompt in tokens, every picture at the tokens it will take.

    Pictures are opened only for a processor whose tokens hang on more than their size.
    """
    if picture_count(sample, settings.images) and processing.factor == 1:
        return encode([sample], processing, tasks, settings.prompt, settings.images)["input_ids"].shape[1]
    messages = defuse(render(sample, tasks.spec(sample), settings.prompt, settings.images), processing)
    text = processing.tokenizer.apply_chat_template(
        worded([{**m, "content": [b for b in m["content"] if b["type"] == "text"]} for m in messages], processing),
        chat_template=processing.reader.chat_template,
        add_generation_prompt=True,
        tokenize=False,
    )
    tokens = len(processing.tokenizer(text, add_special_tokens=False)["input_ids"])
    if not picture_count(sample, settings.images):
        return tokens
    # each picture is framed by a start and an end token
    shown = look(sizes, sample, processing, settings.images, tasks.image_root(sample))
    return tokens + sum(processing.image_tokens(*size) + 2 for size in shown)
