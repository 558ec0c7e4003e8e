"""Samples out to the formats of other tools and back; one file a tool.

Each has `write(samples, out, ...)`, which makes the new folder `out` whole or not at all, and
`splits(raw_dir)` and `read(raw_dir, split, *, corpus)`, the shape of a corpus reader. What is written
and read back unchanged is the same samples; what a tool's format cannot say travels beside it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from morerl.corpora.jsonl import in_order
from morerl.errors import DataError
from morerl.schema import Gold, Sample
from morerl.task import TaskSpec

SPLIT = re.compile(r"(?!(?i:rejected)\Z)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What a split may be called: it names a file or a folder, of which rejected.jsonl is taken."""
PLAIN = "letters, digits, . - _; not rejected"


class Vocabulary(NamedTuple):
    """What annotators may choose from: the guideline's names first, then those the samples use."""

    types: tuple[str, ...]
    region_types: tuple[str, ...]
    labels: tuple[str, ...]


def by_split(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """The samples of each split, in their order; train, dev, test first.

    Raises DataError for no sample at all, an id that occurs twice, and a split whose name is no
    plain file name (it names a file or folder of the export).
    """
    parts: dict[str, list[Sample]] = {}
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(f"the id {sample.id!r} occurs twice; ids must be unique in one export")
        if not SPLIT.fullmatch(sample.split):
            raise DataError(f"{sample.id}: the split {sample.split!r} is no plain name ({PLAIN})")
        seen.add(sample.id)
        parts.setdefault(sample.split, []).append(sample)
    if not parts:
        raise DataError("there is no sample to export")
    return {split: parts[split] for split in in_order(parts)}


def vocabulary(samples: Iterable[Sample], spec: TaskSpec | None) -> Vocabulary:
    """Every name an annotator of these samples needs; of the guideline, where there is one, all of them."""
    samples = list(samples)
    regions = [region.type for sample in samples for region in sample.regions]
    types = [type_ for sample in samples for type_ in (*sample.types, *(m.type for m in sample.mentions))]
    labels = _open_labels(spec, {sample.task for sample in samples}) if spec else []
    for sample in samples:
        if isinstance(sample.gold, Gold):
            labels.append(sample.gold.label)
        elif sample.gold is not None:
            types += [entity.type for entity in sample.gold.entities]
            labels += [relation.label for relation in sample.gold.relations]
    return Vocabulary(_distinct([*(spec.types if spec else ()), *types]), _distinct(regions), _distinct(labels))


def _open_labels(spec: TaskSpec, tasks: set[str]) -> list[str]:
    # a pair is answered by a label with its direction, an extraction's relation by the label alone
    names = [one.name for one in spec.labels if one.name != spec.none]
    return [*(spec.answers if "pair" in tasks else ()), *(names if "extract" in tasks else ())]


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when all went well and vanishes when not.

    Raises DataError if `out` is there and not an empty folder, or cannot be made.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(f"{out} is there already; give --out the name of a new folder, or remove it")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as aside:
            folder = Path(aside) / "made"
            folder.mkdir()
            yield folder
            os.replace(folder, out)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error}") from error


def quote(text: str, mark: str, keep: str = "-_") -> str:
    """ASCII letters, digits and `keep` as they are; every other byte of the UTF-8 as mark and two hex digits."""
    plain = f"{keep}0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".encode()
    return "".join(chr(byte) if byte in plain else f"{mark}{byte:02X}" for byte in text.encode())
