"""A person: one articulated figure with clothes and a pose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from streetvision.scenes.sprites.build import Shapes, ball, bar, box, placed
from streetvision.scenes.sprites.palette import DARK, jittered
from streetvision.scenes.sprites.surface import RGB, Surface, plain

Place = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Clothes:
    """Surfaces of a person."""

    torso: Surface
    sleeves: Surface
    legs: Surface
    skin: Surface
    head: Surface
    """Hair or helmet."""
    helmet: bool = False


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in radians: each leg's swing and knee, each arm's swing, spread and elbow, and the bend of the back."""

    legs: tuple[tuple[float, float], tuple[float, float]]
    arms: tuple[tuple[float, float, float], tuple[float, float, float]]
    bend: float = 0.0


def cloth(rng: Random, colour: RGB) -> Surface:
    """Woven stuff with folds."""
    return plain(jittered(rng, colour, 14), gloss=0.02, bump=0.35)


@dataclass(frozen=True, slots=True)
class Body:
    """How tall in metres, and how stout a person is beside the usual."""

    height: float
    stout: float

    @property
    def hip(self) -> float:
        """Height of the hip above the ground."""
        return 0.51 * self.height

    @property
    def shoulder(self) -> float:
        """Height of the shoulder above the hip."""
        return 0.31 * self.height

    @property
    def half(self) -> float:
        """Half the width of the chest."""
        return 0.105 * self.height * self.stout


def drawn_body(rng: Random, least: float = 1.6, most: float = 1.92) -> Body:
    """A body between these heights."""
    return Body(rng.uniform(least, most), rng.uniform(0.9, 1.25))


def figure(clothes: Clothes, pose: Pose, body: Body) -> Shapes:
    """A person who looks along z, with the hip at the usual height."""
    shapes: Shapes = []
    for side, angles in zip((-1, 1), pose.legs, strict=True):
        shapes += _leg(clothes, side, angles, body)
    return shapes + placed(_upper(clothes, pose, body), nod=pose.bend, at=(0, body.hip, 0))


def _leg(clothes: Clothes, side: int, angles: tuple[float, float], body: Body) -> Shapes:
    (swing, knee), height = angles, body.height
    thigh, shin, x = 0.25 * height, 0.24 * height, side * 0.5 * body.half
    middle = (x, body.hip - thigh * math.cos(swing), thigh * math.sin(swing))
    end = (x, middle[1] - shin * math.cos(swing - knee), middle[2] + shin * math.sin(swing - knee))
    wide = 0.05 * height * body.stout
    toe = (x + 0.045, end[1] + 0.04, end[2] + 0.18)
    return [
        bar(clothes.legs, (x, body.hip + 0.02, 0), middle, wide, wide * 0.78),
        ball(clothes.legs, middle, wide * 0.8),
        bar(clothes.legs, middle, end, wide * 0.78, wide * 0.62),
        box(DARK, (x - 0.045, end[1] - 0.06, end[2] - 0.07), toe, inset=(0.01, 0.01, 0, 0.1)),
    ]


def _upper(clothes: Clothes, pose: Pose, body: Body) -> Shapes:
    height, shoulder, half = body.height, body.shoulder, body.half
    deep = 0.65 * half
    shapes: Shapes = [
        box(
            clothes.torso,
            (-half * 0.88, -0.04 * height, -deep),
            (half * 0.88, shoulder * 0.97, deep),
            inset=(-0.01, -0.01, deep * 0.2, deep * 0.2),
            bevel=deep * 0.8,
            soft=0.55,
        ),
        bar(clothes.skin, (0, shoulder, 0), (0, shoulder + 0.06 * height, 0.01), 0.036 * height),
        ball(clothes.skin, (0, shoulder + 0.105 * height, 0.012), (0.046 * height, 0.066 * height, 0.054 * height)),
    ]
    shapes += _hat(clothes, shoulder + 0.125 * height, height)
    for side, arm in zip((-1, 1), pose.arms, strict=True):
        shapes += _arm(clothes, side, body, arm)
    return shapes


def _hat(clothes: Clothes, low: float, height: float) -> Shapes:
    crown = 0.058 * height
    if not clothes.helmet:
        return [ball(clothes.head, (0, low - 0.002, -0.012), (crown * 0.88, crown, crown * 1.02))]
    return [
        ball(clothes.head, (0, low, 0), (crown * 1.1, crown * 1.15, crown * 1.28)),
        bar(clothes.head, (0, low - 0.004, 0.02), (0, low + 0.008, 0.02), crown * 1.35, crown * 1.2),
    ]


def hand(side: int, body: Body, arm: tuple[float, float, float]) -> tuple[Place, Place, Place]:
    """Shoulder, elbow and hand of an arm, from the hip."""
    swing, spread, elbow = arm
    top = (side * body.half * 1.0, body.shoulder * 0.9, 0.0)
    upper, lower = 0.165 * body.height, 0.155 * body.height
    middle = (
        top[0] + side * upper * math.sin(spread),
        top[1] - upper * math.cos(swing) * math.cos(spread),
        top[2] + upper * math.sin(swing) * math.cos(spread),
    )
    bent = swing + elbow
    end = (
        middle[0] + side * lower * math.sin(spread) * 0.6,
        middle[1] - lower * math.cos(bent),
        middle[2] + lower * math.sin(bent),
    )
    return top, middle, end


def _arm(clothes: Clothes, side: int, body: Body, arm: tuple[float, float, float]) -> Shapes:
    top, middle, end = hand(side, body, arm)
    wide = 0.034 * body.height
    return [
        ball(clothes.torso, top, wide * 1.1),
        bar(clothes.sleeves, top, middle, wide * 1.1, wide * 0.85),
        ball(clothes.sleeves, middle, wide * 0.86),
        bar(clothes.sleeves, middle, end, wide * 0.85, wide * 0.65),
        ball(clothes.skin, end, wide * 0.85),
    ]
