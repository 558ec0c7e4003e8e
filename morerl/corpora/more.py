"""MORE (He et al., ACM MM 2023) and its relatives MNRE-2 and UMRE: relations in a title or post and its picture.

Reads a release as users download it (see more_release for the files, more_lines for their form): one Python
dict literal or JSON object a line, or one JSON array of them, with `token`, `h`, `t`, `img_id`, `relation` and
mostly `text`. An argument whose `pos` has two numbers is tokens [first, last) of the text, one with four a box
of the picture. MORE's `h` is the entity of the text and `t` the object of the picture; here the object, where
there is exactly one, is the head, the order of the label paths (/object type/entity type/relation). Otherwise
`h` is the head. UMRE's boxes are corners where those fit more boxes of all splits than centres do, else
centres; `notes` tells.
Left out: the names of the arguments, captions, depth maps, and *_dict.pth, which are pickles and never opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydantic import ValidationError

from morerl.corpora.more_boxes import (
    Convention,
    Numbers,
    box_notes,
    corners,
    fit,
    line_convention,
    named,
    numbers,
    place_side,
    read_side,
    same_box,
    side_convention,
)
from morerl.corpora.more_lines import Refused, facts, parse
from morerl.corpora.more_release import (
    FILES,
    Labels,
    image_folder,
    label_notes,
    legal_labels,
    side_file,
    text_file,
    text_files,
    why_unknown,
)
from morerl.schema import Gold, Mention, Region, Reject, Sample

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|://|^(data|file|[A-Za-z]):")  # control characters, URLs, drives
_DOUBTFUL = {"umre"}  # corpora whose boxes may be corners
_BAD = (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)


class _Release(NamedTuple):
    corpus: str
    split: str
    folder: str  # of the pictures, relative to the release
    labels: Labels
    convention: Convention  # of the lines' boxes
    others: Mapping[str, tuple[Numbers, ...]]  # img_id -> corners of every object the side file knows


def read(raw_dir: Path, split: str, *, corpus: str = "more") -> Iterator[Sample | Reject]:
    """The facts of one split (train, dev, test), in file order; a bad line is a Reject.

    In a JSON array the number of a fact, from 1, stands for its line. `corpus` names the samples and the
    packaged guideline whose labels are legal (`more`, `mnre`, `umre`); under a name without one any label
    is. Raises ConfigError for an unknown split, DataError if the split's file is missing, not the only one
    or a broken JSON array, or rel2id.json or the side file cannot be used.
    """
    path = text_file(raw_dir, split)
    release = _release(raw_dir, path, split, corpus)
    for number, text in facts(path):
        yield _read_fact(text, path, number, release)


def splits(raw_dir: Path) -> tuple[str, ...]:
    """Those of train, dev and test whose file is there; raises DataError if none is."""
    found = tuple(split for split in FILES if text_files(raw_dir, split))
    if not found:
        text_file(raw_dir, "train")  # its error says what is wanted
    return found


def notes(raw_dir: Path, corpus: str) -> list[str]:
    """What to tell beside the counts: how the boxes were read, and the side files and rel2id.json that were used.

    Raises DataError as `read` does.
    """
    boxes, found = list(_boxes(raw_dir)), splits(raw_dir)
    lines = _of_lines(boxes, corpus)
    told = box_notes(fit(box for _, box in boxes), lines, doubtful=corpus in _DOUBTFUL)
    for file in dict.fromkeys(side_file(raw_dir, split) for split in found):
        if file is not None:
            meant = named(side_convention(boxes, read_side(file), lines))
            told.append(f"{file.name}: the pictures' other objects, read as {meant}")
    every = (label_notes(legal_labels(raw_dir, text_file(raw_dir, split), corpus)) for split in found)
    return [*told, *dict.fromkeys(note for some in every for note in some)]


def _of_lines(boxes: list[tuple[str, Numbers]], corpus: str) -> Convention:
    return line_convention(fit(box for _, box in boxes)) if corpus in _DOUBTFUL else corners


def _release(raw_dir: Path, path: Path, split: str, corpus: str) -> _Release:
    file = side_file(raw_dir, split)
    side = read_side(file) if file else {}
    boxes = list(_boxes(raw_dir)) if side or corpus in _DOUBTFUL else []
    lines = _of_lines(boxes, corpus)
    return _Release(
        corpus=corpus,
        split=split,
        folder=image_folder(raw_dir, split),
        labels=legal_labels(raw_dir, path, corpus),
        convention=lines,
        others=place_side(side, side_convention(boxes, side, lines), file) if file else {},
    )


def _boxes(raw_dir: Path) -> Iterator[tuple[str, Numbers]]:
    """Image and box of every argument that has one, over the files of all splits that are there."""
    for path in dict.fromkeys(path for split in FILES for path in text_files(raw_dir, split)):
        for _, text in facts(path):
            try:
                row = parse(text)
                for argument in (row["h"], row["t"]):
                    if len(argument["pos"]) == 4:
                        yield str(row["img_id"]), numbers(argument["pos"])
            except (Refused, KeyError, *_BAD):
                continue  # read again later, and told then


def _read_fact(text: str, path: Path, number: int, release: _Release) -> Sample | Reject:
    try:
        return _to_sample(parse(text), f"{release.corpus}/{release.split}/{number:06d}", release)
    except Refused as refused:
        reason, detail = refused.args
    except KeyError as error:
        reason, detail = "missing_field", error
    except ValidationError as error:
        reason, detail = "inconsistent", error.errors(include_url=False)[0]["msg"]
    except _BAD as error:
        reason, detail = "bad_field", error
    told = str(detail)[:300].encode(errors="replace").decode()  # a lone surrogate could not be written
    return Reject(file=str(path), line=number, reason=reason, detail=told)


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
        raise Refused("bad_image_path", f"{name[:200]!r} is no file below the folder of the pictures")
    return name


def _label(name: str, labels: Labels) -> str:
    known = name if labels.legal is None else labels.legal.get(name)
    if not known:
        raise Refused("unknown_label", why_unknown(name, labels))
    return known
