"""Pictures as a page embeds them: small, in the file itself, and never a reason to fail."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from morerl.errors import ImageError
from morerl.images import open_image

LONGEST_SIDE = 320
NO_ROOT = "data.image_root is not set in config.yaml"
ROOT = "data.image_root, relative to where the run was started"
# longest side in pixels and WebP's quality, from the best to what fits any budget a page has
LADDER = ((480, 80), (320, 70), (256, 60), (208, 50), (160, 45), (112, 40), (72, 35))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A thumbnail of width x height pixels as a data URI, or the reason why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""

    def as_json(self) -> list[int | str] | str:
        """What the script reads: width, height and URI, or the reason."""
        return self.reason or [self.width, self.height, self.uri]


def thumbnail(root: Path, name: str) -> Picture:
    """The picture `name` under `root`, at most LONGEST_SIDE pixels a side; a bad one gives its reason."""
    image = _opened(root, name)
    if isinstance(image, Picture):
        return image
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Picture(uri=_smallest(image), width=image.width, height=image.height)


def gallery(files: Iterable[tuple[Path | None, str]], room: int) -> list[Picture]:
    """Each (root, name) as large and sharp as `room` bytes of data URI a picture allow; a bad one gives its reason."""
    made, rung = [], 0
    for root, name in files:
        image = Picture(reason=NO_ROOT) if root is None else _opened(root, name, "; --image-root names another")
        if isinstance(image, Picture):
            made.append(image)
            continue
        # pictures of a corpus are much alike, so that the last one's rung tells where to begin
        rung, one = _fitted(image, room, max(rung - 1, 0))
        made.append(one)
    return made


def _fitted(image: Image.Image, room: int, first: int) -> tuple[int, Picture]:
    """The first rung from `first` on that fits, or the last of all."""
    for rung in range(first, len(LADDER)):
        side, quality = LADDER[rung]
        small = image.copy()
        small.thumbnail((side, side))
        # method 0 is thirty times as fast as the default, and hardly larger at these sizes
        uri = _uri("webp", _encode(small, "webp", quality=quality, method=0))
        if len(uri) <= room:
            break
    return rung, Picture(uri=uri, width=small.width, height=small.height)


def _opened(root: Path, name: str, remedy: str = "") -> Image.Image | Picture:
    try:
        return open_image(root, name)
    except ImageError as error:
        where = f", under {root} ({ROOT}{remedy})" if error.reason == "missing" else ""
        return Picture(reason=f"{error.reason}: {name}{where}")


def _smallest(image: Image.Image) -> str:
    """JPEG or PNG, whichever is smaller: drawings are smaller and sharper as PNG, photographs as JPEG."""
    encoded = {kind: _encode(image, kind, quality=75, optimize=True) for kind in ("jpeg", "png")}
    kind = min(encoded, key=lambda name: len(encoded[name]))
    return _uri(kind, encoded[kind])


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind.upper(), **options)
    return buffer.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
