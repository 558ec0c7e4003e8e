"""Pictures that a person drops: kept as files in a folder of their own while the page runs, and shown as thumbnails."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

from morerl.errors import ImageError
from morerl.images import MAX_BYTES, open_image

SIDE = 960  # pixels: enough to draw boxes on
KEPT = 20  # pictures; the oldest go


async def read_all(parts: AsyncIterable[bytes]) -> bytes:
    """The bytes of a request. Raises ImageError for more of them than a picture may have."""
    whole = bytearray()
    async for part in parts:
        whole += part
        if len(whole) > MAX_BYTES:
            raise ImageError("too_many_bytes", f"the picture is larger than {MAX_BYTES >> 20} MiB")
    return bytes(whole)


def keep(folder: Path, data: bytes) -> dict[str, Any]:
    """Writes a picture below `folder`; its name, and a thumbnail as {"width", "height", "uri"}.

    Raises ImageError, without the folder's path, for what is no picture that can be used.
    """
    name = hashlib.sha256(data).hexdigest()[:32]
    (folder / name).write_bytes(data)
    try:
        image = open_image(folder, name)
    except ImageError as error:
        (folder / name).unlink()
        raise ImageError(error.reason, str(error).replace(str(folder / name), "the picture")) from error
    for old in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)[:-KEPT]:
        old.unlink()
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85, method=0)
    uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return {"name": name, "width": image.width, "height": image.height, "uri": uri}
