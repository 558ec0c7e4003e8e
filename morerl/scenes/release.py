"""Writes scenes to disk in MORE's own release format, and beside it the world's own record.

<dir>/txt/{train,valid,test}.txt     one Python dict literal a line
<dir>/img_org/{train,valid,test}/    the pictures
<dir>/rel2id.json                    the 21 labels
<dir>/scenes.jsonl                   one Scene a line: what the demo's teacher knows
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from morerl.corpora.more import FILES
from morerl.guidelines import load_spec
from morerl.jsonl import write_json, write_records, write_text
from morerl.scenes.draw import draw
from morerl.scenes.world import Scene, make_scene, relation
from morerl.schema import Box


def write_release(out: Path, *, scenes: dict[str, int], seed: int) -> None:
    """Writes as many scenes a split (train, dev, test) as asked; no title occurs in two scenes.

    Every (figure, actor) pair is one fact. Byte-identical for the same arguments and Pillow version.
    """
    world: list[Scene] = []
    titles: set[str] = set()
    for split, count in scenes.items():
        rng = random.Random(f"{seed}/{split}")  # a split does not change when another one grows
        of_split = list(_distinct(split, count, rng, titles))
        world += _write_split(out, split, of_split, rng)
    write_records(out / "scenes.jsonl", world)
    write_json(out / "rel2id.json", {name: i for i, name in enumerate(load_spec("more").answers)})


def _distinct(split: str, count: int, rng: random.Random, titles: set[str]) -> Iterator[Scene]:
    made = 0
    while made < count:
        scene = make_scene(f"{split}{made:06d}", split, rng)
        if scene.title not in titles:
            titles.add(scene.title)
            made += 1
            yield scene


def _write_split(out: Path, split: str, scenes: list[Scene], rng: random.Random) -> list[Scene]:
    """Writes pictures and facts; returns the scenes with their boxes."""
    folder = out / "img_org" / FILES[split]
    folder.mkdir(parents=True, exist_ok=True)
    lines, drawn = [], []
    for scene in scenes:
        image, boxes = draw(scene.figures, rng)
        image.save(folder / f"{scene.id}.png", format="PNG")
        lines += [repr(row) + "\n" for row in _rows(scene, boxes)]
        drawn.append(scene.model_copy(update={"boxes": tuple(boxes)}))
    write_text(out / "txt" / f"{FILES[split]}.txt", lines)
    return drawn


def _rows(scene: Scene, boxes: list[Box]) -> Iterator[dict[str, object]]:
    tokens = re.findall(r"\w+|[^\w\s]", scene.title)
    for number, (figure, box) in enumerate(zip(scene.figures, boxes, strict=True)):
        for actor in scene.actors:
            words = actor.name.split()
            start = next(i for i in range(len(tokens)) if tokens[i : i + len(words)] == words)
            yield {
                "img_id": f"{scene.id}.png",
                "text": scene.title,
                "token": tokens,
                "h": {"name": words, "pos": [start, start + len(words)]},
                "t": {"name": f"[OBJ{number}]", "pos": _centred(box)},
                "relation": relation(scene, figure, actor),
            }


def _centred(box: Box) -> tuple[str, ...]:
    """(cx, cy, w, h) as strings of six decimals, the way the release has them."""
    x1, y1, x2, y2 = box
    return tuple(f"{value:.6f}" for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1))
