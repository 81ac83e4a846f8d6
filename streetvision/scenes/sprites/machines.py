"""Machines of works: diggers, rollers, pavers, loaders, lifts, cranes."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites.build import Shapes, ball, bar, beam, box, placed
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import (
    AMBER_LAMP,
    DARK,
    GLASS,
    MACHINES,
    jittered,
    paint,
    steel,
)
from streetvision.scenes.sprites.surface import Surface, glowing, plain
from streetvision.scenes.sprites.vehicle_frames import wheels


def beacon(rng: Random, at: tuple[float, float, float]) -> Shapes:
    """An amber flashing lamp, half of the time lit."""
    x, y, z = at
    return [bar(glowing(AMBER_LAMP, rng.choice((0.0, rng.uniform(1.0, 5.0)))), (x, y, z), (x, y + 0.14, z), 0.08, 0.06)]


def cabin(skin: Surface, low: tuple[float, float, float], high: tuple[float, float, float]) -> Shapes:
    """A glazed cab: posts at the corners, a roof."""
    shapes: Shapes = [
        box(
            GLASS,
            (low[0] + 0.04, low[1], low[2] + 0.04),
            (high[0] - 0.04, high[1] - 0.05, high[2] - 0.04),
            inset=(0.05,) * 4,
        ),
        box(skin, (low[0], high[1] - 0.12, low[2]), (high[0], high[1], high[2]), bevel=0.05),
        box(skin, (low[0], low[1], low[2]), (high[0], low[1] + 0.35 * (high[1] - low[1]), high[2]), bevel=0.03),
    ]
    for x in (low[0] + 0.05, high[0] - 0.05):
        for z in (low[2] + 0.05, high[2] - 0.05):
            shapes.append(box(skin, (x - 0.05, low[1], z - 0.05), (x + 0.05, high[1] - 0.1, z + 0.05)))
    return shapes


def tracks(rng: Random, length: float, gauge: float, height: float, width: float) -> Shapes:
    """Two crawler tracks along x."""
    shapes: Shapes = []
    for z in (-gauge / 2, gauge / 2):
        front, back = z + width / 2, z - width / 2
        half, radius = length / 2 - height / 2, height / 2
        shapes += [
            box(plain((44, 42, 40), bump=0.4), (-half, 0, back), (half, height, front)),
            *(bar(plain((44, 42, 40), bump=0.4), (x, radius, back), (x, radius, front), radius) for x in (-half, half)),
            *(
                bar(steel(rng), (x, radius * 0.9, back - 0.01), (x, radius * 0.9, front + 0.01), radius * 0.55)
                for x in (-half, 0, half)
            ),
        ]
    return shapes


def digger_arm(rng: Random, skin: Surface, size: float, base: tuple[float, float]) -> Shapes:
    """Boom, stick, cylinders and bucket along x from a joint at `base` (x, y)."""
    up, fold = rng.uniform(0.35, 1.15), rng.uniform(0.9, 2.0)
    x, y = base
    elbow_x, elbow_y = x + 1.5 * size * math.cos(up + 0.2), y + 1.5 * size * math.sin(up + 0.2)
    top_x, top_y = elbow_x + 1.3 * size * math.cos(up - 0.5), elbow_y + 1.3 * size * math.sin(up - 0.5)
    angle = up - 0.5 - fold
    end_x, end_y = top_x + 1.6 * size * math.cos(angle), max(0.25, top_y + 1.6 * size * math.sin(angle))
    wide, deep, rod = 0.3 * size, 0.24 * size, steel(rng, (190, 192, 195))
    bucket = plain(jittered(rng, (70, 64, 58)), bump=0.2)
    curl = angle - rng.uniform(0.2, 1.2)
    tip = (end_x + 0.6 * size * math.cos(curl), max(0.03, end_y + 0.6 * size * math.sin(curl)), 0)
    return [
        beam(skin, (x, y, 0), (elbow_x, elbow_y, 0), wide * 1.1, deep),
        beam(skin, (elbow_x - 0.05 * size, elbow_y, 0), (top_x, top_y, 0), wide, deep),
        beam(skin, (top_x, top_y, 0), (end_x, end_y, 0), wide * 0.75, deep * 0.9),
        bar(
            rod,
            (x + 0.3 * size, y - 0.1, deep * 0.8),
            ((elbow_x + x) / 2 + 0.2 * size, (elbow_y + y) / 2, deep * 0.8),
            0.05 * size,
        ),
        bar(rod, (elbow_x, elbow_y + wide * 0.8, 0), (top_x - 0.1, top_y + wide * 0.9, 0), 0.05 * size),
        beam(bucket, (end_x, end_y, 0), tip, 0.5 * size, 0.62 * size, bevel=0.12 * size),
    ]


def _excavator(rng: Random) -> Model:
    size = rng.choice((0.55, 0.8, 1.2, 1.5))
    skin = paint(rng, rng.choice(MACHINES))
    body = skin if rng.random() < 0.7 else plain((46, 46, 48), gloss=0.3)
    shapes = tracks(rng, 3.0 * size, 1.7 * size, 0.65 * size, 0.42 * size)
    house: Shapes = [
        box(
            body,
            (-1.5 * size, 0.85 * size, -0.95 * size),
            (0.6 * size, 1.75 * size, 0.95 * size),
            bevel=0.12 * size,
            soft=0.08,
        ),
        box(DARK, (-1.0 * size, 0.6 * size, -0.6 * size), (0.8 * size, 0.9 * size, 0.6 * size)),
        box(
            plain((50, 50, 52), gloss=0.2),
            (-1.72 * size, 0.8 * size, -0.9 * size),
            (-1.35 * size, 1.55 * size, 0.9 * size),
            bevel=0.15 * size,
        ),
        *cabin(skin, (0.0, 0.95 * size, 0.2 * size), (1.15 * size, 2.75 * size, 0.95 * size)),
        *digger_arm(rng, skin, size, (0.7 * size, 1.25 * size)),
    ]
    if rng.random() < 0.5:
        house += beacon(rng, (0.6 * size, 2.75 * size, 0.5 * size))
    return Model(shapes + placed(house, turn=rng.uniform(-1.2, 1.2)), nearest=4 + 6 * size, wear=used(rng, 0.8))


def _backhoe(rng: Random) -> Model:
    skin = paint(rng, rng.choice(MACHINES))
    shapes: Shapes = [
        box(skin, (0.2, 0.9, -0.45), (2.0, 1.6, 0.45), inset=(0, 0.15, 0.06, 0.06), bevel=0.08),
        box(DARK, (-1.2, 0.6, -0.6), (2.0, 1.0, 0.6)),
        *cabin(skin, (-1.1, 1.0, -0.75), (0.35, 2.75, 0.75)),
        *placed(wheels(rng, 1.05, (-0.7,), 0.72), turn=math.pi / 2),
        *placed(wheels(rng, 0.95, (1.5,), 0.48), turn=math.pi / 2),
        *placed(digger_arm(rng, skin, 0.85, (0, 0)), turn=math.pi, at=(-1.3, 1.0, 0)),
    ]
    lift = rng.uniform(0.1, 1.6)
    for z in (-0.65, 0.65):
        shapes.append(beam(skin, (0.4, 1.35, z), (2.6, 0.4 + lift, z), 0.18, 0.1))
    shapes.append(
        box(
            plain((90, 86, 78), gloss=0.2, bump=0.2),
            (2.5, lift, -1.1),
            (3.1, lift + 0.75, 1.1),
            inset=(0, 0.5, 0, 0),
            bevel=0.06,
        )
    )
    return Model(shapes, nearest=9, wear=used(rng, 0.8))


def _loader(rng: Random) -> Model:
    """A skid steer or a wheel loader with its bucket up or down."""
    size = rng.choice((0.7, 0.8, 1.2))
    skin, lift = paint(rng, rng.choice(MACHINES)), rng.uniform(0.0, 1.3)
    shapes: Shapes = [
        box(
            skin,
            (-1.4 * size, 0.5 * size, -0.6 * size),
            (0.8 * size, 1.3 * size, 0.6 * size),
            inset=(0.1, 0.3, 0, 0),
            bevel=0.1,
        ),
        *cabin(skin, (-0.7 * size, 1.1 * size, -0.5 * size), (0.6 * size, 2.3 * size, 0.5 * size)),
        *placed(wheels(rng, 0.9 * size, (-0.75 * size, 0.65 * size), 0.45 * size), turn=math.pi / 2),
    ]
    for z in (-0.72 * size, 0.72 * size):
        shapes.append(beam(skin, (-1.2 * size, 1.6 * size, z), (1.3 * size, (0.5 + lift) * size, z), 0.17 * size, 0.1))
    bucket = plain((80, 78, 74), gloss=0.2, bump=0.2)
    shapes.append(
        box(
            bucket,
            (1.25 * size, lift * size, -0.95 * size),
            (1.9 * size, (lift + 0.7) * size, 0.95 * size),
            inset=(0, 0.5 * size, 0, 0),
            bevel=0.05,
        )
    )
    return Model(shapes, nearest=5 + 3 * size, wear=used(rng, 0.8))


def _roller(rng: Random) -> Model:
    skin = paint(rng, rng.choice(MACHINES))
    size, drum = rng.choice((0.6, 1.0)), steel(rng, (120, 120, 122))
    shapes: Shapes = [
        *(
            bar(drum, (x * size, 0.6 * size, -0.85 * size), (x * size, 0.6 * size, 0.85 * size), 0.6 * size)
            for x in (-1.4, 1.4)
        ),
        box(skin, (-1.7 * size, 0.9 * size, -0.7 * size), (1.7 * size, 1.45 * size, 0.7 * size), bevel=0.12),
        box(skin, (-0.6 * size, 0.5 * size, -0.75 * size), (0.6 * size, 1.2 * size, 0.75 * size)),
        *(
            bar(skin, (x * size, 0.6 * size, z * size), (x * size, 1.2 * size, z * size), 0.07)
            for x in (-1.4, 1.4)
            for z in (-0.92, 0.92)
        ),
        box(DARK, (-0.3 * size, 1.4 * size, -0.3 * size), (0.2 * size, 1.9 * size, 0.3 * size), bevel=0.08),
    ]
    if rng.random() < 0.7:
        shapes.append(
            box(skin, (-0.8 * size, 2.5 * size, -0.75 * size), (0.8 * size, 2.6 * size, 0.75 * size), bevel=0.03)
        )
        shapes += [
            bar(DARK, (x * size, 1.4 * size, z * size), (x * size, 2.5 * size, z * size), 0.04)
            for x in (-0.7, 0.7)
            for z in (-0.65, 0.65)
        ]
    return Model(shapes, nearest=8, wear=used(rng, 0.8))


def _paver(rng: Random) -> Model:
    skin = paint(rng, rng.choice(MACHINES))
    shapes: Shapes = [
        *tracks(rng, 2.8, 1.6, 0.8, 0.4),
        box(skin, (-1.5, 0.7, -1.2), (1.4, 1.9, 1.2), bevel=0.1),
        box(skin, (1.3, 0.5, -1.5), (2.8, 1.4, 1.5), inset=(0, -0.2, -0.2, -0.2)),
        box(plain((26, 25, 26), bump=0.6), (1.4, 1.2, -1.3), (2.7, 1.5, 1.3), inset=(0.3,) * 4),
        box(skin, (-2.6, 0.15, -1.6), (-1.5, 0.8, 1.6), bevel=0.06),
        *(bar(DARK, (x, 1.8, z), (x, 3.0, z), 0.04) for x in (-1.4, 0.3) for z in (-1.0, 1.0)),
        box(skin, (-1.6, 3.0, -1.2), (0.6, 3.12, 1.2), bevel=0.04),
    ]
    return Model(shapes, nearest=10, wear=used(rng, 0.9))


def _boom_lift(rng: Random) -> Model:
    """A telescopic lift on four wheels."""
    skin, rise = (
        paint(rng, rng.choice(((240, 120, 30), (40, 90, 170), (236, 180, 30), (200, 30, 36)))),
        rng.uniform(0.2, 1.2),
    )
    reach = rng.uniform(4, 9)
    end = (reach * math.cos(rise), 1.6 + reach * math.sin(rise), 0.0)
    shapes: Shapes = [
        box(skin, (-1.3, 0.5, -0.9), (1.3, 0.95, 0.9), bevel=0.06),
        *placed(wheels(rng, 1.15, (-0.95, 0.95), 0.45), turn=math.pi / 2),
        box(skin, (-1.6, 0.95, -0.7), (0.9, 1.7, 0.7), bevel=0.1),
        beam(skin, (-1.0, 1.6, 0), (end[0] * 0.55, 1.6 + (end[1] - 1.6) * 0.55, 0), 0.34, 0.3),
        beam(plain((220, 220, 216), gloss=0.3), (0, 1.7, 0), end, 0.24, 0.22),
    ]
    for y in (0.1, 0.6, 1.1):
        shapes += [bar(DARK, (end[0], end[1] + y, z), (end[0] + 0.9, end[1] + y, z), 0.025) for z in (-0.8, 0.8)]
        shapes += [bar(DARK, (end[0] + x, end[1] + y, -0.8), (end[0] + x, end[1] + y, 0.8), 0.025) for x in (0, 0.9)]
    shapes.append(box(DARK, (end[0], end[1], -0.8), (end[0] + 0.9, end[1] + 0.08, 0.8)))
    return Model(shapes, nearest=11, wear=used(rng, 0.5))


def _crane(rng: Random) -> Model:
    """A tall crane's lattice mast against the sky."""
    skin, height = paint(rng, rng.choice(((236, 180, 30), (200, 40, 34), (230, 230, 226)))), rng.uniform(12, 20)
    shapes: Shapes = [bar(skin, (x, 0, z), (x, height, z), 0.09) for x in (-0.6, 0.6) for z in (-0.6, 0.6)]
    for index in range(int(height / 1.6)):
        y = index * 1.6
        shapes += [
            bar(skin, (-0.6, y, 0.6), (0.6, y + 1.6, 0.6), 0.05),
            bar(skin, (0.6, y, -0.6), (-0.6, y + 1.6, -0.6), 0.05),
        ]
    shapes += [
        beam(skin, (-5, height, 0), (14, height, 0), 0.5, 0.5),
        box(plain((150, 148, 142)), (-5.5, height - 1.2, -0.6), (-3.8, height + 0.2, 0.6)),
    ]
    shapes += [
        *cabin(skin, (0.6, height - 1.6, -0.6), (1.8, height - 0.2, 0.6)),
        ball(DARK, (9, height - 4, 0), 0.25),
        bar(DARK, (9, height - 4, 0), (9, height, 0), 0.03),
    ]
    return Model(shapes, nearest=30, wear=used(rng, 0.4))


MACHINERY: tuple[Kind, ...] = (
    Kind("excavator", 6, _excavator),
    Kind("backhoe", 3, _backhoe),
    Kind("loader", 3, _loader),
    Kind("roller", 2.5, _roller),
    Kind("paver", 1.5, _paver),
    Kind("boom_lift", 1.5, _boom_lift),
    Kind("crane", 0.7, _crane),
)
