"""Cars, vans, buses and trucks as they stand in any street."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites.build import Shapes, ball, bar, board, box
from streetvision.scenes.sprites.model import Kind, Model, kept
from streetvision.scenes.sprites.palette import (
    AMBER_LAMP,
    CARS,
    CHROME,
    DARK,
    GLASS,
    RED_LAMP,
    WHITE_LAMP,
    any_colour,
    jittered,
    orange,
    paint,
)
from streetvision.scenes.sprites.surface import glowing, plain
from streetvision.scenes.sprites.vehicle_frames import (
    box_truck_shapes,
    cab_shapes,
    car_shapes,
    head_lamps,
    lettering,
    pickup_shapes,
    tail_lamps,
    van_shapes,
    wheels,
)


def _car(rng: Random) -> Model:
    return Model(car_shapes(rng), nearest=6, wear=kept(rng))


def _loud_car(rng: Random) -> Model:
    colour = rng.choice((orange(rng), (236, 180, 20), (200, 24, 24), (232, 232, 228)))
    return Model(car_shapes(rng, colour), nearest=6, wear=kept(rng))


def _pickup(rng: Random) -> Model:
    return Model(pickup_shapes(rng, paint(rng, rng.choice(CARS))), nearest=7, wear=kept(rng))


def _van(rng: Random) -> Model:
    colour = rng.choice(((234, 234, 232), (234, 234, 232), (120, 80, 44), *CARS))
    return Model(van_shapes(rng, paint(rng, colour)), nearest=7, wear=kept(rng))


def _box_truck(rng: Random) -> Model:
    body = paint(rng, rng.choice(((236, 236, 232), (236, 236, 232), (240, 190, 30), (120, 78, 40), any_colour(rng))))
    shapes = box_truck_shapes(rng, paint(rng, rng.choice(((236, 236, 232), *CARS))), body, rng.uniform(4.5, 8.0))
    return Model(shapes + lettering(rng, 1.205, (1.4, 2.7), (-1.8, 1.4)), nearest=9, wear=kept(rng))


def _bus(rng: Random) -> Model:
    """A city bus or a yellow school bus."""
    school = rng.random() < 0.4
    skin = paint(
        rng, (240, 176, 20) if school else rng.choice(((234, 234, 232), (30, 80, 150), (190, 30, 36), any_colour(rng)))
    )
    length, high = rng.uniform(8, 12), 3.05
    stripe = plain(any_colour(rng), gloss=0.3)
    shapes: Shapes = [
        box(skin, (-1.25, 0.4, -length / 2), (1.25, high, length / 2), inset=(0.06,) * 4, bevel=0.15, soft=0.06),
        *(
            box(GLASS, (side * 1.24 - 0.015, 1.5, -length / 2 + 0.5), (side * 1.24 + 0.015, 2.5, length / 2 - 0.4))
            for side in (-1, 1)
        ),
        *(
            box(stripe, (side * 1.25 - 0.01, 1.1, -length / 2 + 0.2), (side * 1.25 + 0.01, 1.25, length / 2 - 0.2))
            for side in (-1, 1)
        ),
        board(GLASS, (0, 1.95, length / 2 + 0.01), 2.2, 1.3),
        board(GLASS, (0, 2.15, -length / 2 - 0.01), 1.9, 0.8, facing=math.pi),
        *tail_lamps(rng, 1.2, -length / 2, (0.9, 1.3), 0.2),
        *head_lamps(rng, 1.2, length / 2, (0.8, 1.05), 0.3),
        *wheels(rng, 1.24, (-length / 2 + 2.4, length / 2 - 2.2), 0.48),
        box(DARK, (-1.2, 0.35, -length / 2 - 0.08), (1.2, 0.6, -length / 2 + 0.05)),
    ]
    for index in range(int(length)):
        z = -length / 2 + 1.0 + index
        shapes += [box(skin, (side * 1.245 - 0.02, 1.5, z), (side * 1.245 + 0.02, 2.5, z + 0.08)) for side in (-1, 1)]
    return Model(shapes, nearest=11, wear=kept(rng))


def _garbage_truck(rng: Random) -> Model:
    colour = rng.choice(((234, 234, 230), (40, 120, 60), (30, 80, 150), orange(rng)))
    skin, body = paint(rng, colour), paint(rng, rng.choice((colour, (60, 110, 70), (200, 200, 196))))
    shapes: Shapes = [
        box(body, (-1.2, 0.95, -2.4), (1.2, 3.2, 2.0), inset=(0.12, 0.12, 0.0, 0.0), bevel=0.2, soft=0.08),
        box(body, (-1.15, 0.7, -3.6), (1.15, 2.7, -2.3), inset=(0.0, 0.0, 0.8, 0.0), bevel=0.1),
        box(DARK, (-0.9, 0.9, -3.65), (0.9, 1.6, -3.2)),
        box(DARK, (-0.5, 0.5, -2.4), (0.5, 0.95, 3.6)),
        *cab_shapes(rng, skin, 1.1, (0.7, 2.6), (2.1, 3.8)),
        *wheels(rng, 1.12, (-1.6, -0.5, 3.0), 0.5),
        *tail_lamps(rng, 1.1, -3.5, (0.8, 1.0), 0.3),
    ]
    return Model(shapes, nearest=9, wear=kept(rng))


def _parked_trailer(rng: Random) -> Model:
    """A closed cargo trailer or a camper, unhitched."""
    skin = paint(rng, rng.choice(((234, 234, 232), (30, 30, 34), (120, 124, 128), any_colour(rng))))
    shapes: Shapes = [
        box(skin, (-1.0, 0.55, -1.9), (1.0, rng.uniform(1.9, 2.5), 1.9), bevel=0.08, soft=0.05),
        bar(DARK, (0, 0.5, 1.9), (0, 0.5, 3.0), 0.05),
        *wheels(rng, 1.05, (-0.4,), 0.33),
        *tail_lamps(rng, 1.0, -1.9, (0.7, 0.9), 0.15),
    ]
    return Model(shapes, nearest=8, wear=kept(rng))


def _motorcycle(rng: Random) -> Model:
    skin = paint(rng, any_colour(rng))
    shapes: Shapes = [
        *(bar(DARK, (-0.07, 0.31, z), (0.07, 0.31, z), 0.31) for z in (-0.7, 0.7)),
        ball(skin, (0, 0.85, 0.15), (0.17, 0.15, 0.34)),
        box(DARK, (-0.14, 0.72, -0.7), (0.14, 0.86, 0.0), bevel=0.05),
        ball(plain(jittered(rng, (90, 90, 94)), gloss=0.6), (0, 0.48, 0.1), (0.2, 0.2, 0.3)),
        bar(CHROME, (0, 0.31, 0.72), (0, 1.0, 0.45), 0.04),
        bar(DARK, (-0.36, 1.05, 0.4), (0.36, 1.05, 0.4), 0.02),
        ball(glowing(WHITE_LAMP, rng.choice((0.0, 2.0))), (0, 0.92, 0.6), 0.1),
        ball(glowing(RED_LAMP, rng.choice((0.0, 2.0))), (0, 0.75, -0.75), (0.08, 0.05, 0.03)),
        ball(AMBER_LAMP, (0.2, 0.75, -0.7), 0.04),
    ]
    return Model(shapes, nearest=5, wear=kept(rng))


VEHICLES: tuple[Kind, ...] = (
    Kind("car", 10, _car),
    Kind("loud_car", 6, _loud_car),
    Kind("pickup", 4, _pickup),
    Kind("van", 5, _van),
    Kind("box_truck", 4, _box_truck),
    Kind("bus", 3, _bus),
    Kind("garbage_truck", 2, _garbage_truck),
    Kind("parked_trailer", 2, _parked_trailer),
    Kind("motorcycle", 1.5, _motorcycle),
)
