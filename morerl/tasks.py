"""What a run asks, of one corpus or of several: a sample's task, where its pictures are, the samples of a split.

Of one corpus the task is always the same, whatever a sample says of its corpus; the name of that corpus is "". Of
several (data.corpora) a sample's `corpus` says which is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from morerl.data_settings import ALONE
from morerl.errors import ConfigError, DataError
from morerl.guidelines import guideline_file, load_spec
from morerl.jsonl import read_samples
from morerl.runs import how_to_make
from morerl.schema import Sample
from morerl.settings import Settings
from morerl.task import TaskSpec


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One corpus of a run."""

    spec: TaskSpec
    guidelines: str  # the name or path that `spec` was read from
    dir: Path
    image_root: Path | None = None

    def file(self, split: str) -> Path:
        """Where the samples of a split are."""
        return self.dir / f"{split}.jsonl"


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """The corpora of a run by name; ALONE is the name of the one that has no other beside it."""

    corpora: Mapping[str, Corpus]
    limit: int | None = None  # samples of a split that are read of each

    @property
    def limited(self) -> str:
        """For messages: that data.limit leaves samples out, if it does."""
        return f", of which data.limit = {self.limit} reads the first" if self.limit is not None else ""

    def name(self, sample: Sample) -> str:
        """The name of the sample's corpus."""
        return ALONE if ALONE in self.corpora else sample.corpus

    def spec(self, sample: Sample) -> TaskSpec:
        """What may be answered to the sample."""
        return self.corpora[self.name(sample)].spec

    def image_root(self, sample: Sample) -> Path | None:
        """The folder that the path of the sample's picture is relative to."""
        return self.corpora[self.name(sample)].image_root

    def files(self, split: str) -> list[Path]:
        """The files that the split is read from."""
        return [corpus.file(split) for corpus in self.corpora.values()]

    def guidelines(self) -> list[Path]:
        """The files of the guidelines: what a stage makes hangs on them as on its samples."""
        return [guideline_file(corpus.guidelines) for corpus in self.corpora.values()]

    def read(self, split: str) -> list[Sample]:
        """The samples of a split, corpus by corpus.

        Raises DataError as `read_samples`, for a sample of another corpus than the one it lies in, and for an id that
        two corpora have.
        """
        found: dict[str, Sample] = {}
        for name, corpus in self.corpora.items():
            path = corpus.file(split)
            if not path.is_file():
                raise DataError(f"cannot read {path}: no such file; {how_to_make(path)}")
            for sample in read_samples(path, limit=self.limit):
                self._check(sample, name, found.get(sample.id), path)
                found[sample.id] = sample
        return list(found.values())

    def by_corpus(self, samples: Iterable[Sample]) -> dict[str, list[Sample]]:
        """The samples of each corpus, in the order given; a corpus without any is there too."""
        apart: dict[str, list[Sample]] = {name: [] for name in self.corpora}
        for sample in samples:
            apart[self.name(sample)].append(sample)
        return apart

    def only(self, who: str) -> Corpus:
        """The one corpus, for what works on one at a time. Raises ConfigError naming `who` where there are several."""
        if ALONE not in self.corpora:
            raise ConfigError(
                f"{who} works on one corpus at a time, and data.corpora has {', '.join(self.corpora)}: "
                "give the config of one of them, with data.dir and data.guidelines"
            )
        return self.corpora[ALONE]

    def _check(self, sample: Sample, name: str, other: Sample | None, path: Path) -> None:
        if self.name(sample) != name:
            raise DataError(
                f"{path}: {sample.id!r} says that its corpus is {sample.corpus!r}, and stands under data.corpora.{name}"
                f": call it {sample.corpus} there, or prepare the corpus again with --name {name}"
            )
        if other is not None:
            raise DataError(
                f"{path}: the id {sample.id!r} is taken by the corpus {other.corpus}; "
                f"ids must be unique over the corpora of a run: write e.g. {name}/{sample.id}"
            )


def alone(spec: TaskSpec, image_root: Path | None = None) -> Tasks:
    """One task for all samples, which no file is read for."""
    return Tasks(corpora={ALONE: Corpus(spec=spec, guidelines="", dir=Path(), image_root=image_root)})


def load_tasks(settings: Settings) -> Tasks:
    """The corpora of the settings, their guidelines read. Raises ConfigError and DataError as `load_spec` does."""
    corpora = {
        name: Corpus(spec=load_spec(one.guidelines), guidelines=one.guidelines, dir=one.dir, image_root=one.image_root)
        for name, one in settings.data.each.items()
    }
    return Tasks(corpora=corpora, limit=settings.data.limit)
