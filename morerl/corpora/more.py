"""MORE (He et al., ACM MM 2023): relations between an object in a picture and an entity in its title.

Reads the release as users download it: txt/{train,valid,test}.txt, one Python dict literal a line,
and img_org/<split>/. In the files `h` is the entity of the text and `t` the object of the picture;
here the head is the object and the tail the entity, the order of the label paths
(/object type/entity type/relation).
Left out: ent_*_dict.pth, which are pickles and never opened.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from morerl.errors import DataError
from morerl.schema import Gold, Mention, Region, Reject, Sample

FILES = {"train": "train", "dev": "valid", "test": "test"}
MAX_LINE = 100_000  # characters; literal_eval of a hostile line could exhaust the stack or memory


def read(raw_dir: Path, split: str) -> Iterator[Sample | Reject]:
    """The facts of one split (train, dev, test), in file order; a bad line is a Reject.

    Raises DataError if the split's file is missing.
    """
    path = raw_dir / "txt" / f"{FILES[split]}.txt"
    try:
        lines = path.open(encoding="utf-8", errors="surrogateescape", newline="\n")
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}. Want the MORE release: txt/{{train,valid,test}}.txt "
            "and img_org/{train,val,test}/ below one folder"
        ) from error
    folder = _image_folder(raw_dir, split)
    with lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _read_line(line, f"more/{split}/{number:06d}", split, folder, path, number)


def _image_folder(raw_dir: Path, split: str) -> str:
    names = (split, FILES[split], "val") if split == "dev" else (split,)
    return next((n for n in names if (raw_dir / "img_org" / n).is_dir()), names[0])


def _read_line(line: str, id_: str, split: str, folder: str, path: Path, number: int) -> Sample | Reject:
    def reject(reason: str, detail: object) -> Reject:
        return Reject(file=str(path), line=number, reason=reason, detail=str(detail)[:300])

    if len(line) > MAX_LINE:
        return reject("line_too_long", f"{len(line):,} characters")
    try:
        row = ast.literal_eval(line.strip())
    except UnicodeEncodeError as error:
        return reject("not_utf8", error)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        return reject("not_a_literal", error)
    try:
        return _to_sample(row, id_, split, folder)
    except KeyError as error:
        return reject("missing_field", error)
    except ValidationError as error:
        return reject("inconsistent", error.errors(include_url=False)[0]["msg"])
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        return reject("bad_field", error)


def _to_sample(row: dict[str, Any], id_: str, split: str, folder: str) -> Sample:
    for field in ("text", "img_id", "relation"):
        row[field].encode()  # a string, without lone surrogates, which could be read but not written
    start, end = token_offsets(row["text"], row["token"], *(int(i) for i in row["h"]["pos"]))
    mention = Mention(id="m0", start=start, end=end, text=row["text"][start:end])
    region = Region(id="r0", box=corners(tuple(float(v) for v in row["t"]["pos"])))
    return Sample(
        id=id_,
        corpus="more",
        split=split,
        text=row["text"],
        image=f"img_org/{folder}/{row['img_id']}",
        mentions=(mention,),
        regions=(region,),
        head="r0",
        tail="m0",
        gold=Gold(label=row["relation"]),
    )


def token_offsets(text: str, tokens: list[str], first: int, last: int) -> tuple[int, int]:
    """Character offsets (half-open) of tokens[first:last], found left to right in the text.

    Raises ValueError if a token is not found or the range is empty.
    """
    if not 0 <= first < last <= len(tokens):
        raise ValueError(f"token range [{first}, {last}) of {len(tokens)} tokens")
    position, start = 0, -1
    for index, token in enumerate(tokens[:last]):
        found = text.find(token, position)
        if found < 0:
            raise ValueError(f"token {index} {token!r} is not in the text after character {position}")
        start = found if index == first else start
        position = found + len(token)
    return start, position


def corners(centre: tuple[float, ...]) -> tuple[float, float, float, float]:
    """(cx, cy, w, h) as fractions -> (x1, y1, x2, y2), cut at the picture's edge.

    Raises ValueError for a box without area inside the picture, or not of four finite numbers.
    """
    cx, cy, width, height = centre
    if not all(map(math.isfinite, centre)):
        raise ValueError(f"box (cx, cy, w, h) = {centre} is not finite")
    x1, y1, x2, y2 = (
        min(max(value, 0.0), 1.0) for value in (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    )
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"box (cx, cy, w, h) = {centre} has no area inside the picture")
    return x1, y1, x2, y2
