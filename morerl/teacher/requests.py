"""What is sent for a sample, and the key under which its reply is kept.

A question is a sample as the teacher is shown it; each of its draws is one request, told apart by its sampling
settings and number. The key covers all that may change the reply, the endpoint included; the API key is no part of
anything here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from morerl.models.chats import with_parts
from morerl.models.endpoint import image_block, pictures
from morerl.partial import fingerprint
from morerl.prompts.render import Messages
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.teacher.strategies import ASKING
from morerl.teacher.structure import response_format

if TYPE_CHECKING:
    from PIL.Image import Image

PIXELS = 28 * 28  # one token of Qwen2.5-VL; other models count pictures otherwise, and none far from it
BYTES = 4.0  # of English text a token, about


class Question(NamedTuple):
    """A sample as the teacher is shown it."""

    sample: Sample
    messages: Messages  # pictures as placeholders
    images: list[Image]
    pictures: tuple[str, ...]  # SHA-256 of each one's size and pixels
    prompt_hash: str  # SHA-256 of the messages with those in place
    tokens: int  # estimate


class Request(NamedTuple):
    """One draw of a question."""

    key: str
    draw: int
    options: dict[str, Any]  # the body without the messages


def ask_about(sample: Sample, spec: TaskSpec, settings: Settings) -> Question:
    """The sample as the strategy of the settings shows it.

    Raises ConfigError where the strategy cannot ask about it, DataError for a picture that cannot be shown.
    """
    strategy = ASKING[settings.teach.strategy]
    strategy.check(sample)
    messages = strategy.messages(sample, spec, settings)
    images = pictures(sample, settings.images, settings.data.image_root)
    hashes = tuple(_hash_picture(image) for image in images)
    shown = with_parts(messages, [{"type": "image", "sha256": digest} for digest in hashes])
    return Question(sample, messages, images, hashes, fingerprint(shown), _tokens(messages, images))


def request(sample: Sample, prompt_hash: str, settings: Settings, spec: TaskSpec, draw: int) -> Request:
    """The `draw`-th request, from 0, of a question with that hash."""
    options = _options(sample, settings, spec, draw)
    endpoint = str(settings.teach.endpoint).rstrip("/")
    version = ASKING[settings.teach.strategy].VERSION
    return Request(fingerprint(endpoint, options, version, draw, prompt_hash), draw, options)


def body(question: Question, sent: Request) -> dict[str, Any]:
    """What is posted to /v1/chat/completions, pictures as data URIs (PNG)."""
    shown = [image_block(image) for image in question.images]
    return {**sent.options, "messages": with_parts(question.messages, shown)}


def longest_reply(options: dict[str, Any]) -> int | None:
    """Tokens a reply may have; None where the request sets no limit."""
    limits = [options[name] for name in ("max_tokens", "max_completion_tokens") if name in options]
    return max(limits, default=None)


def _options(sample: Sample, settings: Settings, spec: TaskSpec, draw: int) -> dict[str, Any]:
    teach = settings.teach
    first = draw == 0 and teach.strategy != "distill"
    options = {
        "model": teach.model or str(teach.endpoint),
        "temperature": teach.temperature if first else teach.retry_temperature,
        "max_tokens": teach.max_new_tokens,
        "seed": settings.run.seed + draw,
        "response_format": response_format(sample, spec) if teach.structured else None,
        **teach.request,
    }
    return {name: value for name, value in options.items() if value is not None}


def _hash_picture(image: Image) -> str:
    """Of the pixels, not of a file: encoders change from version to version."""
    return hashlib.sha256(f"{image.width}x{image.height}".encode() + image.tobytes()).hexdigest()


def _tokens(messages: Messages, images: list[Image]) -> int:
    text = sum(len(block.get("text", "").encode()) for message in messages for block in message["content"])
    return round(text / BYTES) + sum(image.width * image.height // PIXELS for image in images)
