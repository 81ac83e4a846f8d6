"""People: workers in vests and helmets, and everybody else, from one articulated figure."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.build import Shapes, bar, board, box, placed, standing
from streetvision.scenes.sprites.channelisers import cone_shapes
from streetvision.scenes.sprites.figure import Clothes, Place, Pose, cloth, drawn_body, figure, hand
from streetvision.scenes.sprites.model import Kind, Model, kept, used
from streetvision.scenes.sprites.palette import SKINS, any_colour, lime, orange, plastic, steel
from streetvision.scenes.sprites.surface import RGB, Surface, bands, painted, plain

SILVER = plain((205, 208, 208), gloss=0.3, retro=1.0, wear=0.5)


def vest(rng: Random, colour: RGB) -> Surface:
    """Cloth with silver bands around and over the shoulders, some with a contrasting edge."""
    base = cloth(rng, colour)
    texture = np.repeat(np.repeat(base.texture, 40, axis=1), 40, axis=2)
    edge = plain(rng.choice((orange(rng), lime(rng)))).texture[:, 0]
    silver, framed = SILVER.texture[:, 0], rng.random() < 0.5
    rows, thick = rng.choice(((24, 33), (26,), (18, 30))), rng.randint(3, 4)
    columns = (9, 28) if rng.random() < 0.8 else ()
    for row in rows:
        if framed:
            texture[:, row - 1 : row + thick + 1] = edge[:, :, None]
        texture[:, row : row + thick] = silver[:, :, None]
    for column in columns:
        if framed:
            texture[:, : rows[0], column - 1 : column + 4] = edge[:, :, None]
        texture[:, : rows[0], column : column + 3] = silver[:, :, None]
    return Surface(texture, base.gloss, base.bump)


def _banded(rng: Random, colour: RGB) -> Surface:
    base = cloth(rng, colour)
    return bands((0.45, base), (0.16, SILVER), (0.39, base), bump=0.35)


WORK_LEGS: tuple[RGB, ...] = ((40, 52, 78), (54, 66, 92), (34, 34, 38), (110, 96, 74), (86, 80, 70), (60, 56, 50))
HELMETS: tuple[RGB, ...] = (
    (238, 238, 234),
    (238, 238, 234),
    (246, 208, 30),
    (240, 110, 30),
    (40, 90, 180),
    (60, 150, 70),
    (190, 30, 30),
)


def worker_clothes(rng: Random) -> Clothes:
    """Vest or jacket in lime or orange, work trousers, mostly a helmet."""
    colour = lime(rng) if rng.random() < 0.62 else orange(rng)
    sleeves = rng.choice(
        (cloth(rng, colour), _banded(rng, colour), cloth(rng, any_colour(rng, 0.5)), cloth(rng, any_colour(rng, 0.5)))
    )
    legs = _banded(rng, colour) if rng.random() < 0.15 else cloth(rng, rng.choice(WORK_LEGS))
    helmet = rng.random() < 0.78
    head = plastic(rng, rng.choice(HELMETS)) if helmet else cloth(rng, rng.choice(((40, 30, 24), (30, 30, 32), colour)))
    torso = vest(rng, colour) if rng.random() < 0.88 else cloth(rng, colour)
    return Clothes(torso, sleeves, legs, plain(rng.choice(SKINS), gloss=0.12, wear=0.3), head, helmet)


def street_clothes(rng: Random) -> Clothes:
    """Anything, now and then an orange, red or yellow jacket without bands."""
    loud = rng.random() < 0.3
    colour = rng.choice((orange(rng), (220, 40, 40), (240, 200, 40), lime(rng))) if loud else any_colour(rng, 0.7)
    torso = cloth(rng, colour)
    skin = plain(rng.choice(SKINS), gloss=0.12, wear=0.3)
    sleeves = torso if rng.random() < 0.7 else skin
    hair = cloth(rng, rng.choice(((34, 26, 22), (70, 48, 30), (150, 120, 80), (120, 118, 116), any_colour(rng, 0.8))))
    return Clothes(torso, sleeves, cloth(rng, rng.choice((*WORK_LEGS, any_colour(rng, 0.6)))), skin, hair)


def _standing(rng: Random) -> Pose:
    return Pose(
        ((rng.uniform(-0.1, 0.15), 0.05), (rng.uniform(-0.1, 0.15), 0.05)),
        tuple((rng.uniform(-0.3, 0.6), rng.uniform(0.05, 0.4), rng.uniform(0.1, 1.4)) for _ in range(2)),  # type: ignore[arg-type]
        rng.uniform(-0.05, 0.15),
    )


def _walking(rng: Random) -> Pose:
    swing = rng.uniform(0.2, 0.5)
    return Pose(
        ((swing, 0.1), (-swing, rng.uniform(0.1, 0.6))),
        ((-swing, 0.1, 0.4), (swing, 0.1, rng.uniform(0.2, 0.8))),
        rng.uniform(0.0, 0.12),
    )


def _digging(rng: Random) -> Pose:
    return Pose(
        ((0.45, 0.35), (-0.2, 0.2)),
        ((rng.uniform(0.4, 0.9), 0.1, 0.5), (rng.uniform(0.2, 0.7), 0.1, 0.7)),
        rng.uniform(0.4, 1.0),
    )


def _crouching(rng: Random) -> Pose:
    return Pose(((1.35, 2.1), (0.9, 1.9)), ((0.8, 0.1, 0.5), (0.9, 0.1, 0.4)), rng.uniform(0.2, 0.7))


def worker_shapes(rng: Random) -> Shapes:
    """A worker at work, on the ground; some hold a paddle, a shovel or a rake."""
    body, pose = drawn_body(rng), rng.choices((_standing, _walking, _digging, _crouching), (5, 3, 2, 1))[0](rng)
    shapes = figure(worker_clothes(rng), pose, body)
    if rng.random() < 0.5:
        tool = _tool(rng, hand(1, body, pose.arms[1])[2], pose)
        shapes += placed(tool, nod=pose.bend, at=(0, body.hip, 0))
    return standing(shapes)


def _tool(rng: Random, at: Place, pose: Pose) -> Shapes:
    x, y, z = at
    shaft = plain((176, 140, 90))
    if pose.bend > 0.3:
        low = (x * 0.4, y - 0.55, z + 0.5)
        return [
            bar(shaft, (x, y + 0.4, z - 0.3), low, 0.017),
            box(steel(rng), (low[0] - 0.12, low[1] - 0.28, low[2]), (low[0] + 0.12, low[1], low[2] + 0.04)),
        ]
    if rng.random() < 0.6:
        face = legends.face(*("octagon", (190, 24, 34), (236, 236, 232)), words="STOP", ink=(236, 236, 232))
        if rng.random() < 0.5:
            face = legends.face("octagon", orange(rng), legends.BLACK, words="SLOW")
        return [
            bar(shaft, (x, y - 0.8, z), (x, y + 0.75, z), 0.016),
            board(painted(face, retro=0.6), (x, y + 0.85, z + 0.02), 0.5, 0.5),
        ]
    return [
        bar(shaft, (x, y - 0.75, z), (x, y + 0.7, z + 0.1), 0.017),
        box(steel(rng), (x - 0.12, y - 0.9, z - 0.02), (x + 0.12, y - 0.65, z + 0.03)),
    ]


def _worker(rng: Random) -> Model:
    return Model(placed(worker_shapes(rng), turn=rng.uniform(0, 6.28)), nearest=5, wear=used(rng, 0.5))


def _crew(rng: Random) -> Model:
    """Two or three workers, some with a cone at their feet."""
    shapes: Shapes = []
    for index in range(rng.randint(2, 3)):
        shapes += placed(
            worker_shapes(rng), turn=rng.uniform(0, 6.28), at=(index * rng.uniform(0.7, 1.3), 0, rng.gauss(0, 0.6))
        )
    if rng.random() < 0.5:
        shapes += placed(cone_shapes(rng), at=(rng.uniform(-0.8, 2.5), 0, rng.gauss(0.8, 0.3)))
    return Model(shapes, facing=1.4, nearest=7, wear=used(rng, 0.5))


def _walker(rng: Random) -> Model:
    pose = rng.choice((_standing, _walking, _walking))(rng)
    shapes = standing(figure(street_clothes(rng), pose, drawn_body(rng, 1.2)))
    if rng.random() < 0.25:
        shapes.append(box(cloth(rng, any_colour(rng)), (-0.17, 0.85, -0.32), (0.17, 1.35, -0.12), bevel=0.06, soft=0.4))
    return Model(placed(shapes, turn=rng.uniform(0, 6.28)), nearest=5, wear=kept(rng))


def _people(rng: Random) -> Model:
    shapes: Shapes = []
    for index in range(rng.randint(2, 4)):
        one = standing(figure(street_clothes(rng), _walking(rng), drawn_body(rng, 1.2)))
        shapes += placed(one, turn=rng.uniform(0, 6.28), at=(index * rng.uniform(0.5, 1.0), 0, rng.gauss(0, 0.5)))
    return Model(shapes, facing=1.4, nearest=8, wear=kept(rng))


def _cyclist(rng: Random) -> Model:
    frame = plain(any_colour(rng), gloss=0.4)
    shapes: Shapes = []
    for z in (-0.52, 0.52):
        shapes.append(board(painted(legends.ring((28, 28, 30)), gloss=0.3), (0, 0.34, z), 0.7, 0.7, facing=math.pi / 2))
    joints = ((0, 0.34, -0.52), (0, 0.3, -0.05), (0, 0.78, 0.35), (0, 0.78, -0.15))
    for first, second in ((0, 1), (1, 2), (1, 3), (2, 3), (0, 3)):
        shapes.append(bar(frame, joints[first], joints[second], 0.02))
    shapes.append(bar(frame, (0, 1.0, 0.4), (0, 0.34, 0.52), 0.018))
    clothes = street_clothes(rng)
    if rng.random() < 0.6:
        clothes = Clothes(
            clothes.torso, clothes.sleeves, clothes.legs, clothes.skin, plastic(rng, any_colour(rng)), True
        )
    pose = Pose(((1.3, 1.3), (0.7, 0.9)), ((1.1, 0.1, 0.3), (1.1, 0.1, 0.3)), 0.6)
    rider = figure(clothes, pose, drawn_body(rng))
    return Model(shapes + placed(rider, at=(0, 0.06, -0.2)), nearest=6, wear=kept(rng))


WORKERS: tuple[Kind, ...] = (Kind("worker", 14, _worker), Kind("crew", 4, _crew))
PEOPLE: tuple[Kind, ...] = (Kind("pedestrian", 8, _walker), Kind("people", 3, _people), Kind("cyclist", 3, _cyclist))
