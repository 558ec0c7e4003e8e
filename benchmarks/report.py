"""How long a report of thousands of samples takes to write and to open, and how large it is: assets/results/report.md.

    OMP_NUM_THREADS=1 python -m benchmarks.report

Drawn titles, boxes and labels, in pictures of noise, which nothing compresses, each with four samples (MORE has about
five); two stages' answers with six steps of 120 words in all. Opened in headless Chromium: from the order to load the
file until the browser has answered a key by showing the second sample. Beside it an empty page, opened the same way.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from benchmarks.chromium import CHROMIUM, Chromium
from benchmarks.seeds import table
from morerl.config import dump_settings
from morerl.corpora import more
from morerl.evaluation import score_files
from morerl.jsonl import write_records
from morerl.prompts.render import render_completion
from morerl.report import write_report
from morerl.runs import metrics_file
from morerl.scenes.release import write_release
from morerl.schema import Prediction, Sample, label
from morerl.settings import Settings

SIZES = (1_000, 5_000, 20_000)
PLACE = "document.querySelector('.turn output')?.textContent"
EMPTY = "<!doctype html><title>nothing</title>"


def main() -> None:
    """Writes, opens and measures a report of each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=9, help="times that each is opened")
    parser.add_argument("--out", type=Path, default=Path("assets/results/report.md"))
    asked = parser.parse_args()
    if CHROMIUM is None:
        parser.error("needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        lines = list(measured(Path(folder), asked.samples, asked.rounds))
    asked.out.write_text(page(lines, asked.rounds), encoding="utf-8")
    print(asked.out.read_text(encoding="utf-8"))


def measured(folder: Path, sizes: list[int], rounds: int) -> Iterator[list[str]]:
    """A line of the table for the empty page, and for each size."""
    browser = Chromium(folder / "profile")
    try:
        (folder / "empty.html").write_text(EMPTY, encoding="utf-8")
        opened = [seconds(lambda: browser.visit((folder / "empty.html").as_uri())) for _ in range(rounds + 1)]
        yield ["an empty page", "", "", *spread(opened[1:])]
        for size in sizes:
            run, report = build(folder / f"{size}", size), folder / f"{size}.html"
            wrote = seconds(lambda run=run, out=report, size=size: write_report(run, out, max_samples=size))
            opened = [seconds(lambda out=report, size=size: show(browser, out, size)) for _ in range(rounds)]
            yield [f"{size:,}", f"{wrote:.1f}", f"{report.stat().st_size / 1e6:.1f}", *spread(opened)]
    finally:
        browser.close()


def show(browser: Chromium, report: Path, size: int) -> None:
    """Opens the file and goes to the second sample."""
    browser.open(report)
    browser.key("j")
    browser.until(f"{PLACE} === '2 of {size}'")


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(times: list[float]) -> list[str]:
    """Median, and the slowest."""
    return [f"{statistics.median(times):.2f}", f"{max(times):.2f}"]


def build(folder: Path, size: int) -> Path:
    """A run's folder with as many samples, answered by two stages and scored."""
    rng = random.Random(0)
    run, raw = folder / "run", folder / "raw"
    write_release(raw, scenes={"test": size // 8 + 1}, seed=0)
    samples = [
        one.model_copy(update={"image": f"noise/{number // 4}.jpg"})
        for number, one in enumerate(more.read(raw, "test"))
        if number < size
    ]
    assert len(samples) == size
    (raw / "noise").mkdir()
    for name in {str(one.image) for one in samples}:
        Image.effect_noise((640, 480), 80).save(raw / name, quality=80)
    write_records(folder / "data" / "test.jsonl", samples)
    for stage in ("sft", "grpo"):
        answers = run / "predictions" / f"{stage}.test.jsonl"
        write_records(answers, (answered(one, rng) for one in samples))
        score_files(folder / "data" / "test.jsonl", answers, "more", metrics_file(answers), draws=100)
    data = {"dir": str(folder / "data"), "image_root": str(raw), "guidelines": "more"}
    settings = Settings.model_validate({"run": {"dir": str(run)}, "data": data})
    (run / "config.yaml").write_text(dump_settings(settings), encoding="utf-8")
    (run / "run.json").write_text(json.dumps({"seed": 0}), encoding="utf-8")
    return run


def answered(sample: Sample, rng: random.Random) -> Prediction:
    """Six steps of made-up words, and the right answer three times in four."""
    steps = (" ".join(f"{rng.randrange(10**6):06x}" for _ in range(20)) for _ in range(6))
    think = "\n".join(f"Step {number}: {words}." for number, words in enumerate(steps, 1))
    answer = label(sample) if rng.random() < 0.75 else "/per/misc/awarded"
    return Prediction(id=sample.id, completions=(render_completion(think, answer),), answer=answer)


def page(lines: list[list[str]], rounds: int) -> str:
    """The markdown page."""
    heads = ["samples", "seconds to write", "MB", "seconds to open", "slowest"]
    return "\n".join(
        [
            "# A report of thousands of samples",
            "",
            "One html file, opened in headless Chromium until a key has brought the second sample. Pictures of noise, "
            f"four samples each, six steps of 120 words. Median and slowest of {rounds}.",
            "",
            *table(heads, lines),
            "",
            f"By `OMP_NUM_THREADS=1 python -m benchmarks.report` on a CPU ({platform.machine()}), "
            f"Python {platform.python_version()}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
