"""MORE (He et al., ACM MM 2023) and its relatives MNRE-2 and UMRE: relations in a title or post and its picture.

Reads a release as users download it (see more_release for the files): one Python dict literal or JSON
object a line, with `token`, `h`, `t`, `img_id`, `relation` and mostly `text`. An argument whose `pos` has
two numbers is tokens [first, last) of the text, one with four a box of the picture. MORE's `h` is the
entity of the text and `t` the object of the picture; here the object, where there is exactly one, is the
head, the order of the label paths (/object type/entity type/relation). Otherwise `h` is the head.
Left out: the names of the arguments, captions, depth maps, and *_dict.pth, which are pickles and never opened.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydantic import ValidationError

from morerl.corpora.more_boxes import (
    Convention,
    Numbers,
    conventions,
    corners,
    numbers,
    place_side,
    read_side,
    same_box,
)
from morerl.corpora.more_release import FILES, image_folder, legal_labels, side_file, text_file, text_files
from morerl.errors import DataError
from morerl.schema import Gold, Mention, Region, Reject, Sample

MAX_LINE = 100_000  # characters; literal_eval of a hostile line could exhaust the stack or memory
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|://|^(data|file|[A-Za-z]):")  # control characters, URLs, drives
_BAD = (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


class _Release(NamedTuple):
    corpus: str
    split: str
    folder: str  # of the pictures, relative to the release
    labels: Mapping[str, str] | None  # spelling -> name; None: any
    convention: Convention  # of the lines' boxes
    others: Mapping[str, tuple[Numbers, ...]]  # img_id -> corners of every object the side file knows


class _Refused(Exception):
    """A line that cannot become a sample: args are the reason and the detail of its Reject."""


def read(raw_dir: Path, split: str, *, corpus: str = "more") -> Iterator[Sample | Reject]:
    """The facts of one split (train, dev, test), in file order; a bad line is a Reject.

    `corpus` names the samples and the packaged guideline whose labels are legal (`more`, `mnre`, `umre`);
    under a name without one any label is. Raises ConfigError for an unknown split, DataError if the
    split's file is missing or not the only one, or rel2id.json or the side file cannot be used.
    """
    path = text_file(raw_dir, split)
    release = _release(raw_dir, path, split, corpus)
    for number, line in _lines(path):
        if line.strip() or len(line) > MAX_LINE:
            yield _read_line(line, path, number, release)


def splits(raw_dir: Path) -> tuple[str, ...]:
    """Those of train, dev and test whose file is there; raises DataError if none is."""
    found = tuple(split for split in FILES if text_files(raw_dir, split))
    if not found:
        text_file(raw_dir, "train")  # its error says what is wanted
    return found


def _release(raw_dir: Path, path: Path, split: str, corpus: str) -> _Release:
    file = side_file(raw_dir, split)
    side = read_side(file) if file else {}
    doubtful = corpus == "umre"
    lines, others = conventions(_boxes(path), side, doubtful=doubtful) if side or doubtful else (corners, corners)
    return _Release(
        corpus=corpus,
        split=split,
        folder=image_folder(raw_dir, split),
        labels=legal_labels(raw_dir, path, corpus),
        convention=lines,
        others=place_side(side, others, file) if file else {},
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; of one longer than MAX_LINE only the beginning, so that no line fills the memory."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                yield number, line
                while line and not line.endswith("\n"):
                    line = file.readline(MAX_LINE)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _boxes(path: Path) -> Iterator[tuple[str, Numbers]]:
    for _, line in _lines(path):
        try:
            row = _parse(line)
            for argument in (row["h"], row["t"]):
                if len(argument["pos"]) == 4:
                    yield str(row["img_id"]), numbers(argument["pos"])
        except (_Refused, KeyError, *_BAD):
            continue  # read again later, and told then


def _read_line(line: str, path: Path, number: int, release: _Release) -> Sample | Reject:
    try:
        return _to_sample(_parse(line), f"{release.corpus}/{release.split}/{number:06d}", release)
    except _Refused as refused:
        reason, detail = refused.args
    except KeyError as error:
        reason, detail = "missing_field", error
    except ValidationError as error:
        reason, detail = "inconsistent", error.errors(include_url=False)[0]["msg"]
    except _BAD as error:
        reason, detail = "bad_field", error
    told = str(detail)[:300].encode(errors="replace").decode()  # a lone surrogate could not be written
    return Reject(file=str(path), line=number, reason=reason, detail=told)


def _parse(line: str) -> Any:
    if len(line) > MAX_LINE:
        raise _Refused("line_too_long", f"more than {MAX_LINE:,} characters")
    line = line.strip()
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise _Refused("not_utf8", error) from error
    try:
        return _literal(line)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _Refused("not_a_literal", error) from error


def _literal(line: str) -> Any:
    if line.startswith('{"'):  # json.loads reads it faster, and true, false and null at all
        try:
            return json.loads(line)
        except ValueError:
            pass  # a Python dict may begin like that, too
    return ast.literal_eval(line)


def _to_sample(row: dict[str, Any], id_: str, release: _Release) -> Sample:
    tokens = row["token"]
    if not isinstance(tokens, list | tuple):
        raise TypeError(f"token is a {type(tokens).__name__}, not a list")
    text = row["text"] if "text" in row else " ".join(tokens)
    for field in (text, row["img_id"], row["relation"]):
        field.encode()  # a string, without lone surrogates, which could be read but not written
    arguments = _arguments(row, text, tokens, release.convention)
    mentions = tuple(argument for argument in arguments if isinstance(argument, Mention))
    regions = tuple(argument for argument in arguments if isinstance(argument, Region))
    head, tail = reversed(arguments) if regions and isinstance(arguments[0], Mention) else arguments
    return Sample(
        id=id_,
        corpus=release.corpus,
        split=release.split,
        text=text,
        image=f"{release.folder}/{_picture(row['img_id'])}",
        mentions=mentions,
        regions=(*regions, *_further(regions, release.others.get(row["img_id"], ()))),
        head=head.id,
        tail=tail.id,
        gold=Gold(label=_label(row["relation"], release.labels)),
    )


def _arguments(row: dict[str, Any], text: str, tokens: list[str], convention: Convention) -> list[Mention | Region]:
    """`h` and `t`, in this order; mentions are called m0, m1 and regions r0, r1."""
    found: list[Mention | Region] = []
    for role in ("h", "t"):
        position = row[role]["pos"]
        if len(position) == 4:
            region = Region(id=f"r{_count(found, Region)}", box=convention(numbers(position)))
            found.append(region)
        else:
            start, end = token_offsets(text, tokens, *_indices(position))
            found.append(Mention(id=f"m{_count(found, Mention)}", start=start, end=end, text=text[start:end]))
    return found


def _count(found: list[Mention | Region], kind: type) -> int:
    return sum(isinstance(item, kind) for item in found)


def _indices(position: object) -> tuple[int, int]:
    if not isinstance(position, list | tuple) or len(position) != 2:
        raise ValueError(f"pos {str(position)[:100]} is neither two token numbers nor a box of four")
    first, last = (int(value) for value in position)
    if (first, last) != tuple(map(float, position)):
        raise ValueError(f"pos {position} are no whole numbers")
    return first, last


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


def _further(asked: tuple[Region, ...], others: tuple[Numbers, ...]) -> Iterator[Region]:
    """The picture's other objects; without an asked one they count from r0."""
    new = (box for box in others if not any(same_box(box, region.box) for region in asked))
    return (Region(id=f"r{number}", box=box) for number, box in enumerate(new, len(asked)))


def _picture(name: str) -> str:
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or _UNSAFE.search(name):
        raise _Refused("bad_image_path", f"{name[:200]!r} is no file below the folder of the pictures")
    return name


def _label(name: str, labels: Mapping[str, str] | None) -> str:
    known = name if labels is None else labels.get(name)
    if not known:
        raise _Refused("unknown_label", f"{name[:100]!r} is no label of this corpus")
    return known
