"""Trucks of works: tippers, service and bucket trucks, attenuators, escorts, mixers."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites.barriers import rail
from streetvision.scenes.sprites.build import Shapes, bar, beam, board, box, placed
from streetvision.scenes.sprites.channelisers import cone_shapes
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import (
    AMBER_LAMP,
    CARS,
    DARK,
    EARTH,
    lime,
    orange,
    paint,
    sheeting,
    steel,
)
from streetvision.scenes.sprites.surface import glowing, plain, stripes
from streetvision.scenes.sprites.trailers import arrow_face
from streetvision.scenes.sprites.vehicle_frames import box_truck_shapes, cab_shapes, pickup_shapes, tail_lamps, wheels


def light_bar(rng: Random, y: float, z: float, half: float = 0.6) -> Shapes:
    """A bar of amber lamps across a roof."""
    return [
        box(
            glowing(AMBER_LAMP, rng.choice((0.0, rng.uniform(0.8, 4.0)))),
            (-half, y, z - 0.12),
            (half, y + 0.13, z + 0.12),
            bevel=0.04,
        )
    ]


def _dump_truck(rng: Random) -> Model:
    cab = paint(rng, rng.choice((*CARS, orange(rng))))
    body = paint(rng, rng.choice(((60, 62, 66), (30, 32, 34), orange(rng), (150, 30, 30), (200, 200, 196))))
    load = plain(rng.choice((*EARTH, (60, 60, 62), (150, 146, 138))), bump=0.6)
    tilt = rng.choice((0.0, 0.0, 0.0, rng.uniform(0.2, 0.7)))
    bed: Shapes = [
        box(body, (-1.2, 0, 0), (1.2, 1.25, 4.2), inset=(-0.06, -0.06, -0.15, -0.1), bevel=0.04),
        box(load, (-1.05, 1.0, 0.2), (1.05, rng.uniform(1.3, 1.7), 4.0), inset=(0.6, 0.6, 0.9, 0.9), bevel=0.1),
        *(
            box(body, (side * 1.28 - 0.05, 0, z), (side * 1.28 + 0.05, 1.2, z + 0.12))
            for side in (-1, 1)
            for z in (0.3, 1.4, 2.5, 3.6)
        ),
    ]
    shapes: Shapes = [
        box(DARK, (-0.5, 0.6, -3.2), (0.5, 1.0, 3.0)),
        *placed(bed, nod=-tilt, at=(0, 1.1, -3.2)),
        *cab_shapes(rng, cab, 1.1, (0.8, 2.8), (1.2, 2.6)),
        box(cab, (-0.75, 0.85, 2.4), (0.75, 1.75, 3.6), inset=(0.08, 0.08, 0, 0.1), bevel=0.15),
        *wheels(rng, 1.15, (-2.3, -1.1, 2.7), 0.52),
        *tail_lamps(rng, 1.1, -3.3, (0.75, 0.9), 0.25),
    ]
    return Model(shapes, nearest=10, wear=used(rng, 0.7))


def _utility_truck(rng: Random) -> Model:
    """A pickup with lockers, a ladder rack, a light bar, cones on the bumper."""
    skin = paint(rng, rng.choice(((236, 236, 234), (236, 236, 234), (240, 180, 30), orange(rng), (60, 90, 140))))
    shapes = pickup_shapes(rng, skin, utility=True) + light_bar(rng, 1.88, 0.6)
    if rng.random() < 0.5:
        for x in (-0.8, 0.8):
            shapes += [bar(DARK, (x, 1.4, z), (x, 2.2, z), 0.03) for z in (-2.6, -0.7)]
            shapes.append(bar(DARK, (x, 2.2, -2.7), (x, 2.2, 1.4), 0.03))
    if rng.random() < 0.5:
        shapes += placed(cone_shapes(rng), at=(rng.choice((-0.7, 0.7)), 0.5, -2.95))
    return Model(shapes, nearest=8, wear=used(rng, 0.5))


def _bucket_truck(rng: Random) -> Model:
    skin = paint(rng, rng.choice(((236, 236, 234), (236, 236, 234), (240, 180, 30), orange(rng))))
    body = paint(rng, (234, 234, 232))
    rise, swing = rng.uniform(0.2, 1.2), rng.uniform(-0.6, 0.6)
    shapes: Shapes = [
        *cab_shapes(rng, skin, 1.05, (0.7, 2.4), (1.4, 3.0)),
        box(DARK, (-0.5, 0.5, -3.0), (0.5, 0.9, 3.0)),
        box(body, (-1.15, 0.7, -3.0), (-0.7, 1.7, 1.2), bevel=0.04),
        box(body, (0.7, 0.7, -3.0), (1.15, 1.7, 1.2), bevel=0.04),
        bar(body, (0, 0.9, -1.0), (0, 2.3, -1.0), 0.3),
        *wheels(rng, 1.12, (-1.9, 2.2), 0.46),
        *tail_lamps(rng, 1.1, -3.02, (0.75, 0.95), 0.2),
        *light_bar(rng, 2.4, 2.0),
    ]
    elbow = (0.0, 2.3 + 3.6 * math.sin(rise), -3.6 * math.cos(rise))
    end = (0.0, elbow[1] + 3.2 * math.sin(rise - 0.3), elbow[2] + 3.2 * math.cos(rise - 0.3))
    arm: Shapes = [
        bar(body, (0, 2.3, 0), elbow, 0.16),
        bar(plain((226, 200, 60), gloss=0.3), elbow, end, 0.13),
        box(
            plain((230, 230, 226)), (-0.35, end[1] - 0.6, end[2] - 0.3), (0.35, end[1] + 0.45, end[2] + 0.4), bevel=0.08
        ),
    ]
    return Model(shapes + placed(arm, turn=swing, at=(0, 0, -1.0)), nearest=11, wear=used(rng, 0.5))


def _attenuator(rng: Random) -> Model:
    """A truck with a crash cushion, chevrons and an arrow board, seen from behind."""
    skin = paint(rng, rng.choice(((236, 236, 234), (240, 180, 30), orange(rng))))
    shapes = box_truck_shapes(rng, skin, plain((60, 60, 62)), 5.0)[:1] + cab_shapes(
        rng, skin, 1.1, (0.7, 2.5), (2.0, 3.7)
    )
    first, second = rng.choice(
        (((246, 200, 30), (24, 24, 26)), (orange(rng), (236, 236, 232)), (lime(rng), (200, 40, 30)))
    )
    chevron = [stripes(sheeting(rng, first), plain(second), 3, slope, 1.3, gloss=0.2) for slope in (1.0, -1.0)]
    shapes += [
        box(skin, (-1.15, 0.8, -2.6), (1.15, 1.1, 2.0)),
        box(plain((70, 72, 74)), (-1.15, 1.0, -2.5), (1.15, 1.6, 1.8), bevel=0.03),
        box(steel(rng), (-1.15, 0.35, -4.6), (1.15, 1.0, -2.5), bevel=0.05),
        *(
            board(chevron[index], (x, 0.7, -4.62), 1.15, 0.65, facing=math.pi)
            for index, x in enumerate((-0.575, 0.575))
        ),
        *wheels(rng, 1.1, (-1.5, 2.8), 0.48),
        box(DARK, (-1.2, 2.2, -1.6), (1.2, 3.4, -1.5)),
        board(arrow_face(rng), (0, 2.8, -1.61), 2.4, 1.2, facing=math.pi),
        box(DARK, (-0.1, 1.5, -1.6), (0.1, 2.3, -1.45)),
        *light_bar(rng, 2.5, 2.6),
    ]
    return Model(shapes, facing=0.9, around=math.pi, nearest=10, wear=used(rng, 0.6))


def _escort(rng: Random) -> Model:
    """A works pickup from behind: chevrons on the tailgate, an arrow board or a light bar above."""
    skin = paint(rng, rng.choice(((236, 236, 234), (240, 180, 30), orange(rng))))
    shapes = pickup_shapes(rng, skin) + light_bar(rng, 1.9, 0.2)
    shapes.append(
        board(
            rail(rng, rng.choice((orange(rng), (190, 24, 30))), 1.5, 0.45, 1.0),
            (0, 0.85, -2.83),
            1.5,
            0.45,
            facing=math.pi,
        )
    )
    if rng.random() < 0.6:
        shapes += [
            box(DARK, (-0.8, 1.5, -1.2), (0.8, 2.3, -1.1)),
            board(arrow_face(rng), (0, 1.9, -1.21), 1.6, 0.8, facing=math.pi),
        ]
    return Model(shapes, facing=1.0, around=math.pi, nearest=8, wear=used(rng, 0.5))


def _concrete_truck(rng: Random) -> Model:
    skin = paint(rng, rng.choice((*CARS, (236, 236, 234))))
    drum = plain(rng.choice(((226, 226, 222), (200, 60, 40), (60, 110, 170), orange(rng))), gloss=0.25)
    shapes: Shapes = [
        box(DARK, (-0.5, 0.6, -3.4), (0.5, 1.1, 3.4)),
        bar(drum, (0, 2.2, 0.8), (0, 2.35, -1.0), 0.8, 1.15),
        bar(drum, (0, 2.35, -1.0), (0, 2.75, -3.1), 1.15, 0.5),
        box(skin, (-0.5, 1.9, -3.9), (0.5, 3.2, -3.0), bevel=0.1),
        beam(steel(rng), (0, 2.0, -3.6), (0, 1.0, -4.3), 0.4, 0.3),
        *cab_shapes(rng, skin, 1.1, (0.8, 2.7), (1.9, 3.6)),
        *wheels(rng, 1.15, (-2.6, -1.5, 2.8), 0.5),
    ]
    return Model(shapes, nearest=10, wear=used(rng, 0.7))


WORK_TRUCKS: tuple[Kind, ...] = (
    Kind("dump_truck", 3, _dump_truck),
    Kind("utility_truck", 4, _utility_truck),
    Kind("bucket_truck", 2.5, _bucket_truck),
    Kind("attenuator_truck", 2.5, _attenuator),
    Kind("escort_pickup", 3, _escort),
    Kind("concrete_truck", 1.5, _concrete_truck),
)
