"""Writes samples in the format of another tool: a Hugging Face dataset, Label Studio tasks, a brat folder.

    python tools/export_corpus.py data/more/{train,dev}.jsonl --to hf --guidelines more --image-root RAW --out OUT
    python tools/export_corpus.py data/more/dev.jsonl --to label_studio --guidelines more --out OUT
    python tools/export_corpus.py data/sem2010/dev.jsonl --to brat --guidelines sem2010 --out OUT

hf            datasets.load_from_disk(OUT): prompts and gold completions as TRL trains on them, pictures inside
label_studio  paste OUT/config.xml as the labelling interface, import OUT/<split>.json; pictures are served by
              Label Studio's local storage, whose document root must be the image root
brat          put OUT below brat's data folder; samples with boxes of a picture are refused

After annotating, tools/prepare_corpus.py reads each of the three back as a corpus of that name; the exit code is 0,
or 2 for input that cannot be used, and then OUT is not made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from morerl.errors import ConfigError, MorerlError
from morerl.guidelines import load_spec
from morerl.interchange import brat, hf, label_studio
from morerl.jsonl import read_samples
from morerl.schema import Sample

FORMATS = ("hf", "label_studio", "brat")


def main() -> int:
    """Returns the exit code: 0 well, 2 unusable input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="+", type=Path, help="files such as train.jsonl; a sample names its split")
    parser.add_argument("--to", choices=FORMATS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to make; it must not hold anything yet")
    parser.add_argument(
        "--guidelines", metavar="NAME|PATH", help="hf: needed for the prompts; else: offers every label to annotators"
    )
    parser.add_argument("--image-root", type=Path, metavar="DIR", help="folder that image paths are relative to")
    options = parser.parse_args()
    try:
        count = export(options)
    except MorerlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{count} samples in {options.out}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Writes the samples of all files as one export and returns their number."""
    spec = load_spec(options.guidelines) if options.guidelines else None
    samples = _samples(options.samples)
    if options.to == "brat":
        return brat.write(samples, options.out, spec)
    if options.to == "label_studio":
        return label_studio.write(samples, options.out, spec, image_root=options.image_root)
    if spec is None:
        raise ConfigError("hf writes prompts, which come from the guideline; say which with --guidelines NAME|PATH")
    return hf.write(samples, options.out, spec, image_root=options.image_root)


def _samples(paths: list[Path]) -> Iterator[Sample]:
    for path in paths:
        yield from read_samples(path)


if __name__ == "__main__":
    sys.exit(main())
