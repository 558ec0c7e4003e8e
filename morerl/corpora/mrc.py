"""Named entities asked for type by type: the JSON files of BERT-MRC (https://aclanthology.org/2020.acl-main.519).

mrc-ner.{train,dev,test}, with or without .json: one array of records {context, entity_label,
span_position, start_position, end_position, impossible, qas_id}. A position counts the words of
`context.split(" ")` from 0, and the last word of a span is part of it. `span_position` alone is enough;
start_position and end_position must agree with it where they are there, and do without it where no two
spans overlap. Every record becomes a sample that asks for its one type, with negatives where the
sentence has none of it; spans may nest.

Left out: `query`, the corpus's wording of the question; the guideline has ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from morerl.errors import DataError
from morerl.schema import Entity, Extraction, Reject, Sample

SPLITS = ("train", "dev", "test")
_POSITIONS = re.compile(r"([0-9]{1,9});([0-9]{1,9})")
_NAME = re.compile(r"[\w.:-]{1,100}")


class _Refused(Exception):
    """A record that cannot become a sample: args are the reason and the detail of its Reject."""


def splits(raw_dir: Path) -> tuple[str, ...]:
    """Which of train, dev and test the folder holds.

    Raises DataError where it holds none, or one of them both with and without .json.
    """
    return tuple(_files(raw_dir))


def read(raw_dir: Path, split: str, *, corpus: str) -> Iterator[Sample | Reject]:
    """The records of a split in file order, each asking for one type; a bad record is a Reject.

    Ids end in the record's `qas_id`. The line of a Reject is the number of the record, from 1; its reason
    is bad_field, missing_field, bad_span, position_mismatch, impossible_mismatch or duplicate_id. Raises
    DataError as `splits` does, for a split without a file, and where the file is not one JSON array.
    """
    files = _files(raw_dir)
    if split not in files:
        raise DataError(f"no file of the split {split!r} in {raw_dir}; it has {', '.join(files)}")
    return _items(_records(files[split]), files[split].name, split, corpus)


def _files(raw_dir: Path) -> dict[str, Path]:
    found = {
        split: [path for name in (f"mrc-ner.{split}", f"mrc-ner.{split}.json") if (path := raw_dir / name).is_file()]
        for split in SPLITS
    }
    if not any(found.values()):
        raise DataError(f"no file mrc-ner.train, mrc-ner.dev or mrc-ner.test (.json) in {raw_dir}")
    for paths in found.values():
        if len(paths) > 1:
            raise DataError(f"{paths[0]} and {paths[1]} are of one split; keep one of them")
    return {split: paths[0] for split, paths in found.items() if paths}


def _records(path: Path) -> list[object]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            records = json.load(file)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    # ValueError: bad JSON, bad UTF-8 and numbers of thousands of digits; RecursionError: endless brackets.
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}); want one array of records in UTF-8") from error
    if not isinstance(records, list):
        raise DataError(f"{path} holds a {type(records).__name__}; want one array of records")
    return records


def _items(records: list[object], name: str, split: str, corpus: str) -> Iterator[Sample | Reject]:
    seen: set[str] = set()
    for number, record in enumerate(records, 1):
        try:
            sample = _sample(record, split, corpus)
            if sample.id in seen:
                raise _Refused("duplicate_id", f"the id {sample.id} occurred before")
            seen.add(sample.id)
            yield sample
        except _Refused as refused:
            reason, detail = refused.args
            yield Reject(file=name, line=number, reason=reason, detail=detail[:300])


def _sample(record: object, split: str, corpus: str) -> Sample:
    if not isinstance(record, dict):
        raise _Refused("bad_field", f"the record is a {type(record).__name__}, not an object")
    context, type_, id_ = (_text(record, key) for key in ("context", "entity_label", "qas_id"))
    if not _NAME.fullmatch(id_):
        raise _Refused("bad_field", f"qas_id {id_[:60]!r}: want letters, digits and . : - _ alone")
    words = context.split(" ")
    spans = sorted(_spans(record, words))
    _agree(record, spans)
    return Sample(
        id=f"{corpus}/{split}/{id_}",
        corpus=corpus,
        split=split,
        text=context,
        task="entities",
        types=(type_,),
        gold=Extraction(entities=_entities(context, words, type_, spans)),
    )


def _entities(context: str, words: list[str], type_: str, spans: list[tuple[int, int]]) -> tuple[Entity, ...]:
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    places = [(starts[first], starts[last + 1] - 1) for first, last in spans]
    return tuple(
        Entity(id=f"e{number}", text=context[start:end], type=type_, start=start, end=end)
        for number, (start, end) in enumerate(places)
    )


def _spans(record: dict[str, object], words: list[str]) -> set[tuple[int, int]]:
    """First and last word of every span."""
    # Two blanks in a row make an empty word, from which on other readers of these files count differently.
    sound = words.index("") if "" in words else len(words)
    spans: set[tuple[int, int]] = set()
    for first, last in _stated(record):
        if not 0 <= first <= last < len(words):
            raise _Refused("bad_span", f"words {first} to {last} of {len(words)} (from 0, the last one included)")
        if last >= sound:
            raise _Refused("bad_span", f"two blanks in a row before the end of {first};{last}: its words are unsure")
        if (first, last) in spans:
            raise _Refused("bad_span", f"{first};{last} is there twice")
        spans.add((first, last))
    return spans


def _stated(record: dict[str, object]) -> Iterator[tuple[int, int]]:
    if "span_position" not in record and {"start_position", "end_position"} <= record.keys():
        yield from _paired(*(sorted(_numbers(record, key)) for key in ("start_position", "end_position")))
        return
    for position in _list(record, "span_position"):
        match = _POSITIONS.fullmatch(position) if isinstance(position, str) else None
        if match is None:
            raise _Refused("bad_field", f"span_position holds {_shown(position)}; want 'first;last'")
        yield int(match[1]), int(match[2])


def _paired(starts: list[int], ends: list[int]) -> list[tuple[int, int]]:
    """The spans that these starts and ends tell: one way alone where no two spans overlap."""
    if len(starts) != len(ends):
        raise _Refused("position_mismatch", f"{len(starts)} in start_position, {len(ends)} in end_position")
    if any(start <= end for start, end in zip(starts[1:], ends, strict=False)):
        raise _Refused("position_mismatch", "starts and ends alone do not tell overlapping spans; want span_position")
    return list(zip(starts, ends, strict=True))


def _agree(record: dict[str, object], spans: list[tuple[int, int]]) -> None:
    """The record says the same thing up to three times; nested spans may share a start or an end."""
    for key, said in (("start_position", {first for first, _ in spans}), ("end_position", {last for _, last in spans})):
        positions = _numbers(record, key) if key in record else said
        if set(positions) != said:
            raise _Refused("position_mismatch", f"{key} {sorted(positions)[:9]}, but span_position {sorted(said)[:9]}")
    impossible = _field(record, "impossible")
    if not isinstance(impossible, bool):
        raise _Refused("bad_field", f"impossible is {_shown(impossible)}; want true or false")
    if impossible == bool(spans):
        raise _Refused("impossible_mismatch", f"impossible is {impossible}, but there are {len(spans)} spans")


def _field(record: dict[str, object], key: str) -> object:
    if key not in record:
        raise _Refused("missing_field", f"there is no {key}")
    return record[key]


def _text(record: dict[str, object], key: str) -> str:
    value = _field(record, key)
    # JSON may escape half a surrogate pair, which could be read but not written.
    if not isinstance(value, str) or not value.strip() or re.search("[\ud800-\udfff]", value):
        raise _Refused("bad_field", f"{key} is {_shown(value)}; want a string that is not empty")
    return value


def _list(record: dict[str, object], key: str) -> list[object]:
    value = _field(record, key)
    if not isinstance(value, list):
        raise _Refused("bad_field", f"{key} is {_shown(value)}; want a list")
    return value


def _numbers(record: dict[str, object], key: str) -> list[int]:
    numbers = [value for value in _list(record, key) if isinstance(value, int) and not isinstance(value, bool)]
    if len(numbers) != len(_list(record, key)):
        raise _Refused("bad_field", f"{key} holds something else than whole numbers")
    return numbers


def _shown(value: object) -> str:
    # A list or object may be nested as deeply as the parser goes, which is too deep to be printed.
    return ascii(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
