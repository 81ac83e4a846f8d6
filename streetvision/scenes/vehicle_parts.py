"""Painters of ordinary traffic: cars, vans, trucks and buses in any colour, orange among them."""

from __future__ import annotations

from random import Random

from streetvision.scenes.parts import BLACK, WHITE, Part
from streetvision.scenes.pen import Colour, Pen, mix, shade

BODIES: tuple[Colour, ...] = (
    (230, 230, 228), (30, 30, 34), (128, 130, 134), (176, 178, 182), (30, 52, 110), (150, 20, 26), (200, 30, 30),
    (20, 84, 60), (236, 104, 20), (250, 140, 30), (246, 200, 30), (110, 84, 60), (90, 150, 200), (240, 220, 160),
)  # fmt: skip
GLASS: Colour = (52, 62, 72)


def _body(rng: Random) -> Colour:
    return shade(rng, rng.choice(BODIES), 15)


def _lamps(pen: Pen, y: float, rear: bool, inset: float = 0.06) -> None:
    tone, light = ((176, 20, 22), (255, 40, 30)) if rear else ((236, 236, 220), (255, 246, 210))
    for x in (inset, 1 - inset - 0.12):
        pen.round(tone, x, y, x + 0.12, y + 0.09, 0.03)
        pen.glow(x + 0.06, y + 0.045, 0.16 if rear else 0.4, light)


def car_end(pen: Pen, rng: Random) -> None:
    """A car from the front or the back."""
    body, rear = _body(rng), rng.random() < 0.6
    pen.rect(BLACK, 0.08, 0.78, 0.24, 1.0)
    pen.rect(BLACK, 0.76, 0.78, 0.92, 1.0)
    roof = rng.uniform(0.16, 0.24)
    pen.poly(body, (roof, 0.02), (1 - roof, 0.02), (0.95, 0.45), (0.05, 0.45))
    pen.poly(GLASS, (roof + 0.03, 0.07), (0.97 - roof, 0.07), (0.88, 0.42), (0.12, 0.42))
    pen.round(body, 0.02, 0.4, 0.98, 0.88, 0.08)
    pen.rect(mix(body, BLACK, 0.5), 0.05, 0.78, 0.95, 0.9)
    _lamps(pen, rng.uniform(0.48, 0.58), rear)
    pen.rect(rng.choice((WHITE, (240, 210, 60))), 0.39, 0.68, 0.61, 0.76)
    if rng.random() < 0.08:
        pen.rect((250, 220, 60), 0.38, 0.0, 0.62, 0.05)


def car_side(pen: Pen, rng: Random) -> None:
    """A car from the side."""
    body, front = _body(rng), rng.uniform(0.14, 0.26)
    pen.poly(body, (front, 0.45), (front + 0.14, 0.04), (0.74, 0.04), (0.9, 0.45))
    pen.poly(GLASS, (front + 0.05, 0.44), (front + 0.17, 0.11), (0.5, 0.11), (0.5, 0.44))
    pen.poly(GLASS, (0.53, 0.44), (0.53, 0.11), (0.72, 0.11), (0.83, 0.44))
    pen.round(body, 0.0, 0.4, 1.0, 0.84, 0.16)
    pen.line(mix(body, BLACK, 0.4), 0.015, (0.52, 0.42), (0.52, 0.8))
    for x in (0.2, 0.8):
        pen.disc(BLACK, x, 0.8, 0.2)
        pen.disc((150, 150, 152), x, 0.8, 0.11)
    pen.glow(0.02, 0.55, 0.15, (255, 240, 200))


def van(pen: Pen, rng: Random) -> None:
    """A delivery van from the back, with a brand's stripe at times."""
    body = rng.choice((WHITE, _body(rng), _body(rng)))
    pen.round(body, 0.04, 0.0, 0.96, 0.92, 0.05)
    for x in (0.1, 0.53):
        pen.rect(GLASS, x, 0.1, x + 0.37, 0.38)
    if rng.random() < 0.5:
        pen.rect(_body(rng), 0.04, 0.46, 0.96, 0.6)
    pen.line(mix(body, BLACK, 0.4), 0.012, (0.5, 0.02), (0.5, 0.88))
    _lamps(pen, 0.62, rear=True)
    for x in (0.08, 0.78):
        pen.rect(BLACK, x, 0.9, x + 0.14, 1.0)


