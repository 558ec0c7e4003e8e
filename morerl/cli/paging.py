"""The verb that shows a model to a person: a page in the browser."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morerl.cli.options import usage
from morerl.errors import install
from morerl.terminal import one_message, say

if TYPE_CHECKING:
    from morerl.extract.extractor import Extractor


def page(
    model: Annotated[str, typer.Argument(help="folder or hub id; with --endpoint the model's name there")],
    endpoint: Annotated[str | None, typer.Option(help="an OpenAI-compatible server: http://127.0.0.1:8000/v1")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="of 127.0.0.1")] = 7860,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="tokens an answer may have")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default: the run's")] = None,
) -> None:
    """Ask a model about pictures and texts in the browser.

    Drop a picture, draw boxes, type a text and mark words in it: the page shows how they are related, and the reasoning
    while it is written. Without boxes and marked words it finds the entities and relations that the text states. What
    to look for is a packaged guideline, or labels of your own.

    The page is served to this machine alone; from elsewhere, through a tunnel: `ssh -L 7860:127.0.0.1:7860 HOST`.
    Needs gradio, the extra `page` of README.md.
    """
    with one_message():
        if importlib.util.find_spec("gradio") is None:
            raise usage(f"morerl page needs gradio: {install('page')}")
        from morerl.page.app import launch

        with TemporaryDirectory(prefix="morerl-page-") as folder:
            how: dict[str, Any] = {"image_root": folder, "max_new_tokens": max_new_tokens}
            server = launch(_extractor(model, endpoint, dtype, how), model, Path(folder), port)
            say(f"http://127.0.0.1:{port}  (Ctrl-C ends it)")
            server.get_blocks().block_thread()


def _extractor(model: str, endpoint: str | None, dtype: str | None, how: dict[str, Any]) -> Extractor:
    """The schema is chosen on the page; some must be given."""
    from morerl.extract.extractor import Extractor

    if endpoint is not None:
        return Extractor.from_endpoint(endpoint, model, "more", **how)
    return Extractor.from_pretrained(model, "more", **how, dtype=dtype)
