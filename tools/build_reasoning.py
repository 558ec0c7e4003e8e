"""Builds reasoning data for SFT: a share of each label's train samples, explained and judged.

    python tools/build_reasoning.py configs/sem2010/tiny.yaml

Writes <run.dir>/reasoning.jsonl, and rejected.jsonl with the reason for each reject.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.progress import Progress

from morerl.config import load_settings
from morerl.errors import MorerlError
from morerl.jsonl import read_records
from morerl.schema import Reasoning
from morerl.teacher.build import run_teach


def main() -> int:
    """Returns the exit code: 0 well, 2 a problem the message explains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")
    options = parser.parse_args()
    try:
        settings = load_settings(options.config, options.overrides)
        with Progress() as progress:
            task = progress.add_task("teach", total=None)
            out = run_teach(settings, listener=lambda done, n: progress.update(task, completed=done, total=n))
    except MorerlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    kept = sum(1 for _ in read_records(out, Reasoning))
    rejected = Counter(row.reason for row in read_records(out.with_name("rejected.jsonl"), Reasoning))
    print(f"kept {kept} in {out}; rejected {rejected.total()}: {dict(rejected)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
