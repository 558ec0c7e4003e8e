"""Pictures as the page embeds them: small, in the file itself, and never a reason to fail."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from morerl.errors import ImageError
from morerl.images import open_image

LONGEST_SIDE = 320


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A thumbnail of width x height pixels as a data URI, or the reason why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """What the script reads."""
        if self.reason:
            return {"reason": self.reason}
        return {"uri": self.uri, "width": self.width, "height": self.height}


def thumbnail(root: Path, name: str) -> Picture:
    """The picture `name` under `root`, at most LONGEST_SIDE pixels a side; a bad one gives its reason."""
    try:
        image = open_image(root, name)
    except ImageError as error:
        return Picture(reason=f"{error.reason}: {name}")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Picture(uri=_data_uri(image), width=image.width, height=image.height)


def _data_uri(image: Image.Image) -> str:
    """JPEG or PNG, whichever is smaller: drawings are smaller and sharper as PNG, photographs as JPEG."""
    encoded = {kind: _encode(image, kind) for kind in ("jpeg", "png")}
    kind = min(encoded, key=lambda name: len(encoded[name]))
    return f"data:image/{kind};base64,{base64.b64encode(encoded[kind]).decode('ascii')}"


def _encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind.upper(), quality=75, optimize=True)
    return buffer.getvalue()
