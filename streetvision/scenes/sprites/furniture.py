"""Furniture of ordinary streets."""

from __future__ import annotations

from random import Random

import numpy as np

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.build import Shapes, ball, bar, board, box, placed, upright
from streetvision.scenes.sprites.model import Kind, Model, kept
from streetvision.scenes.sprites.ordinary_signs import YELLOW
from streetvision.scenes.sprites.palette import (
    DARK,
    GLASS,
    any_colour,
    lime,
    orange,
    paint,
    plastic,
    sheeting,
    steel,
)
from streetvision.scenes.sprites.signs import RED, WHITE
from streetvision.scenes.sprites.surface import Surface, bands, painted, plain, stripes


def _lamp_post(rng: Random) -> Model:
    metal, high = steel(rng, rng.choice(((90, 92, 94), (40, 50, 46), (150, 150, 148)))), rng.uniform(4, 8)
    reach = rng.uniform(0.8, 2.2)
    shapes: Shapes = [
        upright(metal, 0, high, 0.1, 0.06),
        upright(metal, 0, 0.5, 0.18, 0.14),
        bar(metal, (0, high, 0), (reach, high + 0.3, 0), 0.04),
        ball(plain((200, 200, 190), gloss=0.3), (reach, high + 0.28, 0), (0.35, 0.1, 0.14)),
    ]
    return Model(placed(shapes, turn=rng.uniform(0, 6.3)), nearest=9, wear=kept(rng))


def _hydrant(rng: Random) -> Model:
    skin = paint(rng, rng.choice(((190, 24, 28), (236, 190, 30), (230, 230, 226), orange(rng), (40, 90, 160))))
    cap = paint(rng, any_colour(rng)) if rng.random() < 0.4 else skin
    shapes: Shapes = [
        upright(skin, 0, 0.08, 0.17),
        upright(skin, 0.06, 0.6, 0.11, 0.1),
        ball(cap, (0, 0.62, 0), (0.13, 0.14, 0.13)),
        bar(cap, (-0.2, 0.42, 0), (0.2, 0.42, 0), 0.06),
        bar(cap, (0, 0.4, 0), (0, 0.4, 0.19), 0.08),
    ]
    return Model(placed(shapes, turn=rng.uniform(0, 6)), nearest=4, wear=kept(rng))


def _mail_box(rng: Random) -> Model:
    """Mail boxes, news boxes, cabinets."""
    skin = paint(
        rng, rng.choice(((30, 60, 130), (190, 30, 34), (236, 190, 30), orange(rng), (60, 110, 70), (150, 152, 150)))
    )
    high, half = rng.uniform(0.9, 1.4), rng.uniform(0.22, 0.45)
    shapes: Shapes = [box(skin, (-half, 0.12, -half), (half, high, half), bevel=rng.choice((0.02, 0.12)), soft=0.1)]
    shapes += [
        box(DARK, (x * half - 0.03, 0, z * half - 0.03), (x * half + 0.03, 0.14, z * half + 0.03))
        for x in (-0.8, 0.8)
        for z in (-0.8, 0.8)
    ]
    shapes.append(
        board(
            GLASS if rng.random() < 0.5 else plain(any_colour(rng)),
            (0, high * 0.68, half + 0.005),
            half * 1.5,
            high * 0.36,
        )
    )
    return Model(placed(shapes, turn=rng.gauss(0, 0.5)), facing=1.2, nearest=4, wear=kept(rng))


def _bin(rng: Random) -> Model:
    """Wheeled bins and litter bins; some orange, some striped."""
    skin = plastic(
        rng, rng.choice(((40, 90, 60), (40, 60, 110), (60, 62, 64), orange(rng), (110, 70, 40), (230, 190, 40)))
    )
    if rng.random() < 0.6:
        shapes: Shapes = [
            box(skin, (-0.24, 0.05, -0.26), (0.24, 0.95, 0.3), inset=(-0.06, -0.06, -0.04, -0.06), bevel=0.05),
            box(skin, (-0.32, 0.94, -0.34), (0.32, 1.04, 0.4), inset=(0.03, 0.03, 0, 0.12), bevel=0.03),
            *(bar(DARK, (x, 0.1, -0.28), (x + 0.06, 0.1, -0.28), 0.1) for x in (-0.3, 0.24)),
        ]
    else:
        shapes = [
            upright(skin, 0, 0.9, 0.27, 0.31),
            upright(DARK, 0.88, 0.98, 0.33, 0.28),
            ball(DARK, (0, 0.97, 0), (0.26, 0.1, 0.26)),
        ]
    return Model(placed(shapes, turn=rng.uniform(0, 6)), nearest=4, wear=kept(rng))


