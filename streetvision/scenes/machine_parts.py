"""Painters of construction machines and works vehicles."""

from __future__ import annotations

from random import Random

from streetvision.scenes.parts import BLACK, WHITE, Part
from streetvision.scenes.pen import Colour, Pen, mix, shade
from streetvision.scenes.roadwork_parts import MACHINE, orange

GLASS: Colour = (70, 88, 100)


def excavator(pen: Pen, rng: Random) -> None:
    """A tracked excavator seen from the side, its arm at any stage of digging."""
    body = shade(rng, rng.choice(MACHINE))
    dark = mix(body, (30, 25, 20), 0.35)
    pen.round((46, 44, 44), 0.3, 0.82, 0.98, 1.0, 0.09)
    for x in (0.38, 0.52, 0.66, 0.8, 0.9):
        pen.disc((80, 78, 76), x, 0.91, 0.055)
    pen.round(body, 0.42, 0.56, 1.0, 0.8, 0.04)
    pen.round(dark, 0.74, 0.5, 1.0, 0.7, 0.03)
    pen.round(body, 0.42, 0.3, 0.68, 0.76, 0.03)
    pen.round(GLASS, 0.45, 0.34, 0.64, 0.56, 0.02)
    elbow = (rng.uniform(0.16, 0.3), rng.uniform(0.03, 0.25))
    wrist = (rng.uniform(0.04, 0.16), rng.uniform(0.5, 0.8))
    pen.line(body, 0.085, (0.5, 0.66), (rng.uniform(0.34, 0.4), 0.2), elbow)
    pen.line(dark, 0.065, elbow, wrist)
    x, y = wrist
    pen.poly(
        (70, 66, 60), (x - 0.04, y), (x + 0.08, y + 0.02), (x + 0.12, y + 0.15), (x, y + 0.18), (x - 0.04, y + 0.1)
    )


def roller(pen: Pen, rng: Random) -> None:
    """A road roller from the side."""
    body = shade(rng, rng.choice(MACHINE))
    pen.round(body, 0.3, 0.42, 0.94, 0.74, 0.06)
    pen.poly(mix(body, (30, 30, 30), 0.3), (0.1, 0.56), (0.4, 0.52), (0.4, 0.64), (0.1, 0.7))
    pen.disc((112, 112, 114), 0.2, 0.76, 0.235)
    pen.disc((150, 150, 152), 0.2, 0.76, 0.16)
    pen.disc(BLACK, 0.8, 0.78, 0.215)
    pen.disc((90, 88, 84), 0.8, 0.78, 0.1)
    for x in (0.45, 0.68):
        pen.rect((60, 60, 60), x, 0.06, x + 0.025, 0.45)
    pen.rect(mix(body, WHITE, 0.2), 0.4, 0.02, 0.75, 0.09)
    pen.disc((255, 170, 30), 0.58, 0.02, 0.035)
    pen.glow(0.58, 0.02, 0.2, (255, 160, 30))


def loader(pen: Pen, rng: Random) -> None:
    """A wheel loader from the side."""
    body = shade(rng, rng.choice(MACHINE))
    pen.poly((84, 80, 74), (0.0, 0.6), (0.14, 0.58), (0.2, 0.95), (0.0, 0.98))
    pen.line(mix(body, (40, 30, 20), 0.3), 0.07, (0.14, 0.75), (0.34, 0.5), (0.5, 0.55))
    pen.round(body, 0.4, 0.44, 0.98, 0.78, 0.05)
    pen.round(body, 0.46, 0.1, 0.7, 0.6, 0.03)
    pen.round(GLASS, 0.49, 0.16, 0.67, 0.42, 0.02)
    for x in (0.36, 0.8):
        pen.disc(BLACK, x, 0.8, 0.2)
        pen.disc(body, x, 0.8, 0.1)


