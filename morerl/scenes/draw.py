"""Draws a scene: 192x144 pixels, figures side by side before a plain landscape.

Returns the boxes with the picture, as fractions. The same rng state gives the same bytes.
"""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

from morerl.scenes.world import Figure
from morerl.schema import Box

WIDTH, HEIGHT = 192, 144
RGB = {
    "red": (214, 32, 38),
    "blue": (38, 74, 214),
    "green": (28, 142, 60),
    "yellow": (246, 214, 42),
    "purple": (122, 44, 158),
    "orange": (246, 132, 22),
    "pink": (248, 140, 190),
    "brown": (118, 70, 34),
    "grey": (128, 128, 128),
}
SKIN = ((244, 208, 178), (198, 146, 106), (122, 82, 58))
SKY = ((206, 226, 242), (232, 224, 210), (220, 220, 230))
GROUND = ((168, 178, 150), (180, 170, 160), (150, 160, 170))

Area = tuple[int, int, int, int]


def draw(figures: tuple[Figure, ...], rng: random.Random) -> tuple[Image.Image, list[Box]]:
    """The picture and each figure's box (x1, y1, x2, y2 in fractions), in the order given."""
    image = Image.new("RGB", (WIDTH, HEIGHT), rng.choice(SKY))
    pen = ImageDraw.Draw(image)
    horizon = rng.randint(84, 104)
    pen.rectangle((0, horizon, WIDTH, HEIGHT), fill=rng.choice(GROUND))
    slot = WIDTH // len(figures)
    places = rng.sample(range(len(figures)), len(figures))
    boxes = []
    for figure, place in zip(figures, places, strict=True):
        area = _area(figure, place * slot, slot, rng)
        DRAWERS[figure.shape](pen, area, _shade(RGB[figure.colour], rng), rng)
        boxes.append(_box(area, rng))
    return image, boxes


def _area(figure: Figure, left: int, slot: int, rng: random.Random) -> Area:
    """Pixels the figure fills inside its slot."""
    height = {"ball": 22, "hall": 70, "flag": 72}.get(figure.shape, 76) + rng.randint(-6, 6)
    width = min(slot - 6, {"ball": 22, "hall": 60, "flag": 44}.get(figure.shape, 34) + rng.randint(-3, 3))
    x = left + 3 + rng.randint(0, max(0, slot - 6 - width))
    bottom = HEIGHT - rng.randint(4, 18)
    return x, bottom - height, x + width, bottom


def _shade(rgb: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    shift = rng.randint(-10, 10)
    return tuple(min(max(channel + shift, 0), 255) for channel in rgb)  # type: ignore[return-value]


def _box(area: Area, rng: random.Random) -> Box:
    """A slightly loose box, as annotators draw them."""
    x1, y1, x2, y2 = area
    return (
        max(x1 - rng.randint(0, 3), 0) / WIDTH,
        max(y1 - rng.randint(0, 3), 0) / HEIGHT,
        min(x2 + rng.randint(0, 3), WIDTH) / WIDTH,
        min(y2 + rng.randint(0, 3), HEIGHT) / HEIGHT,
    )


def _person(pen: ImageDraw.ImageDraw, area: Area, colour: tuple[int, int, int], rng: random.Random) -> None:
    x1, y1, x2, y2 = area
    middle, height = (x1 + x2) // 2, y2 - y1
    neck, waist = y1 + height * 30 // 100, y1 + height * 70 // 100
    head = height * 13 // 100
    pen.rectangle((x1 + 7, waist, middle - 2, y2), fill=(60, 60, 70))
    pen.rectangle((middle + 2, waist, x2 - 7, y2), fill=(60, 60, 70))
    pen.rounded_rectangle((x1, neck, x2, waist + 2), radius=6, fill=colour)
    pen.ellipse((middle - head, neck - 2 * head, middle + head, neck), fill=rng.choice(SKIN))


def _coach(pen: ImageDraw.ImageDraw, area: Area, colour: tuple[int, int, int], rng: random.Random) -> None:
    """A person with a tall black hat."""
    _person(pen, area, colour, rng)
    x1, y1, x2, y2 = area
    brim = y1 + (y2 - y1) * 12 // 100
    pen.rectangle((x1 + 2, brim - 3, x2 - 2, brim + 2), fill=(15, 15, 15))
    pen.rectangle((x1 + 8, y1 - 2, x2 - 8, brim), fill=(15, 15, 15))


def _flag(pen: ImageDraw.ImageDraw, area: Area, colour: tuple[int, int, int], rng: random.Random) -> None:
    x1, y1, x2, y2 = area
    pen.rectangle((x1, y1, x1 + 3, y2), fill=(90, 70, 50))
    middle = y1 + (y2 - y1) * 60 // 100
    pen.polygon([(x1 + 4, y1), (x2, y1 + 6), (x2, middle - 4), (x1 + 4, middle)], fill=colour)


def _hall(pen: ImageDraw.ImageDraw, area: Area, colour: tuple[int, int, int], rng: random.Random) -> None:
    x1, y1, x2, y2 = area
    eaves = y1 + (y2 - y1) * 45 // 100
    pen.rectangle((x1 + 3, eaves, x2 - 3, y2), fill=(232, 226, 214))
    pen.polygon([(x1, eaves), ((x1 + x2) // 2, y1), (x2, eaves)], fill=colour)
    step = max((x2 - x1) // 4, 8)
    for x in range(x1 + 8, x2 - 10, step):
        pen.rectangle((x, eaves + 8, x + 4, y2 - 8), fill=(96, 110, 130))


def _ball(pen: ImageDraw.ImageDraw, area: Area, colour: tuple[int, int, int], rng: random.Random) -> None:
    pen.ellipse(area, fill=colour, outline=(60, 60, 60))


DRAWERS = {"person": _person, "coach": _coach, "flag": _flag, "hall": _hall, "ball": _ball}