def _bollard(rng: Random) -> Model:
    """Permanent bollards and posts: steel, concrete, yellow, red and white."""
    high, radius = rng.uniform(0.7, 1.15), rng.uniform(0.05, 0.13)
    skin = rng.choice(
        (
            steel(rng),
            paint(rng, (236, 190, 30)),
            plain((170, 168, 160), bump=0.15),
            paint(rng, (34, 36, 38)),
            plain((200, 60, 44), gloss=0.2),
        )
    )
    if rng.random() < 0.3:
        skin = bands((0.1, skin), (0.12, sheeting(rng, rng.choice((WHITE, RED, YELLOW)))), (0.78, skin), gloss=0.2)
    shapes: Shapes = [
        upright(skin, 0, high, radius),
        ball(skin, (0, high, 0), (radius, radius * rng.uniform(0.1, 1.0), radius)),
    ]
    return Model(shapes, nearest=4, wear=kept(rng))


def _delineator(rng: Random) -> Model:
    """White, yellow or green flexible posts of bicycle lanes and edges of roads."""
    skin = plastic(rng, rng.choice(((232, 232, 228), (232, 232, 228), (240, 196, 30), (60, 150, 80), (40, 40, 42))))
    stripe = sheeting(rng, rng.choice((WHITE, YELLOW, RED)))
    shapes: Shapes = [
        upright(
            bands((0.08, skin), (0.1, stripe), (0.06, skin), (0.1, stripe), (0.66, skin), gloss=0.15),
            0.02,
            rng.uniform(0.7, 1.1),
            0.05,
            0.04,
        ),
        upright(plastic(rng, (40, 40, 42)), 0, 0.05, 0.12, 0.1),
    ]
    return Model(placed(shapes, tip=rng.gauss(0, 0.04)), nearest=4, wear=kept(rng))


def _guard_rail(rng: Random) -> Model:
    metal, length = steel(rng, (160, 162, 164)), rng.uniform(4, 8)
    shapes: Shapes = [
        bar(metal, (-length / 2, 0.66, 0.05), (length / 2, 0.66, 0.05), 0.07),
        bar(metal, (-length / 2, 0.5, 0.05), (length / 2, 0.5, 0.05), 0.07),
        *(
            box(plain((120, 100, 80)), (x - 0.08, 0, -0.15), (x + 0.08, 0.75, -0.02))
            for x in (-length / 2 + 0.3, 0, length / 2 - 0.3)
        ),
    ]
    return Model(shapes, facing=1.2, nearest=8, wear=kept(rng))


def _banner(rng: Random) -> Model:
    """A feather flag, or a flag on a pole."""
    cloth, high = plain(orange(rng) if rng.random() < 0.25 else any_colour(rng), bump=0.4), rng.uniform(2.2, 5)
    width = rng.uniform(0.5, 1.2)
    flag = board(cloth, (width / 2, high * 0.68, 0), width, high * rng.choice((0.25, 0.6)), facing=rng.gauss(0, 0.4))
    return Model([upright(steel(rng), 0, high, 0.025), flag], facing=1.0, nearest=6, wear=kept(rng))


def _umbrella(rng: Random) -> Model:
    """A sunshade above a table, or an umbrella."""
    count, high, radius = 8, rng.uniform(2.1, 2.6), rng.uniform(0.9, 1.5)
    first = plain(rng.choice((orange(rng), (190, 30, 34), (230, 230, 226), (40, 90, 60), any_colour(rng))), bump=0.1)
    second = first if rng.random() < 0.6 else plain((232, 232, 228))
    texture = [first.texture if index % 2 else second.texture for index in range(count)]
    skin = Surface(np.concatenate(texture, axis=2), 0.05, 0.1)
    shapes: Shapes = [bar(skin, (0, high - 0.45, 0), (0, high, 0), radius, 0.03), upright(steel(rng), 0, high, 0.025)]
    if rng.random() < 0.6:
        shapes += [bar(plain(any_colour(rng, 0.4)), (0, 0.7, 0), (0, 0.74, 0), 0.45), upright(DARK, 0, 0.05, 0.25)]
    return Model(shapes, nearest=6, wear=kept(rng))


