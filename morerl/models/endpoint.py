"""Completions from any server that speaks OpenAI's /v1/chat/completions: a hosted model, vLLM, `transformers serve`.

The same question and the same shape of answer as morerl.models.generate, without a model of one's own. A request that
the server refuses, or answers with nothing, leaves an empty completion, which counts as wrong; a server that cannot be
used at all is an error. Reasoning that a server keeps apart from the answer is put back in front of it. Left out on
purpose: streaming and tools.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from morerl.errors import ConfigError, DataError, ImageError, MorerlError
from morerl.images import views
from morerl.models.replies import said, why_silent
from morerl.prompts.render import Messages, render
from morerl.schema import Sample
from morerl.settings import GenerateSettings, ImageSettings, PromptSettings
from morerl.task import TaskSpec

if TYPE_CHECKING:
    import openai
    from PIL.Image import Image

log = logging.getLogger(__name__)

RETRIES = 5  # after 429, 5xx and broken connections: the client's own, with its growing pauses and Retry-After
FACTOR = 28  # sides are multiples of it: patch x merge of Qwen2.5-VL; a server of another model fits pictures itself
NO_KEY = "none"
LOCAL = ("127.0.0.1", "localhost", "[::1]")
REFUSED = (400, 413, 422)
REMEDIES = {
    401: "set OPENAI_API_KEY to a key that is valid there",
    403: "this key (OPENAI_API_KEY) may not use the model",
    404: "check that the URL ends in /v1 and that the server has a model of this name",
    429: "the server stays overloaded or the quota is used up; try fewer requests at once, or later",
}
_URL = re.compile(
    r"https?://(?P<host>\[::1\]|[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*)(:(?P<port>[0-9]{1,5}))?(/[!-~]*)?"
)


class _Question(NamedTuple):
    """What all requests of one call share."""

    client: openai.OpenAI
    model: str
    url: str
    settings: GenerateSettings
    faults: list[str]  # of requests that came to nothing, in the server's words


def complete(
    samples: Sequence[Sample],
    spec: TaskSpec,
    *,
    base_url: str,
    model: str,
    prompt: PromptSettings,
    images: ImageSettings,
    image_root: Path | None,
    settings: GenerateSettings,
    seed: int = 0,
    concurrency: int = 16,
    on_batch: Callable[[int], object] = lambda done: None,
) -> list[list[str]]:
    """`settings.n` completions for each sample, in the order given; "" where the server gave none.

    `base_url` ends in /v1; the key is the environment's OPENAI_API_KEY, which a server of this machine need not have.
    `concurrency` samples are asked at once. `on_batch` is called with the number of samples just done, in this thread.
    Refused requests are logged. `seed` is passed on; whether it binds is the server's affair. Raises ConfigError for an
    address or key that cannot be used, DataError for a picture, MorerlError for a server that cannot be reached, denies
    access, lacks the model, stays overloaded or does not speak the protocol.
    """
    question = _Question(_client(base_url), model, base_url, settings, [])

    def answer(sample: Sample) -> list[str]:
        return _drawn(_messages(sample, spec, prompt, images, image_root), question, seed)

    with question.client, ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(answer, sample) for sample in samples]
        try:
            for future in as_completed(futures):
                future.result()
                on_batch(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        out = [future.result() for future in futures]
    if question.faults:
        empty = sum(text == "" for texts in out for text in texts)
        log.warning("%s: %d requests went wrong, %d completions are empty", base_url, len(question.faults), empty)
    return out


def _client(base_url: str) -> openai.OpenAI:
    # imported here: it takes a second, and most commands never ask a server
    import openai

    # the address is not repeated, for it may hold a password
    address = None if set("@?#") & set(base_url) else _URL.fullmatch(base_url)
    if address is None or int(address["port"] or 0) > 65_535:
        raise ConfigError("the endpoint must be like http://127.0.0.1:8000/v1, without user, password, ? or #")
    return openai.OpenAI(base_url=base_url, api_key=_key(address["host"]), max_retries=RETRIES)


def _key(host: str) -> str:
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and host.lower() not in LOCAL:
        raise ConfigError(f"OPENAI_API_KEY is not set; {host} needs a key (any word where the server asks for none)")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("OPENAI_API_KEY holds characters that no key has; copy it again")
    return key or NO_KEY


def _messages(
    sample: Sample, spec: TaskSpec, prompt: PromptSettings, images: ImageSettings, image_root: Path | None
) -> Messages:
    """The rendered chat with each picture's placeholder replaced by its data URI."""
    waiting = iter(_pictures(sample, images, image_root))
    return [
        {
            **message,
            "content": [
                {"type": "image_url", "image_url": {"url": _data_uri(next(waiting))}}
                if block["type"] == "image"
                else block
                for block in message["content"]
            ],
        }
        for message in render(sample, spec, prompt, images)
    ]


