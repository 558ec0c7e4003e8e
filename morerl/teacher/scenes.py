"""The demo's teacher: writes MORE-R1's six steps from the scene's own record.

It stands where an endpoint stands: it is shown the rendered messages, answers with text, and is
checked by the same gates. Like any teacher it is not always right: a seeded few of its replies
carry a fault, so that the gates have something to catch.
"""

from __future__ import annotations

import random
from pathlib import Path

from morerl.errors import DataError
from morerl.jsonl import read_records
from morerl.prompts.render import Messages, render_completion
from morerl.scenes.world import TYPES, Actor, Figure, Scene, relation
from morerl.schema import Sample
from morerl.task import TaskSpec
from morerl.teacher.reply import Reply

FAULTS = 0.02


class SceneTeacher:
    """Answers for samples of one release folder (see morerl.scenes.release)."""

    def __init__(self, release: Path, spec: TaskSpec, *, seed: int) -> None:
        self._scenes = {scene.id: scene for scene in read_records(release / "scenes.jsonl", Scene)}
        self._spec = spec
        self._seed = seed

    def __call__(self, sample: Sample, messages: Messages) -> Reply:
        """The six steps and the answer for one sample."""
        scene, figure, actor = self._look(sample)
        think, answer = explain(scene, figure, actor, self._spec)
        rng = random.Random(f"{self._seed}/{sample.id}")
        if rng.random() < FAULTS:
            think, answer = _spoil(think, answer, rng)
        text = render_completion(think, answer)
        return Reply(text=text, model="scenes", finish_reason="stop", usage={"completion_words": len(text.split())})

    def _look(self, sample: Sample) -> tuple[Scene, Figure, Actor]:
        """The figure and actor a sample asks about: the figure drawn where the box is, the actor so named."""
        scene = self._scenes.get(Path(sample.image or "").stem)
        if scene is None:
            raise DataError(f"{sample.id}: scenes.jsonl knows no picture {sample.image!r}; draw and prepare anew")
        name = sample.argument(sample.tail).text  # type: ignore[union-attr]
        box = sample.argument(sample.head).box  # type: ignore[union-attr]
        distances = [sum(abs(a - b) for a, b in zip(box, drawn, strict=True)) for drawn in scene.boxes]
        figure = scene.figures[distances.index(min(distances))]
        return scene, figure, next(actor for actor in scene.actors if actor.name == name)


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
