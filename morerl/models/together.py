"""Greedy answers to many prompts at once; what prompts begin with in common is read once.

Pairs of one picture begin with that picture, texts of one task with its guideline. One forward over a packed row
reads each such beginning once and behind it what is each prompt's own (models/tree.py); its keys and values are then
dealt out to the prompts, and they are decoded together. Rows that do not fit a GPU's memory are halved.
Left out on purpose: sampling (models/generate.py), beginnings within beginnings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from transformers import DynamicCache, PreTrainedModel

from morerl.errors import MorerlError
from morerl.models.beginnings import Shared, alike
from morerl.models.chats import worded
from morerl.models.listener import Listener
from morerl.models.load import Processing
from morerl.models.reading import Prompt, Reading, read, unreadable
from morerl.models.rollout import prompt_positions
from morerl.models.tree import Group, Tree, tree_attention, unsuited
from morerl.prompts.render import Messages

Asked = TypeVar("Asked")


def respond(
    model: PreTrainedModel,
    processing: Processing,
    chats: Sequence[Messages],
    *,
    max_new_tokens: int,
    batch_size: int,
    share: bool = True,
    on_text: Callable[[int, str], object] | None = None,
) -> list[str]:
    """The greedy completion of each chat, special tokens removed, in the order given.

    Chats hold their pictures; `batch_size` are decoded together, those that look alike side by side, and fewer where
    the GPU's memory does not hold them. The same with and without `share`, to rounding. `on_text` is
    called with a chat's place and all that is said to it yet, again and again; what it raises ends the decoding.
    Raises MorerlError for a single chat that does not fit.
    """
    shared = share and why_alone(model, processing, max_new_tokens) is None
    out = [""] * len(chats)
    model.eval()

    def answer(rows: Sequence[int]) -> list[str]:
        chosen = [chats[row] for row in rows]
        listener = None if on_text is None else Listener(processing.tokenizer, rows, on_text)
        said = _shared(model, processing, chosen, max_new_tokens, listener) if shared else None
        return said or _plain(model, processing, chosen, max_new_tokens, listener)

    for rows in _batches(chats, batch_size):
        for row, text in zip(rows, halving(rows, answer), strict=True):
            out[row] = text
    return out


def why_alone(model: PreTrainedModel, processing: Processing, max_new_tokens: int) -> str | None:
    """Why every prompt is read by itself with this model and reader, or None."""
    return unreadable(processing) or unsuited(model, max_new_tokens)


def _batches(chats: Sequence[Messages], size: int) -> list[list[int]]:
    """Neighbours stay together, for they often share a picture; those with pictures apart from those without."""
    out = []
    for pictured in (True, False):
        rows = [n for n, chat in enumerate(chats) if any(b["type"] == "image" for b in chat[0]["content"]) == pictured]
        out += [rows[start : start + size] for start in range(0, len(rows), size)]
    return out


def halving(rows: Sequence[Asked], answer: Callable[[Sequence[Asked]], list[str]]) -> list[str]:
    """`answer(rows)`, in halves where memory does not suffice, and so on; MorerlError where one row is too much."""
    try:
        return answer(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise MorerlError(
                "the GPU's memory does not hold one prompt; take a smaller window, images.full_pixels or dtype"
            ) from error
    # behind the except: the error's traceback holds on to the tensors that filled the memory
    torch.cuda.empty_cache()
    middle = len(rows) // 2
    return halving(rows[:middle], answer) + halving(rows[middle:], answer)


def _plain(
    model: PreTrainedModel, processing: Processing, chats: Sequence[Messages], new: int, listener: Listener | None
) -> list[str]:
    inputs = processing.reader.apply_chat_template(
        [worded(chat, processing) for chat in chats],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        **({"processor_kwargs": {"padding": True}} if processing.takes_pictures else {"padding": True}),
    ).to(model.device)
    with torch.no_grad():
        said = model.generate(**inputs, **_greedy(processing, new), streamer=listener)
    return processing.tokenizer.batch_decode(said[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def _greedy(processing: Processing, new: int) -> dict[str, object]:
    unset = dict.fromkeys(("temperature", "top_p", "top_k"))
    return {"do_sample": False, **unset, "max_new_tokens": new, "pad_token_id": processing.tokenizer.pad_token_id}


def _shared(
    model: PreTrainedModel, processing: Processing, chats: Sequence[Messages], new: int, listener: Listener | None
) -> list[str] | None:
    """None where a window of attention is too short for these prompts."""
    reading = read(chats, processing)
    longest = max(len(prompt.ids) for prompt in reading.prompts)
    if unsuited(model, longest + new) is not None:
        return None
    base = getattr(model, "get_base_model", lambda: model)()
    inputs = _padded(reading, processing, model.device)
    with torch.no_grad():
        positions = prompt_positions(base, inputs)  # sets the offsets that decoding goes on from
        cache = _prefill(model, base, reading, inputs["attention_mask"], positions)
        said = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            past_key_values=cache,
            **_greedy(processing, new),
            streamer=listener,
        )
    return processing.tokenizer.batch_decode(said[:, longest:], skip_special_tokens=True)


def _padded(reading: Reading, processing: Processing, device: torch.device) -> dict[str, torch.Tensor]:
    """What tells the positions: left-padded ids [B, P], their mask, and where which pictures stand."""
    longest = max(len(prompt.ids) for prompt in reading.prompts)
    pad = processing.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (longest - len(p.ids)) + p.ids for p in reading.prompts])
    mask = torch.tensor([[0] * (longest - len(p.ids)) + [1] * len(p.ids) for p in reading.prompts])
    inputs = {"input_ids": ids, "attention_mask": mask}
    if reading.grids is not None:
        inputs["mm_token_type_ids"] = (ids == reading.image_token).long()
        inputs["image_grid_thw"] = reading.grids[[n for prompt in reading.prompts for n in prompt.pictures]]
    return {name: value.to(device) for name, value in inputs.items()}


def _prefill(
    model: PreTrainedModel, base: PreTrainedModel, reading: Reading, mask: torch.Tensor, positions: torch.Tensor
) -> DynamicCache:
    """The cache of the padded prompts without their last token, which `generate` reads."""
    device, width = mask.device, mask.shape[1]
    prompts = reading.prompts
    groups = alike([prompt.key for prompt in prompts])
    pieces = [piece for group in groups for piece in _pieces(group, prompts)]
    row = [token for prompt, start, end in pieces for token in prompts[prompt].ids[start:end]]
    places = [
        positions[..., prompt, width - len(prompts[prompt].ids) :][..., start:end] for prompt, start, end in pieces
    ]
    tree = Tree([_group(group, prompts) for group in groups], device, fused=False)
    cache = DynamicCache()  # not by config: a layer that slides would keep the end of the packed row alone
    with tree_attention(base):
        model(
            input_ids=torch.tensor([row], device=device),
            position_ids=torch.cat(places, dim=-1)[..., None, :],
            # not a mask: of four dimensions, so that transformers makes none of its own
            attention_mask=torch.ones(1, 1, 1, 1, device=device, dtype=torch.bool),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            tree=tree,
            **_pixels(pieces, reading, device),
        )
    _check_attended(tree, base)
    return _dealt(cache, _slots(groups, prompts, width - 1).to(device))


Piece = tuple[int, int, int]  # a prompt, and which of its tokens: from, to


def _pieces(group: Shared, prompts: Sequence[Prompt]) -> list[Piece]:
    """What of a group is read: its trunk, then the rest of each prompt without the last token."""
    return [(group.rows[0], 0, group.trunk), *((row, group.trunk, len(prompts[row].ids) - 1) for row in group.rows)]


def _group(group: Shared, prompts: Sequence[Prompt]) -> Group:
    return Group(group.trunk, tuple(len(prompts[row].ids) - 1 - group.trunk for row in group.rows))


def _pixels(pieces: Sequence[Piece], reading: Reading, device: torch.device) -> dict[str, torch.Tensor]:
    """The pictures in the order of the packed row; a beginning holds a picture whole or not at all."""
    if reading.grids is None:
        return {}
    shown = []
    for prompt, start, end in pieces:
        key = reading.prompts[prompt].key
        first = [n for n in range(start, end) if key[n] < 0 and (n == 0 or key[n] != key[n - 1])]
        shown += [-1 - key[n] for n in first]
    patches = torch.cat([reading.patches[n] for n in shown]).to(device)
    return {"pixel_values": patches, "image_grid_thw": reading.grids[shown].to(device)}


def _slots(groups: Sequence[Shared], prompts: Sequence[Prompt], width: int) -> torch.Tensor:
    """[B, width]: where in the packed row each token of the padded prompts stands; 0 for padding, which is masked."""
    slots = torch.zeros(len(prompts), width, dtype=torch.long)
    start = 0
    for group in groups:
        trunk = torch.arange(start, start + group.trunk)
        start += group.trunk
        for row in group.rows:
            own = len(prompts[row].ids) - 1 - group.trunk
            slots[row, width - group.trunk - own :] = torch.cat([trunk, torch.arange(start, start + own)])
            start += own
    return slots


def _dealt(cache: DynamicCache, slots: torch.Tensor) -> DynamicCache:
    """[1, H, L, D] of the packed row -> [B, H, width, D] of the prompts, layer by layer."""
    for layer in cache.layers:
        layer.keys = layer.keys[0][:, slots].transpose(0, 1).contiguous()
        layer.values = layer.values[0][:, slots].transpose(0, 1).contiguous()
    return cache


def _check_attended(tree: Tree, base: PreTrainedModel) -> None:
    layers = base.config.get_text_config().num_hidden_layers
    if tree.attended < layers:
        raise MorerlError(f"{type(base).__name__} attends past morerl/models/tree.py; name it in tree.unsuited")
