"""The safe picture: opened under a root, checked, cropped and fitted to a pixel budget.

Nothing here fetches anything, and a picture that cannot be used raises ImageError with a short
reason; there are no placeholders.
"""

from __future__ import annotations

import math
import struct
import warnings
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

from morerl.errors import ImageError
from morerl.schema import Box, Sample
from morerl.settings import ImageSettings

FORMATS = ("PNG", "JPEG", "WEBP")
# what Pillow raises on bytes that are not what their header says, its EXIF reader above all
DAMAGE = (OSError, SyntaxError, ValueError, struct.error, TypeError, LookupError, ArithmeticError, EOFError)
TURNED = (5, 6, 7, 8)  # EXIF orientations that lie on their side
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20
MAX_RATIO = 50.0  # longer side : shorter side; beyond it a fitted picture is a line


def resolve(root: Path, name: str) -> Path:
    """The file `name` under `root`.

    Raises ImageError: outside_root (.., absolute, a link that leaves), url, missing, unreachable,
    too_many_bytes.
    """
    if "://" in name or name.startswith("data:"):
        raise ImageError("url", f"{name!r} is an address; pictures are local files under the image root")
    if "\0" in name:
        raise ImageError("outside_root", f"{name!r} holds a NUL character")
    base = root.resolve()
    try:
        path = (base / name).resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:  # name too long, no permission, links in a circle
        raise ImageError("unreachable", f"{name[:200]!r} under {root}: {error}"[:500]) from error
    if not path.is_relative_to(base) or path == base:
        raise ImageError("outside_root", f"{name!r} leaves the image root {root}")
    if not is_file:
        raise ImageError("missing", f"no picture {name!r} under {root}")
    if path.stat().st_size > MAX_BYTES:
        raise ImageError("too_many_bytes", f"{path} is larger than {MAX_BYTES >> 20} MiB")
    return path


def open_image(root: Path, name: str) -> Image.Image:
    """The picture as upright 8-bit RGB.

    Raises ImageError as `resolve` does, and: not_an_image, too_many_pixels (judged by the header,
    before anything is decoded), animated, too_thin, truncated.
    """
    path = resolve(root, name)
    with _read_header(path) as image:
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
        except DAMAGE as error:
            raise ImageError("truncated", f"{path} is cut short or damaged: {error}") from error
        return _to_rgb(upright)


def upright_size(root: Path, name: str) -> tuple[int, int]:
    """Width and height of `open_image`'s picture, by the header alone. Raises ImageError as that does, but for damage
    behind the header.
    """
    path = resolve(root, name)
    with _read_header(path) as image:
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED
        except DAMAGE as error:
            raise ImageError("truncated", f"{path} is cut short or damaged: {error}") from error
        return image.size[::-1] if turned else image.size


def _read_header(path: Path) -> Image.Image:
    """The picture before anything of it is decoded."""
    try:
        # the pixel limit is ours and stricter; Pillow's warning about the same thing would only repeat it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", f"{path}: {error}") from error
    except DAMAGE as error:
        raise ImageError("not_an_image", f"{path} is no {', '.join(FORMATS)} picture") from error
    try:
        _check_header(image, path)
    except ImageError:
        image.close()
        raise
    return image


