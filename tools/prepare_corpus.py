"""Reads a corpus as its users download it and writes train.jsonl, dev.jsonl, test.jsonl.

    python tools/prepare_corpus.py more RAW_DIR --out data/more
    python tools/prepare_corpus.py sem2010 RAW_DIR --out data/sem2010

A line that cannot be used is named in rejected.jsonl and makes the exit code 3, unless
--allow-rejects N permits that many.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from morerl.corpora import more, sem2010
from morerl.errors import MorerlError
from morerl.jsonl import write_records
from morerl.schema import Reject, Sample

CORPORA = {"more": more.read, "sem2010": sem2010.read}
SPLITS = ("train", "dev", "test")


def main() -> int:
    """Returns the exit code: 0 well, 2 unusable input, 3 rejects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("raw", type=Path, help="the folder as downloaded")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--allow-rejects", type=int, default=0, metavar="N")
    options = parser.parse_args()
    try:
        rejects = prepare(options.corpus, options.raw, options.out)
    except MorerlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for reject in rejects[:5]:
        print(f"rejected {reject.file}:{reject.line}: {reject.reason}: {reject.detail}", file=sys.stderr)
    if len(rejects) > options.allow_rejects:
        print(f"{len(rejects)} lines rejected, see {options.out / 'rejected.jsonl'}", file=sys.stderr)
        return 3
    return 0


def prepare(corpus: str, raw: Path, out: Path) -> list[Reject]:
    """Writes every split and rejected.jsonl, prints a table, returns the rejects."""
    rejects: list[Reject] = []
    for split in SPLITS:
        rows = list(CORPORA[corpus](raw, split))
        samples = [row for row in rows if isinstance(row, Sample)]
        rejects += [row for row in rows if isinstance(row, Reject)]
        write_records(out / f"{split}.jsonl", samples)
        _print_counts(split, samples)
    write_records(out / "rejected.jsonl", rejects)
    return rejects


def _print_counts(split: str, samples: list[Sample]) -> None:
    pictures = len({sample.image for sample in samples if sample.image})
    print(f"{split:<6}{len(samples):>7} samples{f', {pictures} pictures' if pictures else ''}")
    labels = Counter(sample.gold.label if sample.gold else "(no gold)" for sample in samples)
    for label, count in labels.most_common():
        print(f"       {count:>6}  {100 * count / len(samples):5.1f} %  {label}")


if __name__ == "__main__":
    sys.exit(main())
