"""Boxes of the MORE family: their two conventions, and the side file with the other objects of a picture.

MORE states centre and size, (cx, cy, w, h). REMOTE's code (https://github.com/Nikol-coder/REMOTE) cuts
UMRE's boxes out as (left, top, right, bottom), so UMRE's lines and every side file are looked at before
they are believed. All numbers are fractions of the picture's width and height. A side file is a JSON
object {img_id: {object name: [4 numbers]}}.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

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


def conventions(boxes: Iterable[tuple[str, Numbers]], side: Side, *, doubtful: bool) -> tuple[Convention, Convention]:
    """What the boxes of a file's lines are, given as (img_id, box), and what those of its side file are.

    Lines are (cx, cy, w, h) unless `doubtful`: then each box that is impossible as corners speaks for
    centres, each that leaves the picture by over 2 % as a centre for corners, and the majority decides,
    so that one bad line turns nothing; a tie is centres. A box of the side file equal to a line's own of
    that picture shows what the side file is: majority again, (cx, cy, w, h) without any such box.
    """
    votes: Counter[str] = Counter()
    for image, box in boxes:
        votes[_shape(box)] += 1
        votes.update(filter(None, (_match(other, box) for other in side.get(image, {}).values())))
    lines = cut if doubtful and votes["corners"] > votes["centres"] else corners
    meant = {"as the line": lines, "corners of the line": cut, "centre of the line": corners}
    best = max(meant, key=votes.__getitem__)
    return lines, meant[best] if votes[best] else corners


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
