"""What a scene is, and which relations hold in it.

A title tells who wears which colour and what they do; the picture shows coloured figures, flags and
halls. A colour alone means nothing, and a title alone does not say what the box holds: every
relation needs both. Easy facts read one colour off the title (`alternate_names`); harder ones take a
second step (the other team of a match; the prize, if the colour is its winner's).
Left out: everything about pixels (draw.py) and files (release.py).
"""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field

from morerl.schema import Box, Frozen

COLOURS = ("red", "blue", "green", "yellow", "purple", "pink")
TEAMS = ["Lions", "Bears", "Hawks", "Wolves", "Tigers", "Sharks", "Ravens", "Foxes"]
PEOPLE = ["Hale", "Moreno", "Okafor", "Lindqvist", "Tanaka", "Duarte", "Novak", "Petrov", "Amari", "Keller"]
CITIES = ["Norwick", "Alderby", "Castova", "Marlow", "Tresk", "Brenholm", "Vasto", "Quillan"]
EVENTS = ("Alder Cup", "Harbor Games", "Winter Derby", "Unity March")
PRIZES = ("Orion Prize", "Laurel Medal", "Golden Quill", "Meridian Award")

Kind = Literal["match", "joint", "award", "pair"]
Shape = Literal["person", "coach", "flag", "hall", "ball"]
TYPES: dict[Shape, str] = {"person": "per", "coach": "per", "flag": "org", "hall": "loc", "ball": "misc"}


class Figure(Frozen):
    """One thing in the picture."""

    shape: Shape
    colour: str = Field(description="shirt, cloth or roof; a ball is always grey")


class Actor(Frozen):
    """One entity of the title, with what the title says of it."""

    name: str
    type: Literal["per", "org", "loc", "misc"]
    colour: str | None = Field(default=None, description="the colour the title gives it")
    role: str = Field(description="what it is in this kind of title, e.g. winner, home, prize")


class Scene(Frozen):
    """One picture and its title; one line of scenes.jsonl."""

    id: str
    split: str
    kind: Kind
    title: str
    actors: tuple[Actor, ...]
    clash: bool = Field(default=False, description="for `pair`: the two are opponents")
    figures: tuple[Figure, ...]
    boxes: tuple[Box, ...] = Field(default=(), description="where the figures were drawn, in their order")


def make_scene(id_: str, split: str, rng: random.Random) -> Scene:
    """A random scene; the same rng state gives the same scene."""
    kind = rng.choice(list(TITLES))
    title, actors, extra = TITLES[kind](rng)
    colours = {actor.colour: actor for actor in actors if actor.colour}
    figures = tuple(_figure(kind, colours, rng) for _ in range(rng.randint(2, 4)))
    return Scene(id=id_, split=split, kind=kind, title=title, actors=actors, figures=figures, **extra)


def _figure(kind: Kind, colours: dict[str, Actor], rng: random.Random) -> Figure:
    """A thing that plays a part in the title (half the time), a look-alike, or a stranger."""
    draw = rng.random()
    if draw < 0.08:
        return Figure(shape="ball", colour="grey")
    wearer = rng.choice(list(colours))
    teams = colours[wearer].type == "org"
    if draw < 0.60:
        return Figure(shape=rng.choice(("person", "person", "coach", "flag") if teams else ("person",)), colour=wearer)
    if draw < 0.72:  # the right colour on the wrong thing
        return Figure(shape="hall" if teams else rng.choice(("flag", "hall")), colour=wearer)
    stranger = rng.choice([colour for colour in COLOURS if colour not in colours])
    return Figure(shape=rng.choice(("person", "person", "coach", "flag", "hall")), colour=stranger)


def _match(rng: random.Random) -> tuple[str, tuple[Actor, ...], dict[str, object]]:
    (a, b), (red, blue), city = rng.sample(TEAMS, 2), rng.sample(COLOURS, 2), rng.choice(CITIES)
    verb = rng.choice(("beat", "face", "hold"))
    title = f"{a} in {red} {verb} {b} in {blue} at {city}"
    actors = (
        Actor(name=a, type="org", colour=red, role="team"),
        Actor(name=b, type="org", colour=blue, role="team"),
        Actor(name=city, type="loc", role="place"),
    )
    return title, actors, {}


