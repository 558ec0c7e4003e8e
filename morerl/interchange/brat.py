"""brat: a folder per split with <name>.txt and <name>.ann, and one annotation.conf for all.

Standoff format: https://brat.nlplab.org/standoff.html. T lines are the mentions of a `pair` and the
gold entities of the other tasks, R lines the relations. brat's names hold letters, digits, - and _:
a label or type that has others gets a safe name, and a note on its line with the exact one, which
holds as long as the name is not edited. A note of the type Morerl keeps what brat cannot say (id,
task, given mentions). Reading is in brat_document. Left out: samples with regions, for brat has no pictures.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from morerl.corpora.jsonl import Refused, in_order, rejected, unseen
from morerl.errors import DataError
from morerl.interchange import SPLIT, by_split, new_folder, quote, vocabulary
from morerl.interchange.brat_document import META, NOTE, UNTYPED, Meta, document_sample, fragments, safe_name, shown
from morerl.jsonl import write_text
from morerl.schema import Entity, Gold, Mention, Reject, Sample
from morerl.task import TaskSpec

CONFIG = "annotation.conf"
MAX_BYTES = 64 * 2**20
_OWN_ID = re.compile(r"T[1-9][0-9]{0,8}")
_LONG_NAME = 150  # characters; file systems take 255 bytes, suffix included


class _Link(NamedTuple):
    head: str
    tail: str
    label: str


def write(samples: Iterable[Sample], out: Path, spec: TaskSpec | None = None) -> int:
    """Writes the new folder `out`, to be put below brat's data folder; returns the number of samples.

    Raises DataError naming the first sample that has regions, and as `by_split` and `new_folder` do.
    """
    parts = by_split(samples)
    everything = [sample for part in parts.values() for sample in part]
    with new_folder(out) as folder:
        write_text(folder / CONFIG, [_config(everything, spec)])
        for split, part in parts.items():
            (folder / split).mkdir()
            for name, sample in zip(_names(part), part, strict=True):
                annotation = "".join(line + "\n" for line in _lines(sample))
                (folder / split / f"{name}.ann").write_text(annotation, encoding="utf-8", newline="")
                (folder / split / f"{name}.txt").write_text(sample.text, encoding="utf-8", newline="")
    return len(everything)


def _names(part: list[Sample]) -> Iterator[str]:
    """A file name for each sample; a digest ends it where it is too long, or differs by case alone."""
    taken: set[str] = set()
    for sample in part:
        name = quote(sample.id, "=")
        if len(name) > _LONG_NAME or name.casefold() in taken:
            name = f"{name[:_LONG_NAME]}=x{hashlib.sha256(sample.id.encode()).hexdigest()[:16]}"
        taken.add(name.casefold())
        yield name or "="


def _config(samples: list[Sample], spec: TaskSpec | None) -> str:
    words = vocabulary(samples, spec)
    untyped = any(mention.type is None for sample in samples for mention in sample.mentions)
    types = dict.fromkeys([*map(safe_name, words.types), *[UNTYPED][:untyped]])
    labels = dict.fromkeys(f"{safe_name(label)}\tArg1:<ENTITY>, Arg2:<ENTITY>" for label in words.labels)
    return "\n".join(["[entities]", *types, "", "[relations]", *labels, "", "[events]", "", "[attributes]", ""])


def _lines(sample: Sample) -> list[str]:
    spans, links = _annotated(sample)
    own = all(_OWN_ID.fullmatch(span.id) for span in spans)
    ids = {span.id: span.id if own else f"T{number}" for number, span in enumerate(spans, 1)}
    lines = [_span(ids[span.id], sample.text, span) for span in spans]
    names = [(ids[span.id], span.type) for span in spans]
    for number, link in enumerate(links, 1):
        lines.append(f"R{number}\t{safe_name(link.label)} Arg1:{ids[link.head]} Arg2:{ids[link.tail]}")
        names.append((f"R{number}", link.label))
    lines.append(_meta(sample, {} if own else {new: old for old, new in ids.items()}))
    exact = [(id_, name) for id_, name in names if name is not None and (safe_name(name) != name or name == UNTYPED)]
    return [*lines, *(f"#{n}\t{NOTE} {id_}\t{json.dumps(name)}" for n, (id_, name) in enumerate(exact, 2))]


def _annotated(sample: Sample) -> tuple[tuple[Mention, ...] | tuple[Entity, ...], list[_Link]]:
    if sample.regions:
        raise DataError(f"{sample.id} has regions of a picture, which brat cannot hold; use label_studio or hf")
    if sample.task == "pair":
        known = isinstance(sample.gold, Gold)
        return sample.mentions, [_Link(sample.head or "", sample.tail or "", sample.gold.label)] if known else []
    if sample.gold is None or isinstance(sample.gold, Gold):
        return (), []
    return sample.gold.entities, [_Link(one.head, one.tail, one.label) for one in sample.gold.relations]


def _span(id_: str, text: str, span: Mention | Entity) -> str:
    pieces = fragments(text, span.start or 0, span.end or 0)
    places = ";".join(f"{start} {end}" for start, end in pieces)
    type_ = UNTYPED if span.type is None else safe_name(span.type)
    return f"{id_}\t{type_} {places}\t{' '.join(shown(text[start:end]) for start, end in pieces)}"


def _meta(sample: Sample, ids: dict[str, str]) -> str:
    meta = Meta(
        id=sample.id,
        corpus=sample.corpus,
        task=sample.task,
        image=sample.image,
        head=sample.head,
        tail=sample.tail,
        types=sample.types,
        mentions=() if sample.task == "pair" else sample.mentions,
        gold=sample.gold is not None,
        ids=ids,
    )
    return f"#1\t{META} document\t{json.dumps(meta.model_dump(mode='json', exclude_defaults=True))}"


def splits(raw_dir: Path) -> tuple[str, ...]:
    """The folders that hold .txt or .ann files. Raises DataError if there is none."""
    folders = [path for path in raw_dir.glob("*") if SPLIT.fullmatch(path.name) and _documents(path)]
    if not folders:
        raise DataError(f"no folder of .txt and .ann files in {raw_dir}; want one folder a split, such as train")
    return in_order(path.name for path in folders)


def read(raw_dir: Path, split: str, *, corpus: str) -> Iterator[Sample | Reject]:
    """The samples of a split, one a document, by file name; a document that cannot be used is one Reject.

    A document made by hand is `extract`, belongs to `corpus`, is called <corpus>/<split>/<file name>,
    and has its T lines as entities and its R lines as relations. Events, attributes, modifications,
    normalizations, equivalences and other notes are passed over. A part of an answer would pass for
    the whole, so one bad line costs its document: unknown_line, discontinuous (line ends apart),
    text_mismatch, unknown_argument, several_relations, bad_note, duplicate_id, bad_field, bad_json
    (half a surrogate pair). no_text and no_annotation name a file without its other half, bad_encoding
    and too_large one that cannot be read. Raises DataError if there is no such folder.
    """
    folder = raw_dir / split
    names = _documents(folder)
    if not names:
        raise DataError(f"no .txt and .ann files in {folder}; want one folder a split, such as train")
    return _read(folder, names, split, corpus)


def _documents(folder: Path) -> list[str]:
    return sorted({path.stem for path in folder.glob("*") if path.suffix in (".txt", ".ann") and path.is_file()})


def _read(folder: Path, names: list[str], split: str, corpus: str) -> Iterator[Sample | Reject]:
    seen: set[str] = set()
    for name in names:
        file = f"{split}/{name}.txt"
        try:
            text = _text(folder / f"{name}.txt", "no_text")
            annotation = _text(folder / f"{name}.ann", "no_annotation")
            file = f"{split}/{name}.ann"
            yield unseen(document_sample(text, annotation, f"{corpus}/{split}/{name}", split, corpus), seen)
        except Refused as refused:
            reason, detail, *where = refused.args
            yield rejected(Refused(reason, detail), file, *where or (1,))


def _text(path: Path, missing: str) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused("too_large", f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise Refused(missing, f"there is no {path.name} beside it") from error
    except UnicodeDecodeError as error:
        raise Refused("bad_encoding", f"{path.name}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
