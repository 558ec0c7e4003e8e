"""Who answers: a model loaded here, or a server that speaks OpenAI's protocol.

Left out on purpose: sampling; an extraction is the model's best answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from morerl.extract.record import Unfit
from morerl.images import boxes, open_image, view
from morerl.models.address import key_for
from morerl.models.endpoint import complete
from morerl.prompts.render import render
from morerl.schema import Box, Region, Sample
from morerl.settings import GenerateSettings, ImageSettings, ModelSettings, PromptSettings
from morerl.task import TaskSpec
from morerl.tasks import alone

if TYPE_CHECKING:
    from PIL.Image import Image

OnText = Callable[[int, str], object]
log = logging.getLogger(__name__)
Views = dict[Box | None, "Image"]  # the parts of a record's picture, fitted; None: the whole


class How(NamedTuple):
    """What every question is asked with."""

    images: ImageSettings
    image_root: Path
    max_new_tokens: int


class Item(NamedTuple):
    """One question, its task, how it is worded, and its record's picture."""

    sample: Sample
    spec: TaskSpec
    prompt: PromptSettings
    views: Views


class Local:
    """A model of a folder or hub id, loaded at once. Raises ConfigError."""

    def __init__(self, path: Path | str, settings: ModelSettings, device: str | None, batch_size: int, how: How):
        import torch

        from morerl.models.load import load_model, load_processing
        from morerl.models.together import why_alone

        self._how, self.batch_size, self.batches_ahead = how, batch_size, 1
        self._processing = load_processing(path)
        self._model = load_model(path, settings).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if (why := why_alone(self._model, self._processing, how.max_new_tokens)) is not None:
            log.warning("slower, for every prompt is read by itself: %s", why)

    def look(self, image: str, regions: Sequence[Region]) -> Views:
        """The picture's parts that may be asked about. Raises ImageError, Unfit for a model that reads text only."""
        if not self._processing.takes_pictures:
            raise Unfit("no_pictures", "the record has a picture, but the model reads text only")
        whole = open_image(self._how.image_root, image)
        wanted: list[Box | None] = [None, *(region.box for region in regions)]
        return {box: view(whole, box, self._how.images, factor=self._processing.factor) for box in wanted}

    def ask(self, items: Sequence[Item], batch_size: int, on_text: OnText | None = None) -> list[str]:
        """What the model says to each; `batch_size` at once, fewer where memory does not hold them.

        `on_text` is called with an item's place and all that is said to it yet.
        """
        from morerl.models.together import respond

        chats = [self._chat(item) for item in items]
        how = {"max_new_tokens": self._how.max_new_tokens, "batch_size": batch_size}
        return respond(self._model, self._processing, chats, **how, on_text=on_text)

    def _chat(self, item: Item) -> list[dict[str, object]]:
        from morerl.models.chats import defuse, with_pictures

        shown = [item.views[box] for box in boxes(item.sample, self._how.images)] if item.views else []
        messages = render(item.sample, item.spec, item.prompt, self._how.images)
        return with_pictures(defuse(messages, self._processing), shown)


class Server:
    """A model behind an address that ends in /v1. Raises ConfigError for an address or key that cannot be used."""

    def __init__(self, base_url: str, model: str, batch_size: int, how: How) -> None:
        key_for(base_url)
        self._url, self._model, self._how = base_url, model, how
        # a server takes a new question when one is done: the more are there, the rarer all wait for the last
        self.batch_size, self.batches_ahead = batch_size, 4

    def look(self, image: str, regions: Sequence[Region]) -> Views:
        """Only that the picture can be used; it is opened again when it is sent. Raises ImageError."""
        open_image(self._how.image_root, image)
        return {}

    def ask(self, items: Sequence[Item], batch_size: int, on_text: OnText | None = None) -> list[str]:
        """What the server says to each, "" for nothing; `batch_size` at once. Raises MorerlError as `complete`.

        `on_text` as in Local, where the server streams; it is called in another thread.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._ask(items, batch_size, on_text)
        with ThreadPoolExecutor(1) as aside:  # a notebook has an event loop of its own
            return aside.submit(self._ask, items, batch_size, on_text).result()

    def _ask(self, items: Sequence[Item], batch_size: int, on_text: OnText | None) -> list[str]:
        out: dict[int, str] = {}
        for rows in _same_task(items):
            first, samples = items[rows[0]], [items[row].sample for row in rows]
            said = complete(
                samples,
                alone(first.spec, self._how.image_root),
                base_url=self._url,
                model=self._model,
                prompt=first.prompt,
                images=self._how.images,
                settings=GenerateSettings(max_new_tokens=self._how.max_new_tokens),
                concurrency=batch_size,
                on_text=None if on_text is None else partial(_told, on_text, rows),
            )
            out |= {row: texts[0] for row, texts in zip(rows, said, strict=True)}
        return [out[row] for row in range(len(items))]


def _told(on_text: OnText, rows: Sequence[int], place: int, text: str) -> None:
    on_text(rows[place], text)


def _same_task(items: Sequence[Item]) -> list[list[int]]:
    """Row numbers by task and wording; a schema has two tasks at most."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, item in enumerate(items):
        rows.setdefault((id(item.spec), id(item.prompt)), []).append(row)
    return list(rows.values())
