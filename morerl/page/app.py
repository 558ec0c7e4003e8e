"""The page's server: gradio's queue and stream, and a page of our own in front of them. Binds 127.0.0.1 alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from gradio import Server
from markupsafe import Markup

from morerl.errors import ConfigError, ImageError
from morerl.extract.extractor import Extractor
from morerl.page.follow import follow
from morerl.page.guard import Guard
from morerl.page.pictures import keep, read_all
from morerl.page.question import OWN, schemas
from morerl.report.page import asset, environment, policy

HERE = Path(__file__).parent
DRAWING = ("theme.js", "data.js", "spans.js", "sample.js")  # the report's
OWN_SCRIPTS = ("boxes.js", "words.js", "ask.js", "page.js")
QUIET: dict[str, Any] = {"quiet": True, "share": False, "mcp_server": False, "pwa": False, "ssr_mode": False}
MOST_STOPS = 1000  # of runs that may never have been there


def launch(extractor: Extractor, title: str, folder: Path, port: int) -> Server:
    """Serves the page on 127.0.0.1:`port` in the background; pictures are kept in `folder`, which `extractor` reads.

    One question is answered at a time. `server.get_blocks().close()` ends it. Raises ConfigError for a port in use.
    """
    script = "".join([*map(asset, DRAWING), *((HERE / name).read_text(encoding="utf-8") for name in OWN_SCRIPTS)])
    style = asset("report.css") + asset("browser.css") + (HERE / "page.css").read_text(encoding="utf-8")
    server = Server(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    html = _page(extractor, title, script, style)
    stopped: set[str] = set()

    @server.get("/", response_class=HTMLResponse)
    def page() -> str:
        return html

    @server.post("/picture")
    async def picture(request: Request) -> dict[str, Any]:
        try:
            return await run_in_threadpool(keep, folder, await read_all(request.stream()))
        except ImageError as error:
            return {"error": str(error)}

    @server.post("/stop")
    async def stop(run: str) -> dict[str, Any]:
        if len(stopped) >= MOST_STOPS:
            stopped.clear()
        stopped.add(run[:64])
        return {}

    @server.api(name="ask", concurrency_limit=1)
    def ask(question: dict) -> dict:  # type: ignore[return]
        yield from _followed(extractor, question, stopped)

    server.add_middleware(Guard, policy=f"{policy(script, style)}; connect-src 'self'; frame-ancestors 'none'")  # type: ignore[arg-type]
    _start(server, port)
    return server


def _followed(extractor: Extractor, question: dict[str, Any], stopped: set[str]) -> Iterator[dict[str, Any]]:
    run = str(question.get("run"))[:64]
    yield from follow(extractor, question, lambda: run in stopped)
    stopped.discard(run)


def _page(extractor: Extractor, title: str, script: str, style: str) -> str:
    template = environment().from_string((HERE / "page.html.jinja").read_text(encoding="utf-8"))
    return template.render(title=title, script=Markup(script), style=Markup(style), schemas=schemas(extractor), own=OWN)


def _start(server: Server, port: int) -> None:
    try:
        server.launch(
            server_name="127.0.0.1",
            server_port=port,
            prevent_thread_lock=True,
            enable_monitoring=False,
            run_history=False,
            _frontend=False,
            **QUIET,
        )
    except OSError as error:
        raise ConfigError(f"port {port} cannot be used ({error}); give another --port") from error
