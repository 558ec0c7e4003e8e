"""Draws the embedded picture world in MORE's own release format.

python tools/draw_scenes.py --out data/scenes-raw --train 700 --dev 60 --test 150
python tools/prepare_corpus.py more data/scenes-raw --out data/scenes
"""

from __future__ import annotations

import argparse
from pathlib import Path

from morerl.scenes.release import write_release
from morerl.settings import DemoSettings


def main() -> None:
    """Writes the release folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    sizes = DemoSettings()
    for split in ("train", "dev", "test"):
        parser.add_argument(f"--{split}", type=int, default=getattr(sizes, split), help="scenes (pictures)")
    options = parser.parse_args()
    counts = {split: getattr(options, split) for split in ("train", "dev", "test")}
    write_release(options.out, scenes=counts, seed=options.seed)
    print(f"wrote {sum(counts.values())} scenes to {options.out}")


if __name__ == "__main__":
    main()
