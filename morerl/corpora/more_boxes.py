"""Boxes of the MORE family: their two conventions, and the side file with the other objects of a picture.

MORE states centre and size, (cx, cy, w, h). REMOTE's code (https://github.com/Nikol-coder/REMOTE) cuts
UMRE's boxes out as (left, top, right, bottom), so UMRE's lines and every side file are looked at before
they are believed: once for a release, over the files of all its splits. All numbers are fractions of the
picture's width and height. A side file is a JSON object {img_id: {object name: [4 numbers]}}.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from morerl.corpora.more_release import read_object
from morerl.errors import DataError

Numbers = tuple[float, float, float, float]
Convention = Callable[[Numbers], Numbers]
Side = Mapping[str, Mapping[str, Numbers]]
_MARGIN = 0.02  # annotators' boxes overshoot the edge by a pixel or two; those read the wrong way by far more
_SAME = 1e-3  # side files round to four decimals


def corners(centre: Numbers) -> Numbers:
    """(cx, cy, w, h) -> (x1, y1, x2, y2), cut at the picture's edge.

    Raises ValueError for a box without area inside the picture.
    """
    return cut(_spread(centre))


def cut(box: Numbers) -> Numbers:
    """(x1, y1, x2, y2) cut at the picture's edge; raises ValueError for a box without area inside the picture."""
    x1, y1, x2, y2 = _clamped(box)
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"box (x1, y1, x2, y2) = {box} has no area inside the picture")
    return x1, y1, x2, y2


def numbers(values: object) -> Numbers:
    """Four finite numbers out of a list or tuple of numbers or strings; raises TypeError or ValueError."""
    if not isinstance(values, list | tuple):
        raise TypeError(f"a box is a {type(values).__name__}, not four numbers")
    a, b, c, d = (float(value) for value in values)
    if not all(map(math.isfinite, (a, b, c, d))):
        raise ValueError(f"box {(a, b, c, d)} is not finite")
    return a, b, c, d


def read_side(path: Path) -> Side:
    """The boxes of a side file as they stand; raises DataError naming the file and the box."""
    return {image: _objects(path, image, objects) for image, objects in read_object(path).items()}


def place_side(side: Side, convention: Convention, path: Path) -> dict[str, tuple[Numbers, ...]]:
    """img_id -> the corners of its objects, in the file's order; raises DataError for a box outside its picture."""
    placed: dict[str, tuple[Numbers, ...]] = {}
    for image, objects in side.items():
        try:
            placed[image] = tuple(convention(box) for box in objects.values())
        except ValueError as error:
            raise DataError(f"{path}: {image!r}: {error}; correct that box or move the file away") from error
    return placed


class Fit(NamedTuple):
    """How many boxes there are, and how many of them can be read in either way."""

    boxes: int
    centres: int  # none leaves the picture by more than 2 %
    corners: int  # x1 < x2 and y1 < y2


def fit(boxes: Iterable[Numbers]) -> Fit:
    """Counts the boxes, and those that each convention fits."""
    shapes = Counter(map(_shape, boxes))
    return Fit(shapes.total(), shapes.total() - shapes["corners"], shapes.total() - shapes["centres"])


def line_convention(found: Fit) -> Convention:
    """Corners where they fit more boxes than centres do, so that one bad line turns nothing; a tie is centres."""
    return cut if found.corners > found.centres else corners


def side_convention(boxes: Iterable[tuple[str, Numbers]], side: Side, lines: Convention) -> Convention:
    """What the boxes of a side file are, told by the lines' boxes, given as (img_id, box).

    A box of the side file equal to a line's own of that picture shows it: the majority decides, and
    (cx, cy, w, h) without any such box.
    """
    votes: Counter[str] = Counter()
    for image, box in boxes:
        votes.update(filter(None, (_match(other, box) for other in side.get(image, {}).values())))
    meant = {"as the line": lines, "corners of the line": cut, "centre of the line": corners}
    best = max(meant, key=votes.__getitem__)
    return meant[best] if votes[best] else corners


def named(convention: Convention) -> str:
    """`centres (cx, cy, w, h)` or `corners (x1, y1, x2, y2)`."""
    return "corners (x1, y1, x2, y2)" if convention is cut else "centres (cx, cy, w, h)"


def box_notes(found: Fit, used: Convention, *, doubtful: bool) -> list[str]:
    """How the boxes were read, where that was doubtful or where the other way fits more of them."""
    other, fitting = (corners, (found.corners, found.centres)) if used is cut else (cut, (found.centres, found.corners))
    if not found.boxes or not (doubtful or fitting[1] > fitting[0]):
        return []
    told = f"{fitting[0]} of {found.boxes} fit, and {fitting[1]} would as {named(other)}"
    return [f"boxes read as {named(used)}: {told}"]


def same_box(one: Numbers, other: Numbers) -> bool:
    """Equal but for rounding: no number differs by more than a thousandth of the picture."""
    return all(abs(a - b) <= _SAME for a, b in zip(one, other, strict=True))


def _shape(box: Numbers) -> str | None:
    x1, y1, x2, y2 = box
    if x1 >= x2 or y1 >= y2:
        return "centres"
    if any(value < -_MARGIN or value > 1 + _MARGIN for value in _spread(box)):
        return "corners"
    return None


def _match(other: Numbers, box: Numbers) -> str | None:
    if same_box(other, box):
        return "as the line"
    if same_box(_clamped(other), _clamped(_spread(box))):
        return "corners of the line"
    if same_box(_clamped(_spread(other)), _clamped(box)):
        return "centre of the line"
    return None


def _spread(centre: Numbers) -> Numbers:
    cx, cy, width, height = centre
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def _clamped(box: Numbers) -> Numbers:
    x1, y1, x2, y2 = (min(max(value, 0.0), 1.0) for value in box)
    return x1, y1, x2, y2


def _objects(path: Path, image: str, objects: object) -> dict[str, Numbers]:
    if not isinstance(objects, Mapping):
        raise DataError(
            f"{path}: {image!r} is no object of boxes {{name: [4 numbers]}}; move the file away if it is another's"
        )
    found: dict[str, Numbers] = {}
    for name, box in objects.items():
        try:
            found[name] = numbers(box)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: {image!r}, {name!r}: {str(error)[:200]}; correct that box") from error
    return found