def box_truck(pen: Pen, rng: Random) -> None:
    """A box truck from the back; its doors carry any colour."""
    box = rng.choice((WHITE, _body(rng), _body(rng)))
    pen.rect(box, 0.02, 0.0, 0.98, 0.8)
    pen.line(mix(box, BLACK, 0.45), 0.01, (0.5, 0.0), (0.5, 0.8))
    if rng.random() < 0.4:
        x, y = rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4)
        pen.oval(_body(rng), x, y, x + 0.4, y + 0.25)
    pen.rect((40, 40, 42), 0.04, 0.8, 0.96, 0.88)
    if rng.random() < 0.3:
        pen.stripes(((200, 30, 30), WHITE), (0.04, 0.83, 0.96, 0.86), 12, 0.0)
    _lamps(pen, 0.8, rear=True)
    for x in (0.07, 0.75):
        pen.rect(BLACK, x, 0.88, x + 0.18, 1.0)


def truck_side(pen: Pen, rng: Random) -> None:
    """A truck from the side, cab to the left."""
    body, box = _body(rng), rng.choice((WHITE, _body(rng), _body(rng)))
    pen.rect(box, 0.26, 0.0, 1.0, 0.8)
    pen.round(body, 0.0, 0.22, 0.24, 0.86, 0.08)
    pen.rect(GLASS, 0.04, 0.3, 0.2, 0.52)
    if rng.random() < 0.5:
        pen.rect(_body(rng), 0.32, 0.3, rng.uniform(0.6, 0.95), 0.5)
    pen.rect((40, 40, 42), 0.0, 0.8, 1.0, 0.88)
    for x in (0.12, 0.72, 0.86):
        pen.disc(BLACK, x, 0.88, 0.12)


def bus_end(pen: Pen, rng: Random) -> None:
    """A city coach or a school bus from the front or back."""
    school = rng.random() < 0.4
    body = (246, 178, 20) if school else _body(rng)
    pen.round(body, 0.02, 0.0, 0.98, 0.92, 0.05)
    pen.round(GLASS, 0.1, 0.14, 0.9, 0.46, 0.03)
    if school:
        pen.rect(BLACK, 0.02, 0.52, 0.98, 0.55)
        pen.rect(BLACK, 0.2, 0.05, 0.8, 0.11)
    else:
        pen.rect(BLACK, 0.14, 0.03, 0.86, 0.1)
        pen.rect((255, 150, 30), 0.3, 0.045, 0.7, 0.085)
    _lamps(pen, 0.68, rng.random() < 0.5)
    for x in (0.08, 0.76):
        pen.rect(BLACK, x, 0.9, x + 0.16, 1.0)


def bus_side(pen: Pen, rng: Random) -> None:
    """A bus from the side."""
    body = (246, 178, 20) if rng.random() < 0.35 else _body(rng)
    pen.round(body, 0.0, 0.0, 1.0, 0.88, 0.06)
    for index in range(8):
        pen.rect(GLASS, 0.03 + index * 0.12, 0.14, 0.13 + index * 0.12, 0.44)
    pen.rect(mix(body, BLACK, 0.6), 0.0, 0.54, 1.0, 0.57)
    for x in (0.16, 0.8):
        pen.disc(BLACK, x, 0.86, 0.14)


def motorbike(pen: Pen, rng: Random) -> None:
    """A rider from behind, in a dark or a bright jacket."""
    jacket = rng.choice((BLACK, (60, 60, 66), _body(rng), (230, 120, 30)))
    pen.oval(BLACK, 0.4, 0.6, 0.6, 1.0)
    pen.round((70, 70, 74), 0.3, 0.5, 0.7, 0.75, 0.06)
    pen.round(jacket, 0.22, 0.2, 0.78, 0.6, 0.1)
    pen.disc(rng.choice((BLACK, WHITE, _body(rng))), 0.5, 0.11, 0.1)
    pen.disc((190, 20, 24), 0.5, 0.62, 0.04)
    pen.glow(0.5, 0.62, 0.12, (255, 40, 30))


PARTS: tuple[Part, ...] = (
    Part("car_end", car_end, 1.4, 1.75, 1.22),
    Part("car_side", car_side, 1.4, 1.7, 2.9),
    Part("van", van, 2.0, 2.7, 0.82),
    Part("box_truck", box_truck, 3.0, 3.9, 0.68),
    Part("truck_side", truck_side, 3.0, 3.8, 2.3),
    Part("bus_end", bus_end, 2.8, 3.3, 0.85),
    Part("bus_side", bus_side, 2.8, 3.3, 3.4),
    Part("motorbike", motorbike, 1.6, 1.75, 0.5),
)
