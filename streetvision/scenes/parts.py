"""What a street object is to the composer: a painter, its size in metres and what it counts as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from streetvision.scenes.pen import Colour, Pen

Painter = Callable[[Pen, Random], None]

WHITE: Colour = (236, 236, 230)
BLACK: Colour = (24, 24, 26)
GREY: Colour = (128, 130, 132)
SKIN: tuple[Colour, ...] = ((236, 196, 168), (198, 150, 112), (142, 98, 66), (92, 62, 44))


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of object: height range in metres, width as a share of height, its painter."""

    name: str
    paint: Painter
    low: float
    high: float
    aspect: float
    roadwork: bool = False
    reflective: bool = False
    """Retroreflective things stay bright in headlights at night."""
    legible: float = 1.0
    """How many times larger than others it must appear to be told from its look-alikes."""
    tilt: float = 0.0
    """Largest tilt in degrees."""


def limbs(pen: Pen, rng: Random, trousers: Colour, skin: Colour) -> None:
    """Legs in mid-step and a head: what every person in the street shares."""
    step = rng.uniform(0.02, 0.16)
    pen.line(trousers, 0.085, (0.5, 0.52), (0.5 - step, 0.97))
    pen.line(trousers, 0.085, (0.5, 0.52), (0.5 + step, 0.97))
    pen.rect(BLACK, 0.42 - step, 0.955, 0.54 - step, 1.0)
    pen.rect(BLACK, 0.46 + step, 0.955, 0.58 + step, 1.0)
    pen.disc(skin, 0.5, 0.085, 0.062)


def post(pen: Pen, rng: Random, top: float, width: float = 0.05) -> None:
    """A sign's post from `top` to the ground."""
    tone = rng.randint(90, 170)
    pen.rect((tone, tone, tone + 4), 0.5 - width / 2, top, 0.5 + width / 2, 1.0)
