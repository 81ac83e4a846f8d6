"""Shapes of cars, pickups, vans and trucks, which ordinary vehicles and those of works share."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.build import Shapes, ball, bar, board, box
from streetvision.scenes.sprites.palette import (
    CARS,
    CHROME,
    DARK,
    GLASS,
    RED_LAMP,
    WHITE_LAMP,
    any_colour,
    paint,
    steel,
)
from streetvision.scenes.sprites.surface import RGB, Surface, glowing, painted, plain

Span = tuple[float, float]
"""From and to, in metres."""


def wheel(rng: Random, x: float, z: float, radius: float, *, rim: Surface | None = None) -> Shapes:
    """A tyre with a rim, its axle along x; `x` is the outer side."""
    outward = 1 if x > 0 else -1
    inner = x - outward * 0.2
    return [
        bar(DARK, (inner, radius, z), (x, radius, z), radius),
        bar(rim or steel(rng, (150, 152, 156)), (inner, radius, z), (x + outward * 0.012, radius, z), radius * 0.62),
        bar(DARK, (inner, radius, z), (x + outward * 0.02, radius, z), radius * 0.18),
    ]


def wheels(rng: Random, half: float, places: tuple[float, ...], radius: float, rim: Surface | None = None) -> Shapes:
    """Pairs of wheels at these places along z."""
    shapes: Shapes = []
    for z in places:
        for side in (-1, 1):
            shapes.append(
                bar(
                    plain((8, 8, 9), gloss=0.0),
                    (side * (half - 0.3), radius * 1.05, z),
                    (side * (half + 0.004), radius * 1.05, z),
                    radius * 1.16,
                )
            )
            shapes += wheel(rng, side * (half + 0.01), z, radius, rim=rim)
    return shapes


def tail_lamps(rng: Random, half: float, z: float, heights: Span, wide: float) -> Shapes:
    """Red lamps at the back, lit now and then."""
    low, high = heights
    lens = glowing(RED_LAMP, rng.choice((0.0, 0.0, rng.uniform(0.5, 3.0), rng.uniform(3.0, 9.0))))
    return [
        box(lens, (x - wide / 2, low, z - 0.03), (x + wide / 2, high, z + 0.02))
        for x in (-half + wide / 2 + 0.03, half - wide / 2 - 0.03)
    ]


def head_lamps(rng: Random, half: float, z: float, heights: Span, wide: float) -> Shapes:
    """White lamps at the front, lit now and then."""
    low, high = heights
    lens = glowing(WHITE_LAMP, rng.choice((0.0, 0.0, rng.uniform(0.6, 6.0))))
    return [
        box(lens, (x - wide / 2, low, z - 0.02), (x + wide / 2, high, z + 0.03))
        for x in (-half + wide / 2 + 0.05, half - wide / 2 - 0.05)
    ]


def number_plate(z: float, low: float, facing: float) -> Shapes:
    """A licence plate."""
    return [board(plain((220, 222, 224), retro=0.4), (0, low, z), 0.32, 0.15, facing=facing)]


def _windows(half: float, heights: Span, along: Span, inset: tuple[float, float, float, float]) -> Shapes:
    """A cabin of glass that is a little larger than the pillars inside it would be."""
    (low, high), (back, front) = heights, along
    return [box(GLASS, (-half, low, back), (half, high, front), inset=inset, bevel=0.04, soft=0.15)]


def car_shapes(rng: Random, colour: RGB | None = None) -> Shapes:
    """A saloon, hatchback, SUV or pickup that looks along z."""
    skin = paint(rng, colour or rng.choice(CARS))
    suv = rng.random() < 0.45
    length, half = rng.uniform(4.2, 5.0), rng.uniform(0.87, 0.98)
    waist, roof = (
        (rng.uniform(1.0, 1.15), rng.uniform(1.65, 1.85)) if suv else (rng.uniform(0.85, 0.95), rng.uniform(1.4, 1.5))
    )
    back, front = -length / 2, length / 2
    clear, radius = (0.3, 0.36) if suv else (0.22, 0.32)
    hood = front - rng.uniform(1.0, 1.3)
    tail = back + (rng.uniform(0.05, 0.2) if suv else rng.uniform(0.2, 0.8))
    slope = (0.17, 0.17, 0.25 if suv else 0.55, 0.65)
    shapes: Shapes = [
        box(skin, (-half, clear, back), (half, waist, front), inset=(0.07, 0.07, 0.08, 0.2), bevel=0.2, soft=0.25),
        box(DARK, (-half + 0.05, clear - 0.08, back + 0.1), (half - 0.05, clear + 0.15, front - 0.1)),
        *_windows(half - 0.09, (waist - 0.04, roof - 0.04), (tail, hood), slope),
        box(
            skin,
            (-half + 0.22, roof - 0.09, tail + slope[2] - 0.02),
            (half - 0.22, roof, hood - slope[3] + 0.1),
            bevel=0.05,
            soft=0.2,
        ),
    ]
    shapes += _pillars(skin, half - 0.09, (waist - 0.04, roof - 0.03), (tail, hood), slope)
    shapes += wheels(rng, half, (back + 0.85, front - 0.85), radius)
    shapes += _ends(rng, skin, half, (clear, waist), (back, front))
    return shapes


def _pillars(skin: Surface, half: float, heights: Span, along: Span, inset: tuple[float, ...]) -> Shapes:
    (low, high), (back, front) = heights, along
    middle = (back + front) / 2 - 0.1
    shapes: Shapes = []
    for side in (-1, 1):
        foot, head = side * (half + 0.005), side * (half - inset[0] + 0.005)
        for z, top in ((back + 0.02, back + inset[2]), (middle, middle), (front - 0.02, front - inset[3])):
            shapes.append(bar(skin, (foot, low, z), (head, high, top), 0.045))
    return shapes


def _ends(rng: Random, skin: Surface, half: float, heights: Span, along: Span) -> Shapes:
    (clear, waist), (back, front) = heights, along
    low, high = waist - 0.34, waist - 0.12
    bumper = rng.choice((skin, DARK, CHROME))
    shapes: Shapes = [
        box(bumper, (-half + 0.03, clear, front - 0.1), (half - 0.03, clear + 0.2, front + 0.05), bevel=0.06),
        box(bumper, (-half + 0.03, clear, back - 0.05), (half - 0.03, clear + 0.22, back + 0.1), bevel=0.06),
        box(DARK, (-half * 0.5, clear + 0.22, front - 0.1), (half * 0.5, low + 0.12, front + 0.02)),
    ]
    shapes += tail_lamps(rng, half, back, (low, high), rng.uniform(0.22, 0.45))
    shapes += head_lamps(rng, half, front - 0.02, (low, high - 0.04), rng.uniform(0.25, 0.4))
    shapes += number_plate(back - 0.06, low - 0.02, math.pi) + number_plate(front + 0.055, clear + 0.1, 0.0)
    for side in (-1, 1):
        shapes.append(ball(skin, (side * (half + 0.08), waist + 0.06, front - 1.55), (0.1, 0.08, 0.06)))
    return shapes


def cab_shapes(rng: Random, skin: Surface, half: float, heights: Span, along: Span) -> Shapes:
    """A truck's cab that looks along z."""
    (low, high), (back, front) = heights, along
    waist = low + (high - low) * 0.5
    return [
        box(skin, (-half, low, back), (half, waist, front), bevel=0.08, soft=0.1),
        box(
            GLASS,
            (-half + 0.02, waist - 0.02, back + 0.25),
            (half - 0.02, high - 0.12, front - 0.02),
            inset=(0.08, 0.08, 0, 0.2),
        ),
        box(skin, (-half + 0.08, high - 0.14, back), (half - 0.08, high, front - 0.18), bevel=0.05),
        box(skin, (-half, waist - 0.05, back), (half, high - 0.05, back + 0.3), inset=(0.07, 0.07, 0, 0)),
        box(DARK, (-half * 0.6, low + 0.1, front - 0.05), (half * 0.6, waist - 0.1, front + 0.02)),
        *head_lamps(rng, half, front, (low + 0.12, low + 0.34), 0.3),
        box(rng.choice((DARK, CHROME)), (-half, low - 0.15, front - 0.1), (half, low + 0.12, front + 0.08), bevel=0.04),
        *(
            bar(DARK, (side * half, waist + 0.2, front - 0.25), (side * (half + 0.25), waist + 0.25, front - 0.2), 0.03)
            for side in (-1, 1)
        ),
        *(
            box(
                DARK,
                (side * (half + 0.22) - 0.08, waist, front - 0.25),
                (side * (half + 0.22) + 0.08, waist + 0.45, front - 0.17),
            )
            for side in (-1, 1)
        ),
    ]


