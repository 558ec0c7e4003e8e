"""Chats -> token ids and pictures, each picture processed once however many chats show it.

What a processor makes of a batch, for the families whose pictures are rows of patches with a grid (Qwen2-VL and its
successors), and for text. Left out on purpose: video.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from morerl.models.chats import worded
from morerl.models.load import Processing
from morerl.prompts.render import Messages

if TYPE_CHECKING:
    import torch

READ = {"input_ids", "attention_mask", "mm_token_type_ids", "pixel_values", "image_grid_thw"}
VIDEO = {"pixel_values_videos", "video_grid_thw", "second_per_grid_ts"}  # no chat of ours has one


class Prompt(NamedTuple):
    """One chat as the model reads it."""

    ids: list[int]
    pictures: list[int]  # the pictures at its image tokens, in order, as numbers in `Reading`
    key: list[int]  # ids, an image token telling its picture apart: equal keys are read alike


class Reading(NamedTuple):
    """Chats read together."""

    prompts: list[Prompt]
    patches: list[torch.Tensor]  # of each picture, [patches, values]
    grids: torch.Tensor | None  # [pictures, 3]; None without any
    image_token: int | None


def unreadable(processing: Processing) -> str | None:
    """Why `read` does not know how to read with this processor, or None."""
    if not processing.takes_pictures:
        return None
    reader = processing.reader
    made = set(reader.model_input_names)
    strange = made - READ - VIDEO
    if strange or "image_grid_thw" not in made or getattr(reader, "image_token_id", None) is None:
        return f"{type(reader).__name__} makes {min(strange, default='no grid of patches')}"
    return None


def read(chats: Sequence[Messages], processing: Processing) -> Reading:
    """The chats, their pictures in place ({"type": "image", "image": ...}); one picture object is one picture."""
    shown = [[block["image"] for block in chat[0]["content"] if block["type"] == "image"] for chat in chats]
    distinct = {id(picture): picture for pictures in shown for picture in pictures}
    number = {id_: n for n, id_ in enumerate(distinct)}
    patches, grids = _pictures(list(distinct.values()), processing)
    token = processing.reader.image_token_id if processing.takes_pictures else None
    sizes = [len(one) // processing.reader.image_processor.merge_size**2 for one in patches]
    prompts = []
    for chat, pictures in zip(chats, shown, strict=True):
        numbers = [number[id(picture)] for picture in pictures]
        prompts.append(_prompt(_tokens(chat, processing), numbers, sizes, token))
    return Reading(prompts, patches, grids, token)


def _tokens(chat: Messages, processing: Processing) -> list[int]:
    """The chat's ids, one image token a picture."""
    text = processing.reader.apply_chat_template(worded(chat, processing), add_generation_prompt=True, tokenize=False)
    return processing.tokenizer(text, add_special_tokens=False)["input_ids"]


def _prompt(ids: list[int], pictures: list[int], sizes: Sequence[int], token: int | None) -> Prompt:
    """An image token for each patch that the picture is to the model, as its processor writes it."""
    waiting = iter(pictures)
    out, key = [], []
    for one in ids:
        if one != token:
            out.append(one)
            key.append(one)
            continue
        picture = next(waiting)
        out += [one] * sizes[picture]
        key += [-1 - picture] * sizes[picture]
    return Prompt(out, pictures, key)


def _pictures(pictures: list[Any], processing: Processing) -> tuple[list[torch.Tensor], torch.Tensor | None]:
    if not pictures:
        return [], None
    made = processing.reader.image_processor(images=pictures, return_tensors="pt")
    grids = made["image_grid_thw"]
    return list(made["pixel_values"].split(grids.prod(-1).tolist())), grids
