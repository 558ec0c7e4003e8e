"""Log-probabilities of completions with every prompt computed once.

A micro-batch of N groups is one packed row without padding. Of each group it holds the trunk, which is the prompt
without its last token, and then G branches, each the prompt's last token and a completion without its last: what
stands at a branch's position predicts the completion's token there, and the ordinary loss needs no special case.
models/tree.py sees to it that a branch sees its trunk and itself; positions are those it would have alone,
M-RoPE's included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import PreTrainedModel, ProcessorMixin

from morerl.errors import MorerlError
from morerl.models.rollout import prompt_positions
from morerl.models.tree import Group, Tree, unsuited

if TYPE_CHECKING:
    from trl import GRPOConfig

PICTURES = ("pixel_values", "image_grid_thw")
READ = {"input_ids", "attention_mask", "mm_token_type_ids", *PICTURES}  # what is known how to share
VIDEO = {"pixel_values_videos", "video_grid_thw", "second_per_grid_ts"}  # no prompt of ours has one
WARPERS = {
    "do_sample",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "top_h",
    "num_beams",
}  # ways to choose a token Draw has not


def why_stock(model: PreTrainedModel, reader: Any, arguments: GRPOConfig, longest: int) -> str | None:
    """Why prompts cannot be shared with this model, reader and setting, or None.

    `longest`: tokens of the longest prompt.
    """
    if isinstance(reader, ProcessorMixin):
        made = set(reader.model_input_names)
        strange = made - READ - VIDEO
        if strange or "image_grid_thw" not in made:
            what = min(strange, default="pictures without a grid of patches")
            return f"{type(reader).__name__} makes {what}, which it is not known how to share"
    if getattr(model.config.get_text_config(), "output_router_logits", False):
        return "a router's auxiliary loss counts every row's prompt"
    return why_stock_settings(arguments) or unsuited(model, longest + arguments.max_completion_length)


def why_stock_settings(arguments: GRPOConfig) -> str | None:
    """Why prompts cannot be shared under these settings, in a line with what to change, or None."""
    group, rows = arguments.num_generations, arguments.per_device_train_batch_size
    warped = WARPERS & set(arguments.generation_kwargs or ())
    if rows % group:
        return (
            f"trainer.per_device_train_batch_size = {rows} holds no whole groups of trainer.num_generations = {group}; "
            "make it a multiple"
        )
    if arguments.cache_implementation or arguments.use_transformers_continuous_batching:
        return "trainer.cache_implementation and use_transformers_continuous_batching choose another cache"
    if warped:
        return f"trainer.generation_kwargs.{min(warped)} chooses tokens in its own way"
    return None


class Packed(NamedTuple):
    """One row of groups; L tokens, of which K are in branches."""

    input_ids: torch.Tensor  # [1, L]
    position_ids: torch.Tensor  # [1, L] or [4, 1, L]
    labels: torch.Tensor  # [1, L] the completion's token that each tip predicts, -100 on trunks
    tree: Tree


def pack(
    prompt_ids: torch.Tensor,
    prompt_mask: torch.Tensor,
    positions: torch.Tensor,
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
) -> Packed:
    """Left-padded prompts [N, P] and right-padded completions [N, G, C], with masks, and positions [..., N, P]."""
    device = prompt_ids.device
    lengths = completion_mask.sum(-1).tolist()
    ids, labels, places, groups = [], [], [], []
    for n, branches in enumerate(lengths):
        kept = prompt_mask[n].nonzero().flatten()
        trunk, last = kept[:-1], kept[-1]
        said = [completion_ids[n, g, :length] for g, length in enumerate(branches)]
        tip = prompt_ids[n, last][None]
        ids += [prompt_ids[n, trunk], *(torch.cat([tip, one[:-1]])[: len(one)] for one in said)]
        labels += [torch.full_like(trunk, -100), *said]
        steps = [torch.arange(length, device=device) for length in branches]
        places += [positions[..., n, trunk], positions[..., n, last][..., None] + torch.cat(steps)]
        groups.append(Group(len(trunk), tuple(branches)))
    return Packed(
        input_ids=torch.cat(ids)[None],
        position_ids=torch.cat(places, dim=-1)[..., None, :],
        labels=torch.cat(labels)[None],
        tree=Tree(groups, device),
    )


def log_probs(
    model: torch.nn.Module,
    base: PreTrainedModel,
    prompts: dict[str, torch.Tensor],
    completion_ids: torch.Tensor,
    completion_mask: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """([N * G, C] log-probs, [N * G, C] entropies) of N prompts' G completions each.

    TRL gives a reference model of its own a head without entropies, which are None then.

    `prompts`: what the model reads of N prompts, left-padded; completions [N * G, C], a prompt's together; 0 where
    the mask is. `model` has TRL's fused head (logits are made only where a token is predicted, in
    tiles) and may be wrapped; `base` is the bare model in it. Raises MorerlError if a layer never saw the tree.
    """
    n, c = len(prompts["input_ids"]), completion_ids.shape[1]
    packed = pack(
        prompts["input_ids"],
        prompts["attention_mask"],
        prompt_positions(base, prompts),
        completion_ids.view(n, -1, c),
        completion_mask.view(n, -1, c),
    )
    outputs = model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        # not a mask: of four dimensions, so that transformers makes none of its own
        attention_mask=torch.ones(1, 1, 1, 1, device=packed.input_ids.device, dtype=torch.bool),
        tree=packed.tree,
        shift_labels=packed.labels,
        fused_lm_head=True,
        **{key: prompts[key] for key in PICTURES if prompts.get(key) is not None},
    )
    _check_attended(packed.tree, base)
    tips, mask = packed.labels[0] != -100, completion_mask.bool()

    def unpack(of_row: torch.Tensor) -> torch.Tensor:
        return of_row.new_zeros(mask.shape).masked_scatter(mask, of_row[0, tips])

    return unpack(outputs.log_probs), None if outputs.entropy is None else unpack(outputs.entropy)


def _check_attended(tree: Tree, base: PreTrainedModel) -> None:
    layers = base.config.get_text_config().num_hidden_layers
    if tree.attended < layers:
        raise MorerlError(
            f"{type(base).__name__} cannot share prompts: {tree.attended} of its {layers} layers attended by "
            "morerl/models/tree.py. Name it in tree.unsuited, so that it goes TRL's way"
        )
