"""What two splits share: ids, pictures, whole samples. A test that a model has seen in training measures memory.

Left out on purpose: the same picture under two names, which would take reading every file once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from morerl.schema import Sample


@dataclass(kw_only=True)
class Seen:
    """What one split holds, in a form that takes little memory."""

    rows: dict[str, int] = field(default_factory=dict)  # id -> hash of everything but id and split
    pictures: set[str] = field(default_factory=set)  # their paths
    texts: set[int] = field(default_factory=set)  # hashes

    def add(self, sample: Sample) -> None:
        """Takes a sample in."""
        self.rows[sample.id] = hash(sample.model_dump_json(exclude={"id", "split"}))
        self.texts.add(hash(sample.text))
        if sample.image is not None:
            self.pictures.add(sample.image)


def seen(samples: Iterable[Sample]) -> Seen:
    """A split taken in as a whole."""
    found = Seen()
    for sample in samples:
        found.add(sample)
    return found


class Shared(NamedTuple):
    """What two splits have in common; of ids and pictures the least is told as an example."""

    one: str
    other: str
    ids: set[str]
    pictures: set[str]
    samples: int
    texts: int

    def problems(self) -> Iterator[str]:
        """A line where ids are shared."""
        if self.ids:
            yield (
                f"{len(self.ids)} sample ids stand in both {self.one} and {self.other}, e.g. {min(self.ids)!r}: "
                "an id must be one sample's alone"
            )

    def advice(self) -> Iterator[str]:
        """A line each where pictures or whole samples are shared."""
        between = f"stand in both {self.one} and {self.other}"
        if self.pictures:
            yield f"{len(self.pictures)} pictures {between}, e.g. {min(self.pictures)}: keep each in one of them"
        if self.samples:
            yield f"{self.samples} samples {between}, alike but for their id: a score measures memory"


def shared(found: Mapping[str, Seen]) -> Iterator[Shared]:
    """Every two splits that have something in common."""
    for (one, a), (other, b) in combinations(found.items(), 2):
        both = Shared(
            one,
            other,
            ids=a.rows.keys() & b.rows.keys(),
            pictures=a.pictures & b.pictures,
            samples=len({*a.rows.values()} & {*b.rows.values()}),
            texts=len(a.texts & b.texts),
        )
        if any(both[2:]):
            yield both
