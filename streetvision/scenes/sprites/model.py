"""A thing to be seen: its shapes and how it is met in the street; the tables of kinds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from streetvision.scenes.sprites.build import Shapes
from streetvision.scenes.sprites.renderer import Wear

HALF_TURN = math.pi


@dataclass(frozen=True, slots=True)
class Model:
    """Shapes in metres, and from where one sees them; `facing` is the largest angle to its front, in radians."""

    shapes: Shapes
    facing: float = HALF_TURN
    around: float = 0.0
    """The angle from which `facing` counts: 0 is the front, pi the back."""
    grounded: bool = True
    nearest: float = 5.0
    """Metres; large things are not seen from nearer."""
    wear: Wear = field(default_factory=Wear)


Build = Callable[[Random], Model]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: its name, how often it is drawn beside the others of its table, and what builds it."""

    name: str
    share: float
    build: Build


def used(rng: Random, most: float = 1.0) -> Wear:
    """How a thing of the works looks after weeks in the street: many nearly new, some filthy."""
    return Wear(
        dirt=most * rng.choice((rng.uniform(0.0, 0.08), rng.uniform(0.04, 0.2), rng.uniform(0.15, 0.5))),
        fading=most * rng.choice((0.0, rng.uniform(0.0, 0.12), rng.uniform(0.05, 0.45))),
        scuffs=most * rng.uniform(0.0, 0.5),
        place=rng.uniform(0.0, 500.0),
        tint=rng.choice(((0.13, 0.11, 0.09), (0.05, 0.05, 0.05), (0.3, 0.27, 0.23))),
    )


def kept(rng: Random) -> Wear:
    """How cars and furniture look."""
    return Wear(rng.uniform(0.0, 0.2), rng.uniform(0.0, 0.08), rng.uniform(0.0, 0.05), rng.uniform(0.0, 500.0))
