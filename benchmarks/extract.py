"""What reading common beginnings once saves: `morerl.models.together` with and without it, the same prompts in turn.

    OMP_NUM_THREADS=1 python -m benchmarks.extract --out assets/results/extract.md

The tiny Qwen2.5-VL of the demo with random weights, fp32 and greedy; three kinds of record: all pairs of one picture of
400 tokens with MORE's long prompt; the same with the demo's short prompt; sentences by SciER's
guideline, without a picture. CPU seconds of this process, which others on the machine do not lengthen much.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from morerl.extract.questions import questions
from morerl.extract.record import read_record
from morerl.extract.wanted import wanted
from morerl.images import boxes, view
from morerl.models.beginnings import alike
from morerl.models.chats import with_pictures
from morerl.models.load import Processing, load_model, load_processing
from morerl.models.reading import read
from morerl.models.tiny import build_tiny
from morerl.models.together import respond
from morerl.prompts.render import Messages, render
from morerl.settings import ImageSettings, ModelSettings, PromptSettings, TinySettings

TEXT = "Hale and Osei meet Lindqvist in Oslo after the talks about the Alder Cup"
MENTIONS = ["Hale", "Osei", "Lindqvist", "Oslo"]
BOXES = [[0.25 * n, 0.2, 0.25 * n + 0.2, 0.9] for n in range(4)]
SENTENCES = [f"In run {n} we train a graph encoder on {n + 3} thousand pages and measure its recall" for n in range(16)]
NEW = 48  # tokens an answer has: random weights never end one


class Timed(NamedTuple):
    """CPU seconds up to the first token of every answer, and to the last."""

    first: float
    all: float


def main() -> None:
    """Runs each kind both ways in turn and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build_tiny(Path(folder), [TEXT, *SENTENCES], TinySettings(vocab_size=1024), seed=0)
        processing, model = load_processing(folder), load_model(folder, ModelSettings())
    Image.effect_noise((1200, 900), 60).convert("RGB").save(picture := Path(tempfile.mkdtemp()) / "a.png")
    rows = []
    for name, chats in kinds(processing, picture).items():
        rows.append((name, chats, measured(model, processing, chats, asked.rounds)))
        print(name, rows[-1][2], flush=True)
    page = table(rows, processing, asked.rounds)
    print(page)
    if asked.out:
        asked.out.write_text(page, encoding="utf-8")


def kinds(processing: Processing, picture: Path) -> dict[str, list[Messages]]:
    """The prompts of each kind of record."""
    pairs = {"text": TEXT, "image": str(picture), "mentions": MENTIONS, "regions": BOXES}
    medium = ImageSettings(full_pixels=100_352, crop_pixels=50_176)
    small = ImageSettings(full_pixels=3072, crop_pixels=1024, min_side=16)
    brief, long = PromptSettings(template="stepwise_brief"), PromptSettings()
    return {
        "4 regions x 4 mentions, MORE's prompt": prompts([pairs], "more", medium, PromptSettings(), processing),
        "4 regions x 4 mentions, the demo's prompt": prompts([pairs], "more", small, brief, processing),
        "16 sentences, SciER's guideline": prompts(SENTENCES, "scier", small, long, processing),
    }


def prompts(
    records: list[Any], schema: str, images: ImageSettings, prompt: PromptSettings, processing: Processing
) -> list[Messages]:
    """The chats of all questions, a picture's parts fitted once."""
    out = []
    for raw in records:
        record = read_record(raw)
        spec, asked = questions(record, wanted(schema), 2000)
        samples = [question.sample for question in asked if question.sample is not None]
        whole = Image.open(record.image) if record.image else None
        parts = {
            box: view(whole, box, images, factor=processing.factor)
            for box in dict.fromkeys(box for sample in samples for box in boxes(sample, images))
            if whole is not None
        }
        for sample in samples:
            shown = [parts[box] for box in boxes(sample, images)] if parts else []
            out.append(with_pictures(render(sample, spec, prompt, images), shown))
    return out


def measured(model: Any, processing: Processing, chats: list[Messages], rounds: int) -> dict[bool, Timed]:
    """Medians, shared and alone; raises AssertionError where an answer differs."""
    times: dict[bool, list[Timed]] = {True: [], False: []}

    def ask(new: int, share: bool) -> Callable[[], list[str]]:
        return lambda: respond(model, processing, chats, max_new_tokens=new, batch_size=len(chats), share=share)

    assert ask(NEW, True)() == ask(NEW, False)(), "sharing changed an answer"
    for _ in range(rounds):
        for share, of in times.items():
            of.append(Timed(seconds(ask(1, share)), seconds(ask(NEW, share))))
    return {share: Timed(*map(statistics.median, zip(*of, strict=True))) for share, of in times.items()}


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def table(rows: list[tuple[str, list[Messages], dict[bool, Timed]]], processing: Processing, rounds: int) -> str:
    """The markdown page."""
    lines = []
    for name, chats, times in rows:
        keys = [prompt.key for prompt in read(chats, processing).prompts]
        once = sum(trunk + sum(len(keys[row]) - 1 - trunk for row in group) for group, trunk in alike(keys))
        alone, shared = times[False], times[True]
        figures = [f"{sum(map(len, keys)):,}", f"{once:,}"]
        for one, other in zip(alone, shared, strict=True):
            figures += [f"{one:.2f}", f"{other:.2f}", f"{one / other:.1f}"]
        lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join(
        [
            "# Common beginnings of prompts read once",
            "",
            f"{len(rows[0][1])} prompts at once, {NEW} tokens an answer, greedy, fp32; the same answers both ways.",
            f"CPU seconds, medians of {rounds} rounds in turn: until each answer has its first token, and its last.",
            "",
            "| record | prompt tokens | read | first: alone | shared | times | last: alone | shared | times |",
            "|---|---|---|---|---|---|---|---|---|",
            *lines,
            "",
            "MORE's prompt names head and tail before it lists the relations, so pairs share pictures and title alone.",
            "",
            f"By `OMP_NUM_THREADS=1 python -m benchmarks.extract` on a CPU ({platform.machine()}), no GPU, "
            f"Python {platform.python_version()}; the tiny Qwen2.5-VL of the demo, random weights.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
