"""Who may ask the page's server what: the page itself, and nobody else in the browser.

A site that a person visits can send requests to 127.0.0.1 too, and can give 127.0.0.1 a name of its own (DNS
rebinding); gradio has many routes that this page does not use. Both are refused in front of everything.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

HOSTS = ("127.0.0.1", "localhost")
ROUTES = re.compile(
    r"GET /|HEAD /|POST /picture|POST /stop|GET /gradio_api/startup-events|"
    r"POST /gradio_api/call/ask|GET /gradio_api/call/ask/[0-9a-f]{1,64}"
)
Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Guard:
    """ASGI middleware; `policy` is the content-security policy of every answer."""

    def __init__(self, app: Asgi, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http" or not _is_ours(scope):
            await _refuse(scope, send)
            return

        async def guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self._app(scope, receive, guarded)


def _is_ours(scope: dict[str, Any]) -> bool:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get(b"host", ""), headers.get(b"origin")
    led = scope["method"] == "GET" and scope["path"] == "/"  # a link may lead here, from wherever
    return (
        host.partition(":")[0] in HOSTS  # a browser leaves out port 80
        and (origin is None or origin == f"http://{host}")
        and (led or headers.get(b"sec-fetch-site", "none") in ("none", "same-origin"))
        and ROUTES.fullmatch(f"{scope['method']} {scope['path']}") is not None
    )


async def _refuse(scope: dict[str, Any], send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"refused: this server answers its own page alone\n"})
