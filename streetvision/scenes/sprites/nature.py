"""Bushes, trunks, flowers, pumpkins and loose things that have the colours of works."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from numpy.typing import NDArray

from streetvision.scenes import noise
from streetvision.scenes.sprites.build import Shapes, ball, bar, board, box, placed, upright
from streetvision.scenes.sprites.model import Kind, Model, kept
from streetvision.scenes.sprites.palette import any_colour, jittered, orange, plastic
from streetvision.scenes.sprites.renderer import Wear
from streetvision.scenes.sprites.surface import RGB, Surface, linear, plain

LEAVES: tuple[RGB, ...] = ((60, 90, 40), (80, 104, 50), (44, 70, 36), (104, 116, 60))
AUTUMN: tuple[RGB, ...] = ((206, 104, 30), (190, 64, 30), (222, 160, 50), (160, 50, 36))


def leaves(rng: Random, colour: RGB) -> Surface:
    """A flat spray of leaves of about this colour, with gaps between them."""
    side = 40
    fine, broad = (_noise(rng, side, step) for step in (6, 2))
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) / (side - 1) * 2 - 1
    texture = np.zeros((6, side, side), np.float32)
    texture[:3] = np.array(linear(colour), np.float32)[:, None, None] * np.clip(0.9 + 0.35 * fine, 0.3, 1.6)
    texture[3] = fine + 0.7 * broad > 2.2 * (row * row + column * column) - 1.1
    return Surface(texture, 0.03, 1.2, 0.3)


def _noise(rng: Random, side: int, step: int) -> NDArray[np.float32]:
    """Noise [side, side], `step` times finer than its tile."""
    return noise.patch(noise.cloudy(), rng, side * step, side * step)[::step, ::step]


def _foliage(rng: Random, centre: tuple[float, float, float], spread: float, tones: tuple[RGB, ...]) -> Shapes:
    """Sprays of leaves around a dark heart."""
    heart = plain(jittered(rng, tones[0], 10), gloss=0.0, bump=1.3)
    shapes: Shapes = [ball(heart, centre, (spread * 0.55, spread * 0.5, spread * 0.55))]
    sprays = [leaves(rng, jittered(rng, rng.choice(tones), 24)) for _ in range(5)]
    for _ in range(26):
        turn, rise = rng.uniform(0, 2 * math.pi), rng.uniform(-0.9, 1.0)
        flat = spread * 0.72 * math.sqrt(1 - rise * rise * 0.9)
        at = (centre[0] + flat * math.cos(turn), centre[1] + 0.62 * spread * rise, centre[2] + flat * math.sin(turn))
        size = spread * rng.uniform(0.55, 0.95)
        facing = math.pi / 2 - turn + rng.gauss(0, 0.6)
        shapes.append(board(rng.choice(sprays), at, size, size, facing=facing, lean=rng.uniform(-0.2, 1.0)))
    return shapes


def _bush(rng: Random) -> Model:
    size = rng.uniform(0.5, 1.2)
    tones = AUTUMN if rng.random() < 0.5 else LEAVES
    return Model(_foliage(rng, (0, size * 0.58, 0), size, tones), nearest=5, wear=kept(rng))


def _tree(rng: Random) -> Model:
    high, bark = rng.uniform(2.5, 5.0), plain(jittered(rng, (90, 74, 60), 20), gloss=0.0, bump=0.6)
    shapes: Shapes = [upright(bark, 0, high, rng.uniform(0.1, 0.25), 0.08)]
    if rng.random() < 0.7:
        shapes += _foliage(rng, (0, high, 0), rng.uniform(0.8, 1.6), AUTUMN if rng.random() < 0.5 else LEAVES)
    else:
        for _ in range(9):
            turn, low = rng.uniform(0, 6.28), high * rng.uniform(0.5, 1.0)
            shapes.append(
                bar(bark, (0, low, 0), (math.cos(turn), low + rng.uniform(0.4, 1.4), math.sin(turn)), 0.05, 0.01)
            )
    return Model(shapes, nearest=8, wear=kept(rng))


def _flowers(rng: Random) -> Model:
    """A bed or tub of flowers in orange, red and yellow."""
    potted = rng.random() < 0.6
    shapes = _foliage(rng, (0, 0.55, 0), 0.42, LEAVES)
    petals = plain(rng.choice((orange(rng), (226, 50, 40), (244, 200, 40), (230, 110, 160))), bump=0.5)
    for _ in range(22):
        turn, away = rng.uniform(0, 6.28), rng.uniform(0.05, 0.45)
        shapes.append(
            ball(
                petals,
                (away * math.cos(turn), 0.6 + rng.uniform(0.0, 0.3), away * math.sin(turn)),
                rng.uniform(0.03, 0.07),
            )
        )
    if potted:
        shapes.append(
            upright(plain(rng.choice(((170, 90, 60), (160, 158, 150), (60, 62, 64))), bump=0.1), 0, 0.45, 0.28, 0.36)
        )
    return Model(shapes if potted else placed(shapes, at=(0, -0.3, 0)), nearest=4, wear=kept(rng))


def _pumpkins(rng: Random) -> Model:
    shapes: Shapes = []
    for _ in range(rng.randint(1, 5)):
        x, z, size = rng.uniform(-0.5, 0.5), rng.uniform(-0.2, 0.2), rng.uniform(0.12, 0.22)
        skin = plain(jittered(rng, (220, 116, 30), 20), gloss=0.2)
        for index in range(6):
            turn = index * math.pi / 3
            shapes.append(
                ball(
                    skin,
                    (x + 0.4 * size * math.cos(turn), size * 0.8, z + 0.4 * size * math.sin(turn)),
                    (size * 0.7, size * 0.8, size * 0.7),
                )
            )
        shapes.append(upright(plain((90, 100, 50)), size * 1.4, size * 1.9, 0.02, x=x))
    return Model(shapes, nearest=4, wear=kept(rng))


def _litter(rng: Random) -> Model:
    """Bags of rubbish, a crumpled bag, cardboard."""
    skin = plain(rng.choice(((26, 26, 28), (230, 230, 228), orange(rng), (60, 110, 170))), gloss=0.4, bump=0.7)
    shapes: Shapes = []
    for _ in range(rng.randint(1, 4)):
        x, size = rng.uniform(-0.6, 0.6), rng.uniform(0.2, 0.36)
        shapes += [
            ball(skin, (x, size * 0.85, 0), (size, size * 0.9, size)),
            bar(skin, (x, size * 1.6, 0), (x, size * 2.0, 0), 0.03, 0.1),
        ]
    if rng.random() < 0.3:
        shapes += placed(
            [box(plain((176, 136, 90)), (-0.25, 0, -0.2), (0.25, 0.35, 0.2))], turn=rng.uniform(0, 3), at=(0.5, 0, 0.2)
        )
    return Model(shapes, nearest=4, wear=kept(rng))


def _balloons(rng: Random) -> Model:
    shapes: Shapes = []
    for _ in range(rng.randint(2, 6)):
        colour = orange(rng) if rng.random() < 0.4 else any_colour(rng)
        x, y = rng.uniform(-0.4, 0.4), rng.uniform(1.6, 2.3)
        shapes += [
            ball(plain(colour, gloss=0.6), (x, y, rng.uniform(-0.2, 0.2)), (0.14, 0.17, 0.14)),
            bar(plain((220, 220, 220)), (0, 0.9, 0), (x, y - 0.16, 0), 0.004),
        ]
    return Model(shapes, grounded=False, nearest=4, wear=kept(rng))


def _orange_pole(rng: Random) -> Model:
    """Poles and hydrant markers, gas markers: slender and loud, yet permanent."""
    skin = plastic(rng, rng.choice((orange(rng), (240, 196, 30), (232, 232, 228), (190, 30, 34))))
    high = rng.uniform(0.8, 1.8)
    shapes: Shapes = [upright(skin, 0, high, rng.uniform(0.015, 0.05))]
    if rng.random() < 0.5:
        shapes.append(box(plain(any_colour(rng)), (-0.05, high * 0.7, -0.012), (0.05, high * 0.95, 0.05)))
    return Model(shapes, nearest=4, wear=kept(rng))


def _toys(rng: Random) -> Model:
    """A basketball hoop, a kayak, a garden chair: plastic in loud colours."""
    skin = plastic(rng, orange(rng) if rng.random() < 0.5 else any_colour(rng))
    if rng.random() < 0.5:
        shapes: Shapes = [
            box(skin, (-0.28, 0.4, -0.25), (0.28, 0.46, 0.28), bevel=0.02),
            *placed([box(skin, (-0.28, 0, -0.03), (0.28, 0.55, 0.03), bevel=0.02)], nod=-0.2, at=(0, 0.44, -0.22)),
            *(bar(skin, (x, 0, z), (x * 0.9, 0.42, z * 0.9), 0.025) for x in (-0.27, 0.27) for z in (-0.25, 0.25)),
        ]
    else:
        shapes = [ball(skin, (0, 0.25, 0), (1.6, 0.25, 0.36))]
    return Model(placed(shapes, turn=rng.uniform(0, 6.28)), nearest=4, wear=kept(rng))


def _glare(rng: Random) -> Model:
    """Spots of light in the lens: the sun, brake lights and lamps from afar."""
    shapes: Shapes = []
    for index in range(rng.randint(1, 3)):
        colour = rng.choice(((255, 120, 40), (255, 60, 40), (255, 200, 90), (255, 250, 240)))
        size, at = rng.uniform(0.2, 1.0), (index * 0.6, 1.0 + rng.uniform(0, 0.3), 0)
        shapes.append(board(_spot(colour, rng.uniform(0.8, 3.0)), at, size, size))
    return Model(shapes, facing=0.3, grounded=False, nearest=6, wear=Wear(0.0, 0.0, 0.0))


def _spot(colour: RGB, level: float) -> Surface:
    """A round glow that fades outwards."""
    row, column = np.mgrid[-1:1:48j, -1:1:48j].astype(np.float32)
    texture = np.empty((6, 48, 48), np.float32)
    texture[:3] = np.array(linear(colour), np.float32)[:, None, None]
    texture[3] = np.clip(1.0 - np.sqrt(row * row + column * column), 0.0, 1.0) ** 1.5
    texture[4], texture[5] = 0.0, level
    return Surface(texture, 0.0, 0.0, 0.0)


NATURE: tuple[Kind, ...] = (
    Kind("bush", 4, _bush),
    Kind("tree", 3, _tree),
    Kind("flowers", 2, _flowers),
    Kind("pumpkins", 1.5, _pumpkins),
    Kind("litter", 3, _litter),
    Kind("balloons", 1, _balloons),
    Kind("loud_pole", 2.5, _orange_pole),
    Kind("toys", 2, _toys),
    Kind("glare", 1.5, _glare),
)