def _joint(rng: random.Random) -> tuple[str, tuple[Actor, ...], dict[str, object]]:
    (a, b), (red, blue), event = rng.sample(TEAMS, 2), rng.sample(COLOURS, 2), rng.choice(EVENTS)
    verb = rng.choice(("join", "open", "attend"))
    title = f"{a} in {red} and {b} in {blue} {verb} the {event}"
    actors = (
        Actor(name=a, type="org", colour=red, role="team"),
        Actor(name=b, type="org", colour=blue, role="team"),
        Actor(name=event, type="misc", role="event"),
    )
    return title, actors, {}


def _award(rng: random.Random) -> tuple[str, tuple[Actor, ...], dict[str, object]]:
    (p, q), (red, blue), prize = rng.sample(PEOPLE, 2), rng.sample(COLOURS, 2), rng.choice(PRIZES)
    winner = Actor(name=p, type="per", colour=red, role="winner")
    guest = Actor(name=q, type="per", colour=blue, role="guest")
    actors = (winner, guest, Actor(name=prize, type="misc", role="prize"))
    if rng.random() < 0.5:
        return f"{p} in {red} wins the {prize} as {q} in {blue} looks on", actors, {}
    return f"As {q} in {blue} looks on, {p} in {red} takes the {prize}", (guest, winner, actors[2]), {}


def _pair(rng: random.Random) -> tuple[str, tuple[Actor, ...], dict[str, object]]:
    (p, q), (red, blue), event = rng.sample(PEOPLE, 2), rng.sample(COLOURS, 2), rng.choice(EVENTS)
    clash = rng.random() < 0.5
    verb = rng.choice(("fights", "sues", "blocks") if clash else ("joins", "backs", "helps"))
    ending = rng.choice(("before", "after"))
    title = f"{p} in {red} {verb} {q} in {blue} {ending} the {event}"
    actors = (
        Actor(name=p, type="per", colour=red, role="one"),
        Actor(name=q, type="per", colour=blue, role="one"),
        Actor(name=event, type="misc", role="date"),
    )
    return title, actors, {"clash": clash}


TITLES = {"match": _match, "joint": _joint, "award": _award, "pair": _pair}


def owner(scene: Scene, figure: Figure) -> Actor | None:
    """The actor of the title that the figure belongs to by its colour, if its shape can."""
    actor = next((a for a in scene.actors if a.colour == figure.colour), None)
    if actor is None or figure.shape in ("hall", "ball"):
        return None
    return None if actor.type == "per" and figure.shape == "flag" else actor


def relation(scene: Scene, figure: Figure, target: Actor) -> str:
    """The label that holds between a figure of the picture and an actor of the title."""
    mine = owner(scene, figure)
    if mine is None:
        return "none"
    if mine is target:
        return _own(figure, target)
    return RULES[scene.kind](scene, figure, mine, target)


def _own(figure: Figure, target: Actor) -> str:
    if target.type == "per":
        return "/per/per/alternate_names"
    shapes = {"flag": "/org/org/alternate_names", "coach": "/per/org/leader_of"}
    return shapes.get(figure.shape, "/per/org/member_of")


def _match_rule(scene: Scene, figure: Figure, mine: Actor, target: Actor) -> str:
    person = figure.shape in ("person", "coach")
    return "/per/org/opposed_to" if person and target.type == "org" else "none"


def _joint_rule(scene: Scene, figure: Figure, mine: Actor, target: Actor) -> str:
    if target.role != "event":
        return "none"
    return "/org/misc/present_in" if figure.shape == "flag" else "/per/misc/present_in"


def _award_rule(scene: Scene, figure: Figure, mine: Actor, target: Actor) -> str:
    return "/per/misc/awarded" if mine.role == "winner" and target.role == "prize" else "none"


def _pair_rule(scene: Scene, figure: Figure, mine: Actor, target: Actor) -> str:
    if target.type != "per":
        return "none"
    return "/per/per/opponent" if scene.clash else "/per/per/partner"


RULES = {
    "match": _match_rule,
    "joint": _joint_rule,
    "award": _award_rule,
    "pair": _pair_rule,
}