def pickup_shapes(rng: Random, skin: Surface, *, utility: bool = False) -> Shapes:
    """A pickup; with `utility` a body of lockers instead of the bed."""
    half, back, front = rng.uniform(0.95, 1.05), -2.8, 2.8
    bed_end = rng.uniform(-0.6, 0.2)
    shapes: Shapes = [
        box(skin, (-half, 0.45, bed_end), (half, 1.15, front), inset=(0.03, 0.03, 0, 0.08), bevel=0.12, soft=0.15),
        *_windows(half - 0.08, (1.1, 1.84), (bed_end + 0.02, front - 1.35), (0.15, 0.15, 0.1, 0.6)),
        box(skin, (-half + 0.2, 1.78, bed_end + 0.1), (half - 0.2, 1.88, front - 1.9), bevel=0.05, soft=0.2),
        *_pillars(skin, half - 0.08, (1.1, 1.85), (bed_end + 0.02, front - 1.35), (0.15, 0.15, 0.1, 0.6)),
        box(DARK, (-half + 0.1, 0.35, back + 0.1), (half - 0.1, 0.6, front - 0.1)),
    ]
    top = rng.uniform(1.35, 2.0) if utility else 1.15
    body = rng.choice((skin, paint(rng, (232, 232, 230)))) if utility else skin
    wide = half + (0.1 if utility else 0.0)
    shapes += [
        box(body, (-wide, 0.55, back), (-wide + 0.35, top, bed_end - 0.05), bevel=0.03),
        box(body, (wide - 0.35, 0.55, back), (wide, top, bed_end - 0.05), bevel=0.03),
        box(body, (-wide + 0.1, 0.55, back), (wide - 0.1, 0.95, bed_end - 0.05)),
        *tail_lamps(rng, half, back - 0.01, (0.75, 1.05), 0.16),
        box(rng.choice((CHROME, DARK)), (-half, 0.4, back - 0.12), (half, 0.58, back), bevel=0.03),
    ]
    if utility:
        for z in (back + 0.5, back + 1.3):
            shapes += [
                box(DARK, (side * wide - 0.005, 0.62, z), (side * wide + 0.005, top - 0.08, z + 0.02))
                for side in (-1, 1)
            ]
    return shapes + wheels(rng, half, (-1.75, 1.75), 0.4) + head_lamps(rng, half, front - 0.02, (0.85, 1.05), 0.35)


