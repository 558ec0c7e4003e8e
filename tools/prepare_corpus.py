"""Reads a corpus as its users have it and writes one <split>.jsonl of samples for each of its splits.

    python tools/prepare_corpus.py more RAW_DIR --out data/more

FORMAT is how the files are written:
  more          MORE's release: txt/{train,valid,test}.txt, img_org/; with or without side files and rel2id.json
  mnre, umre    MNRE (both arguments in the text, a picture beside it), and UMRE's variant of MORE
  sem2010       SemEval-2010 Task 8: TRAIN_FILE.TXT, TEST_FILE_FULL.TXT
  scier         SciER: LLM/ and PLM/, or either
  bio           any column file, a token and its tag a line: BIO, IOB1, IO, IOBES, BILOU (WNUT-17, CrossNER, CoNLL-2003)
  mrc           BERT-MRC's JSON: mrc-ner.{train,dev,test}
  jsonl         samples as written here
  hf, label_studio, brat   what tools/export_corpus.py writes, or those tools themselves

The table shows what was found beside the published counts: = the same, != another. A line that cannot be used is
named with its reason in rejected.jsonl, and makes the exit code 3, unless --allow-rejects N permits that many.
Every picture is opened once; one that is missing, cut short, animated or too large rejects its samples.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from morerl.bars import row_bar
from morerl.corpora import bio, jsonl, more, mrc, scier, sem2010
from morerl.corpora.prepare import Counts, Pictures, Row, beside, prepare_split, published
from morerl.corpora.shared import shared
from morerl.errors import ConfigError, DataError, MorerlError
from morerl.interchange import SPLIT, brat, hf, label_studio
from morerl.jsonl import write_json, write_records
from morerl.schema import Reject, Sample
from morerl.terminal import counts_table, say

FORMATS = {
    "more": more,
    "mnre": more,
    "umre": more,
    "sem2010": sem2010,
    "scier": scier,
    "bio": bio,
    "mrc": mrc,
    "jsonl": jsonl,
    "hf": hf,
    "label_studio": label_studio,
    "brat": brat,
}
UNNAMED = ("bio", "mrc", "label_studio", "brat")  # formats of many corpora


def main() -> int:
    """Returns the exit code: 0 well, 2 unusable input, 3 rejects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("raw", type=Path, help="the folder as downloaded")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--name", help="the corpus, e.g. wnut17 (default: by its types, or the folder's name)")
    parser.add_argument("--image-root", type=Path, help="folder that picture paths are relative to (default: RAW)")
    parser.add_argument("--skip-pictures", action="store_true", help="do not open the pictures")
    parser.add_argument("--allow-rejects", type=int, default=0, metavar="N", help="exit with 0 for up to N rejects")
    options = parser.parse_args()
    try:
        rejects = prepare(options)
    except (MorerlError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _name_rejects(rejects, options.out)
    return 3 if len(rejects) > options.allow_rejects else 0


def prepare(options: argparse.Namespace) -> list[Reject]:
    """Writes every split and rejected.jsonl, prints the table, returns the rejects."""
    _check_folders(options)
    reader, name = FORMATS[options.format], options.name or _name(options)
    pictures = Pictures(options.image_root or options.raw, skip=options.skip_pictures)
    found: dict[str, Counts] = {}
    rejects: dict[Reject, None] = {}  # a bad line of a file that two splits come from is told by both
    for split in _splits(reader, options.raw):
        with row_bar(split) as on_row:
            rows = reader.read(options.raw, split, corpus=name)
            if options.name:  # the samples of some formats bring a name of their own
                rows = (row.model_copy(update={"corpus": name}) if isinstance(row, Sample) else row for row in rows)
            found[split], bad = prepare_split(rows, options.out / f"{split}.jsonl", pictures, on_row=on_row)
        rejects |= dict.fromkeys(bad)
    write_records(options.out / "rejected.jsonl", rejects)
    image_root = str(pictures.root.resolve()) if pictures.seen else None
    write_json(options.out / "corpus.json", {"corpus": name, "format": options.format, "image_root": image_root})
    record = published(name)
    _show(name, beside(found, record), record.source, pictures)
    _say_more(reader, name, options, found)
    return list(rejects)


def _check_folders(options: argparse.Namespace) -> None:
    if options.out.resolve() == options.raw.resolve():
        raise ConfigError(f"--out {options.out} is the folder that is read; name another, or its files would be lost")
    if options.image_root is not None and not options.image_root.is_dir():
        raise ConfigError(f"--image-root {options.image_root} is no folder")


def _name(options: argparse.Namespace) -> str:
    if options.format not in UNNAMED:
        return options.format
    return bio.guess_corpus(options.raw) if options.format == "bio" else options.raw.resolve().name


def _splits(reader: Any, raw: Path) -> tuple[str, ...]:
    splits = reader.splits(raw)
    bad = next((split for split in splits if not SPLIT.fullmatch(split) or split == "rejected"), None)
    if bad is not None:
        raise DataError(f"{raw}: a split cannot be called {bad!r}; want letters, digits, - and _, and not `rejected`")
    return splits


def _say_more(reader: Any, name: str, options: argparse.Namespace, found: dict[str, Counts]) -> None:
    """What the reader tells of the files, what two splits share, what is old.

    A split without a sample is an error, and so is an id in two splits.
    """
    if hasattr(reader, "notes"):
        for line in reader.notes(options.raw, name):
            say(line)
    common = list(shared({split: counts.seen for split, counts in found.items()}))
    for both in common:
        if both.texts:
            say(f"{both.texts} texts stand in both {both.one} and {both.other}; they are kept")
        for line in both.advice():
            say(f"advice: {line}")
    for stale in sorted(options.out.glob("*.jsonl")):
        if stale.stem not in (*found, "rejected"):
            say(f"{stale} is from another time; this run did not write it")
    if empty := [split for split, counts in found.items() if not counts.samples]:
        raise DataError(f"{options.raw}: no sample in {', '.join(empty)}; is the file whole, and of the format?")
    if problems := [line for both in common for line in both.problems()]:
        raise DataError("\n  ".join(problems))


def _show(name: str, rows: list[Row], source: str, pictures: Pictures) -> None:
    counts_table(f"{name}: found, and = or != what is on record", rows)
    differing = [row for row in rows if row.differs]
    if source:
        say(f"on record: {source}")
        say(f"{len(differing)} counts differ" if differing else "every count on record is met")
    for row in differing:
        say(f"  differs: {row.split} {row.figure}: found {row.found}, published {row.published}")
    if pictures.opened:
        say(f"pictures: {pictures.usable} of {pictures.opened} can be used")
    for folder in sorted(pictures.unchecked):
        say(f"pictures not checked: there is no folder {pictures.root / folder}; put them there before training")


def _name_rejects(rejects: list[Reject], out: Path) -> None:
    if not rejects:
        return
    for reject in rejects[:5]:
        where = f"{reject.file}:{reject.line}" if reject.line else reject.file
        print(f"rejected {where}: {reject.reason}: {reject.detail}", file=sys.stderr)
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(row.reason for row in rejects).most_common())
    if any(row.reason == "missing" for row in rejects):
        print("pictures elsewhere? Give --image-root DIR, or --skip-pictures", file=sys.stderr)
    print(f"{len(rejects)} lines rejected ({reasons}), see {out / 'rejected.jsonl'}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
