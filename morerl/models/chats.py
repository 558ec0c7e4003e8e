"""A chat in the form that a model's template reads: its pictures put in, its texts made harmless, and plain strings
where there are no pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from morerl.errors import ConfigError
from morerl.prompts.render import Messages

if TYPE_CHECKING:
    from PIL.Image import Image

    from morerl.models.load import Processing

REASON = "because"
_APART = "\u200b"  # no token of its own, and nothing to see


def with_parts(messages: Messages, parts: Iterable[dict[str, Any]]) -> Messages:
    """The messages with each picture's placeholder replaced by the next part."""
    waiting = iter(parts)
    return [
        {**one, "content": [next(waiting) if part["type"] == "image" else part for part in one["content"]]}
        for one in messages
    ]


def with_pictures(messages: Messages, pictures: Iterable[Image]) -> Messages:
    """The messages with the pictures in their placeholders, as processors read them."""
    return with_parts(messages, ({"type": "image", "image": picture} for picture in pictures))


def defuse(messages: Messages, processing: Processing) -> Messages:
    """The messages with a blank of no width inside whatever the tokenizer would take for a special token.

    Else a text could end the user's turn, or claim a picture that is not there.
    """

    def calm(text: str) -> str:
        for mark in processing.marks:
            text = text.replace(mark, mark[0] + _APART + mark[1:])
        return text

    def calmed(part: dict[str, Any]) -> dict[str, Any]:
        return {**part, "text": calm(part["text"])} if "text" in part else part

    return [{**one, "content": [calmed(part) for part in one["content"]]} for one in messages]


def worded(messages: Messages, processing: Processing) -> Messages:
    """The messages as they are, or `flat` for a model that takes no pictures: many such templates know strings only."""
    return messages if processing.takes_pictures else flat(messages)


def check_thinking(processing: Processing) -> None:
    """Can reasoning be trained under the model's template? Raises ConfigError where it opens the reasoning by itself,
    leaves that of an answer out, or writes a turn otherwise than it asked for it.
    """
    prompt, answer = _turn(processing)
    if not answer or "<think>" not in answer or REASON not in answer:
        raise ConfigError(
            "the model's chat template begins or drops the reasoning of an answer by itself (its question ends in "
            f"{prompt[-40:]!r}), so that <think>...</think> cannot be learnt under it: use a model without a thinking "
            "template, or save a copy with another chat_template"
        )


def check_end(processing: Processing, ends: int | list[int] | None) -> None:
    """Does the model's template end an answer in one of the tokens that `ends` decoding, so that SFT teaches to stop?

    Raises ConfigError.
    """
    answer = _turn(processing)[1]
    learnt = set(processing.tokenizer(answer, add_special_tokens=False)["input_ids"])
    if not learnt & set(ends if isinstance(ends, list) else [ends]):
        raise ConfigError(
            f"the model's chat template ends an answer in {answer[-20:]!r}, which is no token at which decoding stops, "
            "so SFT would not teach it to stop: save a copy whose chat_template writes {{ eos_token }} there"
        )


def _turn(processing: Processing) -> tuple[str, str]:
    """What a question looks like under the model's template, and what its answer adds; "" where that is no addition."""
    asked: Messages = [{"role": "user", "content": [{"type": "text", "text": "Q"}]}]
    said: Messages = [
        *asked,
        {"role": "assistant", "content": [{"type": "text", "text": f"<think>{REASON}</think> A"}]},
    ]
    fill, how = processing.reader.apply_chat_template, {"tokenize": False}
    prompt = fill(worded(asked, processing), add_generation_prompt=True, **how)
    whole = fill(worded(said, processing), **how)
    return prompt, whole.removeprefix(prompt) if whole.startswith(prompt) else ""


def flat(messages: Messages) -> Messages:
    """Text-only messages with string content, the form every chat template reads."""
    return [{**m, "content": "".join(block["text"] for block in m["content"])} for m in messages]