def _arrow(pen: Pen, rng: Random, box: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = box
    pen.rect((20, 20, 22), x0, y0, x1, y1)
    lit = shade(rng, (255, 190, 60), 20)
    middle, side = (y0 + y1) / 2, rng.choice((-1, 1))
    for index in range(7):
        x = x0 + (x1 - x0) * (0.12 + 0.127 * index)
        pen.disc(lit, x, middle, 0.018)
        if index % 6 < 2:
            tip = x0 + (x1 - x0) * (0.5 + side * (0.38 - 0.12 * (index % 6 + 1)))
            for sign in (-1, 1):
                pen.disc(lit, tip, middle + sign * (y1 - y0) * 0.16 * (index % 6 + 1), 0.018)
    pen.glow((x0 + x1) / 2, middle, 0.35, (255, 180, 60))


def arrow_trailer(pen: Pen, rng: Random) -> None:
    """An arrow board on a trailer."""
    _arrow(pen, rng, (0.04, 0.02, 0.96, 0.52))
    for x in (0.3, 0.66):
        pen.rect((90, 90, 90), x, 0.52, x + 0.04, 0.82)
    pen.rect(orange(rng), 0.1, 0.78, 0.9, 0.88)
    for x in (0.2, 0.8):
        pen.disc(BLACK, x, 0.9, 0.1)


def works_truck(pen: Pen, rng: Random) -> None:
    """The back of a works truck: chevrons, an arrow board, beacons."""
    body = shade(rng, rng.choice((*MACHINE, WHITE, (236, 110, 24))))
    _arrow(pen, rng, (0.14, 0.0, 0.86, 0.3))
    pen.rect(body, 0.06, 0.26, 0.94, 0.86)
    tones = rng.choice((((206, 30, 36), (246, 200, 30)), ((206, 30, 36), WHITE), (orange(rng), WHITE)))
    pen.stripes(tones, (0.1, 0.5, 0.5, 0.78), 4, 1.5)
    pen.stripes(tones, (0.5, 0.5, 0.9, 0.78), 4, -1.5)
    pen.rect((40, 40, 42), 0.04, 0.84, 0.96, 0.9)
    for x in (0.08, 0.78):
        pen.rect(BLACK, x, 0.88, x + 0.14, 1.0)
    for x in (0.1, 0.86):
        pen.rect((190, 24, 24), x, 0.79, x + 0.05, 0.84)
        pen.disc((255, 170, 40), x + 0.02, 0.24, 0.025)
        pen.glow(x + 0.02, 0.24, 0.15, (255, 160, 40))


def dirt(pen: Pen, rng: Random) -> None:
    """A heap of earth, sand or broken asphalt; it supports a scene and never makes one."""
    tone = shade(rng, rng.choice(((120, 88, 58), (168, 140, 100), (80, 76, 72), (150, 108, 72))))
    ridge = [(x / 8, 1.0 - (1.0 - abs(x - 4) / 4) * rng.uniform(0.5, 1.0)) for x in range(9)]
    pen.poly(tone, (0.0, 1.0), *ridge, (1.0, 1.0))
    for _ in range(24):
        x = rng.uniform(0.1, 0.9)
        y = 1.0 - (1.0 - abs(x - 0.5) * 2) * rng.uniform(0.0, 0.7)
        pen.disc(shade(rng, tone, 35), x, y, rng.uniform(0.02, 0.07))


PARTS: tuple[Part, ...] = (
    Part("excavator", excavator, 2.6, 3.4, 1.7, roadwork=True),
    Part("roller", roller, 2.3, 3.0, 1.35, roadwork=True),
    Part("loader", loader, 2.6, 3.4, 1.9, roadwork=True),
    Part("arrow_trailer", arrow_trailer, 2.4, 3.2, 0.85, roadwork=True, reflective=True),
    Part("works_truck", works_truck, 2.8, 3.6, 0.78, roadwork=True, reflective=True),
)
DIRT = Part("dirt", dirt, 0.5, 1.4, 2.2)
