"""What lifts high: telescopic lifts and cranes."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites.build import Shapes, ball, bar, beam, box, placed
from streetvision.scenes.sprites.machines import cabin
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import DARK, paint
from streetvision.scenes.sprites.surface import plain
from streetvision.scenes.sprites.vehicle_frames import wheels


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


LIFTS: tuple[Kind, ...] = (
    Kind("boom_lift", 1.5, _boom_lift),
    Kind("crane", 0.7, _crane),
)
