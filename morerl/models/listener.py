"""What is being decoded, told while it is decoded: of every row of a batch, where transformers' TextIteratorStreamer
takes one row alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from morerl.models.body import SECONDS


class Listener(BaseStreamer):
    """For `generate(streamer=...)`: `on_text(name, text)` is told all that a row says yet, where there is more of it.

    `names`: of the rows, in their order.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, names: Sequence[int], on_text: Callable[[int, str], object]
    ) -> None:
        self._tokenizer, self._names, self._on_text = tokenizer, names, on_text
        self._tokens: list[torch.Tensor] | None = None  # None: the prompt has not come by yet
        self._said = [""] * len(names)
        self._told = 0.0

    def put(self, value: torch.Tensor) -> None:
        """The prompts [B, P] at first, then every row's next token [B]."""
        if self._tokens is None:
            self._tokens = []
            return
        self._tokens.append(value)
        if time.monotonic() - self._told >= SECONDS:
            self._tell()

    def end(self) -> None:
        """Nothing more will come."""
        self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        if not self._tokens:
            return
        texts = self._tokenizer.batch_decode(torch.stack(self._tokens, dim=1), skip_special_tokens=True)
        for row, text in enumerate(texts):
            text = text.rstrip("\ufffd")  # the first bytes of a character
            if text != self._said[row]:
                self._said[row] = text
                self._on_text(self._names[row], text)
