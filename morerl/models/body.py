"""The body of a server's reply: read whole up to a limit, and heard while it is written where it comes as a stream.

Source: OpenAI's streaming chat completions (lines of "data: {chunk}", the last of them "data: [DONE]"). A stream is
put together to the reply that the server would have given at once, so that one reader serves both. Left out on
purpose: more than one choice, tool calls, usage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from morerl.models.replies import heard

if TYPE_CHECKING:
    import httpx2

MOST_BYTES = 64 << 20  # of a reply: far more than any answer, far less than the memory
SECONDS = 0.05  # between two tellings of what is written so far: more often no eye sees, and no page draws
APART = ("reasoning_content", "reasoning")  # where servers put what they take from between the think tags
OnText = Callable[[str], object]


class Streamed:
    """A reply in the making: `feed` takes its bytes, `reply` gives it whole. `on_text` is told all that is said yet."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text, self._told = on_text, 0.0
        self._line: list[bytes] = []  # what came of a line that has not ended
        self._parts: dict[str, list[str]] = {"content": [], **{name: [] for name in APART}}
        self._rest: dict[str, Any] = {}
        self._finish: str | None = None
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Never raises: what is no chunk is passed over."""
        lines = data.split(b"\n")
        for line in lines[:-1]:
            self._read(b"".join([*self._line, line]).strip())
            self._line = []
        self._line.append(lines[-1])
        if time.monotonic() - self._told >= SECONDS:
            self._tell()

    def reply(self) -> bytes:
        """The reply as it would have come without a stream; empty where the stream broke off."""
        self.feed(b"\n")
        if "error" in self._rest:
            return json.dumps({"error": self._rest["error"]}).encode()
        if not self._ended:
            return b""
        self._tell()
        choice = {"message": self._message(), "finish_reason": self._finish}
        return json.dumps({"model": self._rest.get("model"), "choices": [choice]}).encode()

    def _tell(self) -> None:
        self._told = time.monotonic()
        if text := heard(self._message()):
            self._on_text(text)

    def _message(self) -> dict[str, str]:
        return {name: "".join(parts) for name, parts in self._parts.items() if parts}

    def _read(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        said = line[5:].strip()
        if said == b"[DONE]":
            self._ended = True
            return
        try:
            chunk = json.loads(said)
        except (ValueError, RecursionError):
            return
        if isinstance(chunk, dict):
            self._take(chunk)

    def _take(self, chunk: dict[str, Any]) -> None:
        self._rest |= {name: chunk[name] for name in ("model", "error") if chunk.get(name)}
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        delta = choice.get("delta")
        for name, parts in self._parts.items():
            piece = delta.get(name) if isinstance(delta, dict) else None
            if isinstance(piece, str):
                parts.append(piece)
        if isinstance(choice.get("finish_reason"), str):
            self._finish, self._ended = choice["finish_reason"], True


async def whole(response: httpx2.Response, on_text: OnText | None) -> bytes | None:
    """The body; None where it is longer than MOST_BYTES. A stream is told to `on_text` and put together."""
    stream = "event-stream" in response.headers.get("content-type", "")
    streamed = Streamed(on_text) if on_text is not None and stream else None
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.aiter_bytes():
            size += len(part)
            if size > MOST_BYTES:
                return None
            if streamed is None:
                parts.append(part)
            else:
                streamed.feed(part)
    finally:
        await response.aclose()
    return b"".join(parts) if streamed is None else streamed.reply()
