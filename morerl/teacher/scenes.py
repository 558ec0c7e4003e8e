"""The drawn world's teacher: a server on this machine that explains scenes in MORE-R1's six steps from their record.

It stands where any endpoint stands and is asked, paid, kept and judged the same way. It knows a sample by the very
messages it is shown. Like any teacher it is not always right: a seeded few of its replies carry a fault, so that the
gates have something to catch.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from morerl.errors import ConfigError, DataError
from morerl.jsonl import read_records
from morerl.partial import fingerprint
from morerl.prompts.render import render_completion
from morerl.scenes.world import TYPES, Actor, Figure, Scene, relation
from morerl.schema import Mention, Region, Sample
from morerl.settings import Settings
from morerl.task import TaskSpec
from morerl.teacher.plan import SCENES
from morerl.teacher.requests import ask_about, body, request

FAULTS = 0.02


@contextmanager
def serve(samples: Sequence[Sample], spec: TaskSpec, settings: Settings) -> Iterator[str]:
    """The address of the endpoint to ask: the settings' own, or that of a server for these samples, while it lasts.

    Raises ConfigError where the scenes' record is not at hand.
    """
    if settings.teach.endpoint != SCENES:
        yield str(settings.teach.endpoint)
        return
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(_replies(samples, spec, settings)))
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1"
    finally:
        http.shutdown()
        http.server_close()


def _replies(samples: Sequence[Sample], spec: TaskSpec, settings: Settings) -> dict[str, str]:
    """What is answered to which messages, by their fingerprint."""
    root = settings.data.image_root
    if root is None or not (root / "scenes.jsonl").is_file():
        raise ConfigError("teach.endpoint = scenes needs data.image_root to be a folder made by tools/draw_scenes.py")
    scenes = {scene.id: scene for scene in read_records(root / "scenes.jsonl", Scene)}
    replies = {}
    for sample in samples:
        question = ask_about(sample, spec, settings)
        messages = body(question, request(sample, question.prompt_hash, settings, spec, 0))["messages"]
        replies[fingerprint(messages)] = reply(sample, scenes, spec, seed=settings.run.seed)
    return replies


def _handler(replies: dict[str, str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body go out in two writes

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = replies[fingerprint(asked["messages"])]
            data = json.dumps(_choice(text, asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler


def _choice(text: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The reply in OpenAI's form. A token is a word here."""
    shown = sum(len(block.get("text", "").split()) for one in asked["messages"] for block in one["content"])
    written = len(text.split())
    return {
        "object": "chat.completion",
        "model": SCENES,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": shown, "completion_tokens": written, "total_tokens": shown + written},
    }


def reply(sample: Sample, scenes: dict[str, Scene], spec: TaskSpec, *, seed: int) -> str:
    """The six steps and the answer for one sample; rarely with a fault."""
    think, answer = explain(*_look(sample, scenes), spec)
    rng = random.Random(f"{seed}/{sample.id}")
    if rng.random() < FAULTS:
        think, answer = _spoil(think, answer, rng)
    return render_completion(think, answer)


def _look(sample: Sample, scenes: dict[str, Scene]) -> tuple[Scene, Figure, Actor]:
    """The figure and actor a sample asks about: the figure drawn where the box is, the actor so named."""
    scene = scenes.get(Path(sample.image or "").stem)
    region, mention = sample.argument(sample.head), sample.argument(sample.tail)
    if scene is None or not isinstance(region, Region) or not isinstance(mention, Mention):
        raise DataError(f"{sample.id}: scenes.jsonl knows no picture {sample.image!r}; draw and prepare anew")
    distances = [sum(abs(a - b) for a, b in zip(region.box, drawn, strict=True)) for drawn in scene.boxes]
    figure = scene.figures[distances.index(min(distances))]
    return scene, figure, next(actor for actor in scene.actors if actor.name == mention.text)


def explain(scene: Scene, figure: Figure, actor: Actor, spec: TaskSpec) -> tuple[str, str]:
    """Reasoning in six steps, and the label.

    Terse, for a model of a million weights. Step 3 walks through the title's actors, one comparison
    a word.
    """
    label = relation(scene, figure, actor)
    candidates = spec.allowed(TYPES[figure.shape], actor.type)
    steps = (
        f"a {figure.shape} in {figure.colour}.",
        f"{_event(scene)}.",
        ", ".join(_compare(other, figure, actor) for other in scene.actors) + ".",
        f"{TYPES[figure.shape]} and {actor.type}.",
        ", ".join(_short(name) for name in candidates) + ".",
        f"{_short(label)}.",
    )
    return "\n".join(f"Step {number}: {text}" for number, text in enumerate(steps, 1)), label


def _event(scene: Scene) -> str:
    if scene.kind == "award":
        return f"a prize for the {'first' if scene.actors[0].role == 'winner' else 'second'}"
    if scene.kind == "pair":
        return "a clash" if scene.clash else "an alliance"
    return {"match": "a match of teams", "joint": "an event of teams"}[scene.kind]


def _compare(other: Actor, figure: Figure, asked: Actor) -> str:
    """Is its colour the one seen? With that, is it the one seen, the one asked about, both or neither?"""
    seen = other.colour == figure.colour
    verdict = ("both" if seen else "asked") if other is asked else ("seen" if seen else "no")
    colour = f"{other.colour} {'yes' if seen else 'no'} " if other.colour else ""
    return f"{colour}{other.name} {verdict}"


def _short(label: str) -> str:
    return label.rpartition("/")[2]


def _spoil(think: str, answer: str, rng: random.Random) -> tuple[str, str]:
    fault = rng.choice(("label", "leak", "step"))
    if fault == "label":
        return think, "none" if answer != "none" else "/per/misc/party"
    if fault == "leak":
        return think + " This agrees with the gold answer.", answer
    return think.replace("Step 4: ", ""), answer