def _check_header(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError("too_many_pixels", f"{path} claims {width}x{height} pixels, more than {MAX_PIXELS:,}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageError("too_thin", f"{path} is {width}x{height}: longer than {MAX_RATIO:g} times its width")
    # MPO: what cameras write, a still JPEG with a second view or a gain map behind it
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ImageError("animated", f"{path} holds {image.n_frames} frames; want a still picture")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling
        image = image.convert("F").point(lambda value: value / 257).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def crop(image: Image.Image, box: Box) -> Image.Image:
    """The part of the picture inside `box` (fractions x1, y1, x2, y2), clamped, at least 1x1 pixels."""
    return image.crop(pixels(image.size, box))


def pixels(size: tuple[int, int], box: Box) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box in a picture of that size, clamped, at least 1x1 pixels apart."""
    width, height = size
    left = min(max(math.floor(box[0] * width), 0), width - 1)
    top = min(max(math.floor(box[1] * height), 0), height - 1)
    right = min(max(math.ceil(box[2] * width), left + 1), width)
    bottom = min(max(math.ceil(box[3] * height), top + 1), height)
    return left, top, right, bottom


def fitted_size(width: int, height: int, *, max_pixels: int, min_side: int, factor: int) -> tuple[int, int]:
    """Width and height, multiples of `factor`, of about the same shape, of `max_pixels` or one factor² at most.

    The shorter side is scaled up to `min_side` first. Qwen2-VL's own rule (qwen_vl_utils.smart_resize)
    does the rounding, so the processor leaves the picture as it is.
    """
    from qwen_vl_utils import smart_resize

    scale = max(1.0, min_side / min(width, height))
    floor = min(factor * factor, max_pixels)
    rows, columns = smart_resize(
        max(factor, round(height * scale)),
        max(factor, round(width * scale)),
        factor=factor,
        min_pixels=floor,
        max_pixels=max_pixels,
    )
    # smart_resize may let a thin picture's short side fall to 0; raised to one factor, it keeps the budget
    longest = max(max_pixels // factor**2, 1) * factor
    return min(max(columns, factor), longest), min(max(rows, factor), longest)


def views(sample: Sample, root: Path, settings: ImageSettings, *, factor: int) -> list[Image.Image]:
    """The pictures the model is shown for a sample, fitted; [] for a text-only sample.

    Order as in MORE-R1 (section 2.1): the whole picture, then the crop of the region asked about.
    A sample whose head and tail are both mentions has no crop. `factor`: pixels a side must be a
    multiple of (patch size x merge size). Raises ImageError.
    """
    if sample.image is None:
        return []
    image = open_image(root, sample.image)
    return [view(image, box, settings, factor=factor) for box in boxes(sample, settings)]


def sizes(sample: Sample, root: Path, settings: ImageSettings, *, factor: int) -> list[tuple[int, int]]:
    """Width and height of each of `views`, by the picture's header alone. Raises ImageError."""
    if sample.image is None:
        return []
    size, out = upright_size(root, sample.image), []
    for box in boxes(sample, settings):
        left, top, right, bottom = (0, 0, *size) if box is None else pixels(size, box)
        most = settings.full_pixels if box is None else settings.crop_pixels
        out.append(_fits((right - left, bottom - top), most, settings.min_side, factor)[1])
    return out


def boxes(sample: Sample, settings: ImageSettings) -> list[Box | None]:
    """The parts of a sample's picture that `views` shows, in its order; None: the whole."""
    regions = [region.box for role in (sample.head, sample.tail) for region in sample.regions if region.id == role]
    return [box for kind in settings.views for box in ([None] if kind == "full" else regions)]


def view(image: Image.Image, box: Box | None, settings: ImageSettings, *, factor: int) -> Image.Image:
    """The part of a picture inside `box`, or all of it, fitted to the settings' pixels."""
    if box is None:
        return _fit(image, settings.full_pixels, settings.min_side, factor)
    return _fit(crop(image, box), settings.crop_pixels, settings.min_side, factor)


def _fit(image: Image.Image, max_pixels: int, min_side: int, factor: int) -> Image.Image:
    padded, size = _fits(image.size, max_pixels, min_side, factor)
    if padded != image.size:
        image = ImageOps.pad(image, padded)
    return image.resize(size, Image.Resampling.BICUBIC)


def _fits(
    size: tuple[int, int], max_pixels: int, min_side: int, factor: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a picture of that size is padded to, and then resized to."""
    width, height = size
    # a sliver of a crop: its short side is padded, or no multiple of the factor keeps its shape
    side = math.ceil(max(size) / MAX_RATIO)
    padded = max(width, side), max(height, side)
    return padded, fitted_size(*padded, max_pixels=max_pixels, min_side=min_side, factor=factor)
