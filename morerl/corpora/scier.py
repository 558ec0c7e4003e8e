"""SciER (Zhang et al. 2024): datasets, methods and tasks of AI papers, and nine directed relations between them.

Read as released (https://github.com/edzq/SciER, https://aclanthology.org/2024.emnlp-main.726): PLM/<split>.jsonl has a
document a line with spans in tokens of the document, both ends inclusive; LLM/<split>.jsonl has a sentence a line
with strings only. Row n of the one is row n of the other. Where both are there the spans come from the first and
the second must say the same; where only the second is there, its strings are placed as `scier_align` tells.
In rel_plus an argument is "string:Type", cut at the last colon. Left out: the documents (doc_id, or doc_key), which
have other names in the two forms of test_ood.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from morerl.corpora.scier_align import Link, Unplaced, align, assign
from morerl.corpora.scier_rows import (
    RELATIONS,
    TYPES,
    Listed,
    Name,
    Placed,
    Refused,
    listed_rows,
    placed_rows,
    tells_places,
)
from morerl.errors import ConfigError, DataError
from morerl.schema import Entity, Extraction, Reject, Relation, Sample

__all__ = ["RELATIONS", "SPLITS", "TYPES", "read", "splits"]

SPLITS = ("train", "dev", "test", "test_ood")
MAX_LINKS = 64  # mentions, and relations, in a sentence to be aligned; the release has at most 36 of either

_WANT = (
    "want the SciER release (https://github.com/edzq/SciER): LLM/ and PLM/ with {train,dev,test,test_ood}.jsonl "
    "below one folder, or one of the two folders itself"
)


class _Forms(NamedTuple):
    listed: Path | None
    placed: Path | None


def splits(raw_dir: Path) -> tuple[str, ...]:
    """Those of train, dev, test and test_ood that `read` can read, in either form. Raises DataError for none."""
    found = tuple(split for split in SPLITS if any(_forms(raw_dir, split)))
    if not found:
        raise DataError(f"no split of SciER in {raw_dir}; {_WANT}")
    return found


def read(raw_dir: Path, split: str, *, corpus: str = "scier") -> Iterator[Sample | Reject]:
    """The sentences of one split in file order, each an `extract` question; a bad one is a Reject, whole.

    Ids end in the row number, from 1, and do not depend on the forms at hand. Raises ConfigError for an unknown
    split and DataError for a missing file or a document whose sentences cannot be counted.
    """
    if split not in SPLITS:
        raise ConfigError(f"SciER has no split {split!r}; it has {', '.join(SPLITS)}")
    forms = _forms(raw_dir, split)
    if not any(forms):
        raise DataError(f"no {split}.jsonl in {raw_dir}; {_WANT}")
    return _samples(raw_dir, forms, corpus, split)


def _forms(raw_dir: Path, split: str) -> _Forms:
    name = f"{split}.jsonl"
    listed, placed, plain = (folder / name for folder in (raw_dir / "LLM", raw_dir / "PLM", raw_dir))
    if listed.is_file() or placed.is_file() or not plain.is_file():
        return _Forms(listed if listed.is_file() else None, placed if placed.is_file() else None)
    return _Forms(None, plain) if tells_places(plain) else _Forms(plain, None)


def _samples(raw_dir: Path, forms: _Forms, corpus: str, split: str) -> Iterator[Sample | Reject]:
    listed = listed_rows(forms.listed, raw_dir) if forms.listed else iter(())
    placed = placed_rows(forms.placed, raw_dir) if forms.placed else iter(())
    for number, pair in enumerate(zip_longest(listed, placed), 1):
        try:
            row = _agreed(*pair, both=all(forms))
            yield row if isinstance(row, Reject) else _sample(row, f"{corpus}/{split}/{number:06d}", corpus, split)
        except Refused as refused:
            source = next(row for row in pair if row is not None)
            yield Reject(file=source.file, line=source.line, reason=refused.reason, detail=refused.detail)


def _agreed(listed: Listed | Reject | None, placed: Placed | Reject | None, *, both: bool) -> Placed | Reject:
    """The row with its places, from the one form or from both where they agree."""
    for row in (listed, placed):
        if isinstance(row, Reject):
            return row
    if listed is not None and not both:
        return _place(listed)
    if placed is not None and not both:
        return placed
    if listed is None or placed is None:
        raise Refused("forms_disagree", f"only {'PLM' if listed is None else 'LLM'} has this row")
    if said := _difference(listed, placed):
        raise Refused("forms_disagree", said)
    return placed


def _difference(listed: Listed, placed: Placed) -> str:
    other = _strings(placed)
    if listed.text != other.text:
        return f"sentence: {listed.text[:100]!r} in LLM, {other.text[:100]!r} in PLM"
    for what, ours, theirs in (
        ("mentions", listed.mentions, other.mentions),
        ("relations", listed.relations, other.relations),
    ):
        here, there = Counter(ours), Counter(theirs)
        if here != there:
            only = sorted((here - there).elements()), sorted((there - here).elements())
            return f"{what}: only in LLM {only[0]}, only in PLM {only[1]}"
    return ""


def _strings(row: Placed) -> Listed:
    """What the LLM form should say of a row of the PLM form."""
    names = tuple((row.text[start:end], type_) for (start, end), type_ in row.mentions)
    relations = tuple((names[head], label, names[tail]) for head, label, tail in row.relations)
    return Listed(row.file, row.line, row.text, names, relations)


def _place(row: Listed) -> Placed:
    """The row with its mentions in the order of the text, whatever order they are listed in."""
    if max(len(row.mentions), len(row.relations)) > MAX_LINKS:
        raise Refused("too_many", f"{len(row.mentions)} mentions, {len(row.relations)} relations, above {MAX_LINKS}")
    try:
        placed = sorted(zip(align(row.text, [string for string, _ in row.mentions]), row.mentions, strict=True))
    except Unplaced as error:
        raise Refused(error.reason, str(error)) from error
    spans = tuple(span for span, _ in placed)
    row = row._replace(mentions=tuple(mention for _, mention in placed))
    links = [_link(row, *relation) for relation in row.relations]
    try:
        pairs = assign(spans, links)
    except ValueError as error:
        raise Refused("relations_out_of_order", str(error)) from error
    relations = tuple((head, link.label, tail) for (head, tail), link in zip(pairs, links, strict=True))
    types = (type_ for _, type_ in row.mentions)
    return Placed(row.file, row.line, row.text, tuple(zip(spans, types, strict=True)), relations)


def _link(row: Listed, head: Name, label: str, tail: Name) -> Link:
    link = Link(_named(row, head), label, _named(row, tail))
    if len({*link.heads, *link.tails}) == 1:
        raise Refused("relation_to_itself", f"{label} joins {head[0][:80]!r} to itself, which occurs once")
    return link


def _named(row: Listed, name: tuple[str, str]) -> tuple[int, ...]:
    found = tuple(index for index, mention in enumerate(row.mentions) if mention == name)
    if not found:
        raise Refused("unknown_argument", f"{name[0][:80]!r} of type {name[1]!r} is none of the mentions")
    return found


def _sample(row: Placed, id_: str, corpus: str, split: str) -> Sample:
    entities = tuple(
        Entity(id=f"e{index}", text=row.text[start:end], type=type_, start=start, end=end)
        for index, ((start, end), type_) in enumerate(row.mentions)
    )
    relations = tuple(Relation(head=f"e{head}", tail=f"e{tail}", label=label) for head, label, tail in row.relations)
    gold = Extraction(entities=entities, relations=relations)
    try:
        return Sample(id=id_, corpus=corpus, split=split, text=row.text, task="extract", gold=gold)
    except ValidationError as error:
        raise Refused("inconsistent", error.errors(include_url=False)[0]["msg"]) from error
