"""One split of a corpus -> samples.jsonl: written as it is read, counted, every picture opened once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from morerl.corpora.shared import Seen
from morerl.errors import ImageError
from morerl.images import open_image
from morerl.jsonl import write_records
from morerl.schema import Extraction, Reject, Sample

COUNTS = Path(__file__).parent / "counts"


@dataclass(kw_only=True)
class Counts:
    """What one split holds."""

    samples: int = 0
    mentions: int = 0
    relations: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    seen: Seen = field(default_factory=Seen)  # to find what two splits share

    def add(self, sample: Sample) -> None:
        """Counts a sample. A pair counts its mentions and regions, and one relation where gold is known."""
        self.samples += 1
        self.seen.add(sample)
        if isinstance(sample.gold, Extraction):
            self.mentions += len(sample.gold.entities)
            self.relations += len(sample.gold.relations)
            self.types.update(entity.type for entity in sample.gold.entities)
            self.labels.update(relation.label for relation in sample.gold.relations)
        else:
            self.mentions += len(sample.mentions) + len(sample.regions)
            self.relations += sample.gold is not None
            self.labels["(no gold)" if sample.gold is None else sample.gold.label] += 1

    def figures(self) -> dict[str, int]:
        """samples, mentions, relations, then every label and every type by its name."""
        whole = {"samples": self.samples, "mentions": self.mentions}
        whole |= {"relations": self.relations} if self.relations else {}
        return whole | dict(self.labels.most_common()) | dict(self.types.most_common())


def prepare_split(
    rows: Iterable[Sample | Reject],
    out: Path,
    pictures: Pictures,
    *,
    on_row: Callable[[], object] = lambda: None,
) -> tuple[Counts, list[Reject]]:
    """Writes the samples to `out`; returns what it holds and every line that could not become a sample."""
    counts, rejects = Counts(), list[Reject]()

    def samples() -> Iterator[Sample]:
        for row in rows:
            on_row()
            kept = pictures.check(row) if isinstance(row, Sample) else row
            if isinstance(kept, Reject):
                rejects.append(kept)
            else:
                counts.add(kept)
                yield kept

    write_records(out, samples())
    return counts, rejects


class Pictures:
    """Opens each picture once, under `root`; a sample whose picture cannot be used becomes a Reject.

    Where not even the folder of a split's pictures is there, none of them can be checked: its samples stay, and
    `unchecked` names the folder. That is so of folders below the root alone: a path that leaves the root, or is none,
    is refused wherever it leads.
    """

    def __init__(self, root: Path, *, skip: bool = False) -> None:
        self.root, self.skip = root, skip
        self.faults: dict[str, tuple[str, str] | None] = {}
        self.unchecked: set[str] = set()
        self.seen = False  # a sample with a picture

    @property
    def opened(self) -> int:
        """Pictures that were looked at, those of unchecked folders apart."""
        return sum(Path(name).parent.as_posix() not in self.unchecked for name in self.faults)

    @property
    def usable(self) -> int:
        """Those of them that can be used."""
        return sum(fault is None for fault in self.faults.values())

    def check(self, sample: Sample) -> Sample | Reject:
        """The sample itself, or why its picture cannot be used (a reason of `morerl.images`)."""
        self.seen |= sample.image is not None
        if sample.image is None or self.skip:
            return sample
        if sample.image not in self.faults:
            self.faults[sample.image] = self._fault(sample.image)
        fault = self.faults[sample.image]
        folder = Path(sample.image).parent.as_posix()
        if fault is not None and fault[0] == "missing" and folder != "." and not (self.root / folder).is_dir():
            self.unchecked.add(folder)
            return sample
        if fault is None:
            return sample
        reason, detail = fault
        return Reject(file=sample.image, reason=reason, detail=f"{sample.id}: {detail}")

    def _fault(self, name: str) -> tuple[str, str] | None:
        try:
            open_image(self.root, name)
        except ImageError as error:
            return error.reason, str(error)
        return None


@dataclass(kw_only=True)
class Published:
    """The counts on record for a corpus: split (or several, joined by +) -> figure -> count."""

    source: str = ""
    splits: dict[str, dict[str, int]] = field(default_factory=dict)


def published(corpus: str) -> Published:
    """What is on record for the corpus; nothing where nothing is."""
    path = COUNTS / f"{corpus}.yaml"
    if not path.is_file():
        return Published()
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    splits = {}
    for split, figures in content["splits"].items():
        whole = {name: value for name, value in figures.items() if isinstance(value, int)}
        splits[split] = whole | figures.get("labels", {}) | figures.get("types", {})
    return Published(source=content["source"], splits=splits)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of one split beside what is on record."""

    split: str
    figure: str
    found: int
    published: int | None

    @property
    def differs(self) -> bool:
        """Whether a count is on record and is another."""
        return self.published is not None and self.published != self.found


def beside(found: dict[str, Counts], record: Published) -> list[Row]:
    """Every figure of every split found, and of joint splits on record, beside the count on record."""
    figures = {split: counts.figures() for split, counts in found.items()}
    for joint in record.splits:
        parts = joint.split("+")
        if len(parts) > 1 and all(part in found for part in parts):
            figures[joint] = dict(sum((Counter(figures[part]) for part in parts), Counter[str]()))
    rows = []
    for split, values in figures.items():
        on_record = record.splits.get(split, {})
        for figure in dict.fromkeys((*values, *on_record)):
            rows.append(Row(split=split, figure=figure, found=values.get(figure, 0), published=on_record.get(figure)))
    return rows