def _pictures(sample: Sample, images: ImageSettings, image_root: Path | None) -> list[Image]:
    if sample.image is None:
        return []
    if image_root is None:
        raise DataError(f"{sample.id} has a picture, but data.image_root is not set")
    try:
        return views(sample, image_root, images, factor=FACTOR)
    except ImageError as error:
        raise DataError(f"{sample.id}: {error} [{error.reason}]") from error


def _data_uri(image: Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _drawn(messages: Messages, question: _Question, seed: int) -> list[str]:
    """`n` completions. What a server that knows no `n` leaves open is asked for one by one, with the next seeds."""
    wanted = question.settings.n
    texts = _ask(messages, question, seed, wanted)
    while 1 < wanted > len(texts):
        texts += _ask(messages, question, seed + len(texts), 1) or [""]
    return texts or [""]


def _ask(messages: Messages, question: _Question, seed: int, n: int) -> list[str]:
    """At most `n` completions of one request; none where it was refused or its answer cannot be read."""
    import openai

    how = question.settings
    try:
        reply = question.client.chat.completions.create(
            model=question.model,
            messages=messages,
            temperature=how.temperature,
            top_p=how.top_p,
            max_tokens=how.max_new_tokens,
            seed=seed,
            **({"n": n} if n > 1 else {}),
        )
    except openai.APIStatusError as error:
        if error.status_code not in REFUSED:
            raise _unusable(error, question) from None
        return _nothing(str(error), question)
    except openai.OpenAIError as error:
        raise _unusable(error, question) from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return _nothing("a reply that is no whole JSON", question)
    if isinstance(reply, str):
        raise MorerlError(f"{question.url} answers with something else than JSON; check that the URL ends in /v1")
    return _texts(reply, n, question) or _nothing("a reply without choices", question)


def _texts(reply: object, n: int, question: _Question) -> list[str]:
    """What the reply's choices say, "" for one that says nothing; the client does not check their shape."""
    choices = getattr(reply, "choices", None)
    kept = choices[:n] if isinstance(choices, list) else []
    texts = [said(getattr(choice, "message", None)) for choice in kept]
    if "" in texts:
        _nothing(why_silent(kept[texts.index("")]), question)
    return texts


def _nothing(reason: str, question: _Question) -> list[str]:
    """No completion; the first reason is told at once, since it often holds for every request."""
    # a server may echo the key, and may send what a terminal would obey
    key = question.client.api_key
    safe = reason if key == NO_KEY else reason.replace(key, "***")
    words = "".join(c for c in safe if c.isprintable())[:300]
    question.faults.append(words)
    if len(question.faults) == 1:
        log.warning("%s gives no completion, which counts as wrong: %s", question.url, words)
    return []


def _unusable(error: openai.OpenAIError, question: _Question) -> MorerlError:
    """The error for our user: never the client's own words, which may hold the key or the whole request."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return MorerlError(f"{question.url} does not answer in time; ask for less at once, or for fewer new tokens")
    if isinstance(error, openai.APIConnectionError):
        return MorerlError(f"{question.url} cannot be reached; check the URL, and that the server runs")
    status = getattr(error, "status_code", None)
    remedy = REMEDIES.get(status, "look at the server's log")
    return MorerlError(f"{question.url} answers {status} for the model {question.model!r}: {remedy}")
