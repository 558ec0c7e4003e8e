"""Completions from any server that speaks OpenAI's /v1/chat/completions: a hosted model, vLLM, `transformers serve`.

The same question and the same shape of answer as morerl.models.generate, without a model of one's own. A request that
the server refuses, or answers with nothing, leaves an empty completion, which counts as wrong; a server that cannot be
used at all is an error. Left out on purpose: tools.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from morerl.errors import DataError, ImageError, MorerlError
from morerl.images import views
from morerl.models.body import OnText
from morerl.models.chats import with_parts
from morerl.models.transport import Failure, Transport
from morerl.prompts.render import Messages, render
from morerl.schema import Sample
from morerl.settings import GenerateSettings, ImageSettings, PromptSettings
from morerl.task import TaskSpec
from morerl.tasks import Tasks

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

FACTOR = 28  # sides are multiples of it: patch x merge of Qwen2.5-VL; a server of another model fits pictures itself
GIVES_NOTHING = ("bad_json", "not_json", "no_choices", "too_long")  # of one question, and not of a server that is ill


class _Question(NamedTuple):
    """What all requests of one call share."""

    transport: Transport
    model: str
    url: str
    settings: GenerateSettings
    faults: list[str]  # of requests that came to nothing, in the server's words


def complete(
    samples: Sequence[Sample],
    tasks: Tasks,
    *,
    base_url: str,
    model: str,
    prompt: PromptSettings,
    images: ImageSettings,
    settings: GenerateSettings,
    seed: int = 0,
    concurrency: int = 16,
    on_batch: Callable[[int], object] = lambda done: None,
    on_text: Callable[[int, str], object] | None = None,
) -> list[list[str]]:
    """`settings.n` completions for each sample, in the order given; "" where the server gave none.

    `base_url` ends in /v1; the key is the environment's OPENAI_API_KEY, which a server of this machine need not have.
    `concurrency` samples are asked at once. `on_batch` is called with the number of samples just done, in this thread.
    `on_text`, with n = 1, is called with a sample's place and all that is said to it yet, where the server streams.
    Refused requests are logged. `seed` is passed on; whether it binds is the server's affair. Raises ConfigError for an
    address or key that cannot be used, DataError for a picture, MorerlError for a server that cannot be reached, denies
    access, lacks the model, stays overloaded or does not speak the protocol. Runs an event loop of its own.
    """
    transport = Transport(base_url, concurrency=concurrency)
    question = _Question(transport, model, base_url, settings, [])

    async def answer(place: int, sample: Sample) -> list[str]:
        spec, root = tasks.spec(sample), tasks.image_root(sample)
        # pictures take long to read and pack
        messages = await asyncio.to_thread(_messages, sample, spec, prompt, images, root)
        listener = None if on_text is None else partial(on_text, place)
        texts = await _drawn(messages, question, seed, listener)
        on_batch(1)
        return texts

    async def run() -> list[list[str]]:
        async with transport:
            return await _all(samples, answer, concurrency)

    out = asyncio.run(run())
    if question.faults:
        empty = sum(text == "" for texts in out for text in texts)
        log.warning("%s: %d requests went wrong, %d completions are empty", base_url, len(question.faults), empty)
    return out


async def _all(samples: Sequence[Sample], answer: Callable[[int, Sample], Any], workers: int) -> list[list[str]]:
    """`answer` of each sample, `workers` of them at once; the first error ends all."""
    out: list[list[str]] = [[] for _ in samples]
    rest = iter(enumerate(samples))

    async def work() -> None:
        for index, sample in rest:
            out[index] = await answer(index, sample)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, len(samples)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return out


def _messages(
    sample: Sample, spec: TaskSpec, prompt: PromptSettings, images: ImageSettings, image_root: Path | None
) -> Messages:
    """The rendered chat with its pictures."""
    shown = [image_block(image) for image in pictures(sample, images, image_root)]
    return with_parts(render(sample, spec, prompt, images), shown)


def pictures(sample: Sample, images: ImageSettings, image_root: Path | None) -> list[Image]:
    """The views of a sample's picture as a server is shown them; none for a text. Raises DataError with its id."""
    if sample.image is None:
        return []
    if image_root is None:
        raise DataError(f"{sample.id} has a picture, but data.image_root is not set")
    try:
        return views(sample, image_root, images, factor=FACTOR)
    except ImageError as error:
        raise DataError(f"{sample.id}: {error} [{error.reason}]") from error


def image_block(image: Image) -> dict[str, Any]:
    """The picture as a part of a message: a PNG inside a data: address."""
    file = io.BytesIO()
    image.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


async def _drawn(messages: Messages, question: _Question, seed: int, on_text: OnText | None = None) -> list[str]:
    """`n` completions. What a server that knows no `n` leaves open is asked for one by one, with the next seeds."""
    wanted = question.settings.n
    texts = await _ask(messages, question, seed, wanted, on_text)
    while 1 < wanted > len(texts):
        texts += await _ask(messages, question, seed + len(texts), 1) or [""]
    return texts or [""]


async def _ask(messages: Messages, question: _Question, seed: int, n: int, on_text: OnText | None = None) -> list[str]:
    """At most `n` completions of one request; none where it was refused or its answer cannot be read."""
    how = question.settings
    body = {
        "model": question.model,
        "messages": messages,
        "temperature": how.temperature,
        "top_p": how.top_p,
        "max_tokens": how.max_new_tokens,
        "seed": seed,
        **({"n": n} if n > 1 else {}),
        **({"stream": True} if on_text is not None else {}),
    }
    try:
        answer = await question.transport.ask(body, on_text=on_text)
    except Failure as failure:
        if not failure.final and failure.reason not in GIVES_NOTHING:
            raise _ill(failure, question) from None
        _note(str(failure), question)
        return []
    if "" in answer.texts[:n]:
        _note(answer.silence or "", question)
    return answer.texts[:n]


def _note(words: str, question: _Question) -> None:
    """The first reason is told at once, since it often holds for every request."""
    question.faults.append(words)
    if len(question.faults) == 1:
        log.warning("%s gives no completion, which counts as wrong: %s", question.url, words)


def _ill(failure: Failure, question: _Question) -> MorerlError:
    if failure.reason == "timeout":
        return MorerlError(f"{question.url} does not answer in time; ask for less at once, or for fewer new tokens")
    return MorerlError(
        f"{question.url} gives no answer for the model {question.model!r}, asked {failure.tries} times "
        f"[{failure.reason}]: look at the server's log"
    )