def van_shapes(rng: Random, skin: Surface) -> Shapes:
    """A delivery van."""
    half, back, front, roof = 0.98, -2.7, 2.7, rng.uniform(2.0, 2.6)
    shapes: Shapes = [
        box(skin, (-half, 0.4, back), (half, roof, front - 1.1), inset=(0.1, 0.1, 0.05, 0.1), bevel=0.12, soft=0.1),
        box(skin, (-half, 0.4, front - 1.3), (half, 1.2, front), inset=(0.02, 0.02, 0, 0.15), bevel=0.12, soft=0.15),
        *_windows(half - 0.04, (1.15, roof - 0.15), (front - 2.0, front - 0.25), (0.1, 0.1, 0.1, 0.8)),
        *tail_lamps(rng, half, back, (0.9, 1.4), 0.14),
        *head_lamps(rng, half, front - 0.03, (0.85, 1.1), 0.3),
        board(GLASS, (-0.42, roof * 0.68, back + 0.02), 0.6, 0.5, facing=math.pi),
        board(GLASS, (0.42, roof * 0.68, back + 0.02), 0.6, 0.5, facing=math.pi),
        box(DARK, (-half + 0.02, 0.35, back - 0.08), (half - 0.02, 0.55, back + 0.05)),
        box(DARK, (-half * 0.6, 0.6, front - 0.1), (half * 0.6, 0.85, front + 0.01)),
        *number_plate(back - 0.02, 0.8, math.pi),
    ]
    if rng.random() < 0.5:
        shapes += lettering(rng, half + 0.003, (0.9, 1.8), (back + 0.5, front - 2.2))
    return shapes + wheels(rng, half, (back + 0.9, front - 0.8), 0.34)


COMPANIES: tuple[str, ...] = (
    "ACME",
    "FLEET\nSERVICE",
    "FRESH\nBREAD",
    "PARCEL",
    "HVAC",
    "ELECTRIC",
    "FLOWERS",
    "PLUMBING",
)


def lettering(rng: Random, half: float, heights: tuple[float, float], along: tuple[float, float]) -> Shapes:
    """A company's name on both flanks."""
    ground, ink = any_colour(rng), any_colour(rng)
    face = painted(
        legends.face("rectangle", ground, ground, words=rng.choice(COMPANIES), ink=ink, aspect=1.8), gloss=0.3
    )
    middle = (sum(heights) / 2, sum(along) / 2)
    size = (min(along[1] - along[0], 2.2), heights[1] - heights[0])
    return [board(face, (side * half, *middle), *size, facing=side * math.pi / 2) for side in (-1, 1)]


def box_truck_shapes(rng: Random, skin: Surface, body: Surface, length: float = 5.0) -> Shapes:
    """A truck with a closed body."""
    half, cab_back = 1.2, length / 2 - 0.2
    high = rng.uniform(2.9, 3.6)
    return [
        box(DARK, (-0.5, 0.5, -length / 2), (0.5, 0.9, cab_back + 1.6)),
        box(body, (-half, 0.95, -length / 2), (half, high, cab_back - 0.1), bevel=0.03),
        *cab_shapes(rng, skin, 1.05, (0.6, 2.4), (cab_back, cab_back + 1.7)),
        *wheels(rng, 1.1, (-length / 2 + 1.2, cab_back + 0.9), 0.48),
        *tail_lamps(rng, 1.1, -length / 2, (0.7, 0.85), 0.25),
        box(DARK, (-1.1, 0.45, -length / 2 - 0.05), (1.1, 0.6, -length / 2 + 0.1)),
    ]