def _awning(rng: Random) -> Model:
    """A shop's awning, plain or in vertical stripes."""
    first = plain(orange(rng) if rng.random() < 0.3 else any_colour(rng))
    face = stripes(first, plain((232, 230, 224)), rng.randint(4, 10), 0.0, 3.0) if rng.random() < 0.5 else first
    width = rng.uniform(2, 5)
    shapes: Shapes = [board(face, (0, 2.8, 0), width, 1.1, lean=0.9), board(face, (0, 2.36, 0.44), width, 0.25)]
    return Model(shapes, facing=0.8, grounded=False, nearest=8, wear=kept(rng))


def _shelter(rng: Random) -> Model:
    """A bus shelter or a bench."""
    metal, width = steel(rng, (80, 84, 88)), rng.uniform(1.5, 3.5)
    seat = plain(rng.choice(((120, 84, 50), (60, 62, 64), any_colour(rng))))
    shapes: Shapes = [
        box(seat, (-width / 2, 0.42, -0.25), (width / 2, 0.48, 0.2)),
        *(box(metal, (x - 0.04, 0, -0.2), (x + 0.04, 0.45, 0.15)) for x in (-width * 0.4, width * 0.4)),
    ]
    if rng.random() < 0.5:
        shapes += [bar(metal, (x, 0, z), (x, 2.4, z), 0.04) for x in (-width / 2, width / 2) for z in (-0.5, 0.6)]
        shapes += [
            box(metal, (-width / 2 - 0.1, 2.4, -0.6), (width / 2 + 0.1, 2.5, 0.9)),
            board(plain((60, 80, 86), alpha=0.35, gloss=1.0), (0, 1.3, -0.5), width, 2.0),
        ]
    else:
        shapes.append(box(seat, (-width / 2, 0.55, -0.28), (width / 2, 0.9, -0.24)))
    return Model(shapes, facing=1.2, nearest=6, wear=kept(rng))


def _bicycle(rng: Random) -> Model:
    """A bicycle at rest, or a shared scooter or bicycle in loud colours."""
    frame = paint(rng, rng.choice((orange(rng), lime(rng), (200, 30, 40), (40, 110, 190), (30, 30, 32))))
    joints = ((-0.52, 0.34, 0), (-0.05, 0.3, 0), (0.35, 0.82, 0), (-0.15, 0.85, 0))
    shapes: Shapes = [bar(frame, joints[a], joints[b], 0.025) for a, b in ((0, 1), (1, 2), (1, 3), (2, 3), (0, 3))]
    shapes += [board(painted(legends.ring((28, 28, 30)), gloss=0.3), (x, 0.34, 0), 0.7, 0.7) for x in (-0.52, 0.52)]
    shapes += [
        bar(frame, (0.4, 1.0, 0), (0.52, 0.34, 0), 0.02),
        bar(DARK, (0.38, 1.02, -0.28), (0.38, 1.02, 0.28), 0.02),
        ball(DARK, (-0.16, 0.92, 0), (0.13, 0.04, 0.08)),
    ]
    return Model(placed(shapes, nod=rng.gauss(0, 0.08)), facing=1.2, nearest=4, wear=kept(rng))


def _container(rng: Random) -> Model:
    """A storage container, as it also stands where nobody works."""
    skin = paint(rng, rng.choice(((226, 226, 222), (40, 80, 140), (190, 80, 40), (90, 100, 90), any_colour(rng, 0.6))))
    length = rng.choice((3.0, 6.1))
    shapes: Shapes = [box(skin, (-length / 2, 0.1, -1.2), (length / 2, 2.6, 1.2), bevel=0.02)]
    for index in range(int(length / 0.28)):
        x = -length / 2 + 0.1 + index * 0.28
        shapes += [box(skin, (x, 0.25, side * 1.2 - 0.03), (x + 0.12, 2.45, side * 1.2 + 0.03)) for side in (-1, 1)]
    return Model(shapes, nearest=9, wear=kept(rng))


FURNITURE: tuple[Kind, ...] = (
    Kind("lamp_post", 3, _lamp_post),
    Kind("hydrant", 3, _hydrant),
    Kind("street_box", 3, _mail_box),
    Kind("bin", 4, _bin),
    Kind("bollard", 4, _bollard),
    Kind("delineator", 5, _delineator),
    Kind("guard_rail", 2, _guard_rail),
    Kind("banner", 3, _banner),
    Kind("umbrella", 2, _umbrella),
    Kind("awning", 2, _awning),
    Kind("shelter", 2, _shelter),
    Kind("bicycle", 2, _bicycle),
    Kind("container", 1.5, _container),
)
