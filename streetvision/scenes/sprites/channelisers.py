"""Devices that lead traffic: cones, drums, tubular markers, vertical panels, longitudinal channelisers."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites.build import Shapes, ball, bar, board, box, placed, standing, upright
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import AMBER_LAMP, jittered, orange, plastic, rubber, sheeting
from streetvision.scenes.sprites.surface import RGB, Surface, bands, glowing, stripes


def cone_shapes(rng: Random, colour: RGB | None = None) -> Shapes:
    """A traffic cone of 28 or 36 inches: square base, slightly hollow flank, none to two white collars."""
    body = plastic(rng, colour or orange(rng))
    height = rng.choice((0.46, 0.71, 0.71, 0.71, 0.91))
    base, top = height * rng.uniform(0.19, 0.22), height * rng.uniform(0.03, 0.045)
    foot = rng.choice((rubber(rng), rubber(rng), body))
    side = height * rng.uniform(0.25, 0.28)
    shapes: Shapes = [box(foot, (-side, 0, -side), (side, 0.05, side), inset=(0.02,) * 4, bevel=side * 0.3)]
    shapes.append(upright(_collared(rng, body), 0.04, height, base, top))
    if rng.random() < 0.2:
        shapes.append(upright(body, height, height + 0.04, top * 0.8, top * 0.9))
    return shapes


def _collared(rng: Random, body: Surface) -> Surface:
    white = sheeting(rng)
    collars = rng.choice((0, 1, 1, 2, 2, 2))
    if collars == 0:
        return body
    first, second = rng.uniform(0.15, 0.22), rng.uniform(0.11, 0.16)
    if collars == 1:
        return bands((0.14, body), (first + 0.04, white), (0.86 - first, body), gloss=body.gloss, bump=0.03)
    gap = rng.uniform(0.06, 0.14)
    rest = 0.88 - first - second - gap
    return bands((0.12, body), (first, white), (gap, body), (second, white), (rest, body), gloss=body.gloss, bump=0.03)


def _upright_or_fallen(rng: Random, shapes: Shapes, fallen: float = 0.05) -> Shapes:
    if rng.random() < fallen:
        return standing(placed(shapes, tip=math.pi / 2 - 0.2, turn=rng.uniform(0, 6.28)))
    lean = rng.gauss(0, 0.03)
    return placed(shapes, tip=lean, turn=rng.uniform(0, 6.28))


def _cone(rng: Random) -> Model:
    return Model(_upright_or_fallen(rng, cone_shapes(rng), 0.07), nearest=3.5, wear=used(rng))


def _cone_stack(rng: Random) -> Model:
    body = plastic(rng, orange(rng))
    shapes: Shapes = []
    for index in range(rng.randint(3, 6)):
        low = index * rng.uniform(0.08, 0.11)
        shapes += placed(
            [
                box(rubber(rng), (-0.18, 0, -0.18), (0.18, 0.04, 0.18)),
                upright(_collared(rng, body), 0.03, 0.71, 0.14, 0.03),
            ],
            at=(0, low, 0),
            turn=rng.gauss(0, 0.1),
        )
    return Model(shapes, nearest=4, wear=used(rng))


def _drum(rng: Random) -> Model:
    return Model(_upright_or_fallen(rng, drum_shapes(rng), 0.03), nearest=4, wear=used(rng))


def drum_shapes(rng: Random) -> Shapes:
    """A drum: four steps of orange and white sheeting in turn, a rubber ring below, a handle above, maybe a lamp."""
    colour = orange(rng)
    hue, white, skin = sheeting(rng, colour), sheeting(rng), plastic(rng, colour)
    shapes: Shapes = [upright(rubber(rng), 0.0, rng.uniform(0.07, 0.12), rng.uniform(0.32, 0.38))]
    low, radius = 0.08, 0.285
    pairs = rng.choice((2, 2, 2, 3))
    tall = 0.92 / (2 * pairs + 0.6)
    for index in range(2 * pairs):
        band = bands((0.08, skin), (0.84, (hue, white)[index % 2]), (0.08, skin), gloss=0.2)
        shapes.append(upright(band, low, low + tall, radius, radius - 0.006))
        low, radius = low + tall, radius - rng.uniform(0.008, 0.016)
    shapes.append(upright(skin, low, low + 0.6 * tall, radius, radius - 0.05))
    top = low + 0.6 * tall
    shapes.append(box(skin, (-0.11, top, -0.03), (0.11, top + 0.08, 0.03), bevel=0.02))
    return shapes + (lamp(rng, top + 0.08) if rng.random() < 0.22 else [])


def lamp(rng: Random, low: float) -> Shapes:
    """A round amber warning lamp."""
    lens = glowing(AMBER_LAMP, rng.choice((0.0, 0.0, rng.uniform(0.6, 2.5))))
    body = plastic(rng, rng.choice(((230, 190, 40), (40, 40, 42))))
    return [
        box(body, (-0.07, low, -0.05), (0.07, low + 0.13, 0.05), bevel=0.02),
        bar(lens, (0, low + 0.24, -0.05), (0, low + 0.24, 0.05), 0.095),
    ]


def _tube(rng: Random) -> Model:
    colour = orange(rng)
    body, white = plastic(rng, colour), sheeting(rng)
    height, radius = rng.uniform(0.7, 1.15), rng.uniform(0.035, 0.055)
    count, gap = rng.choice((2, 2, 3)), rng.uniform(0.05, 0.1)
    rows = [(0.08, body)]
    for _ in range(count):
        rows += [(0.11, white), (gap, body)]
    rows.append((0.9 - count * (0.11 + gap), body))
    skin = bands(*rows, gloss=0.15)
    foot = rng.choice((rubber(rng), rubber(rng), plastic(rng, colour)))
    shapes: Shapes = [upright(skin, 0.03, height, radius * rng.uniform(1.0, 1.25), radius)]
    shapes.append(ball(body, (0, height, 0), (radius, radius * 0.6, radius)))
    if rng.random() < 0.6:
        side = rng.uniform(0.16, 0.22)
        shapes.append(box(foot, (-side, 0, -side), (side, 0.045, side), bevel=0.06))
    else:
        shapes.append(upright(foot, 0, 0.06, rng.uniform(0.13, 0.2), 0.09))
    return Model(_upright_or_fallen(rng, shapes, 0.03), nearest=4, wear=used(rng))


def _grabber(rng: Random) -> Model:
    """The slender cone of 42 inches with a grip and a weight around its foot."""
    colour = orange(rng)
    body, white = plastic(rng, colour), sheeting(rng)
    rows = [(0.2, body), (0.14, white), (0.08, body), (0.14, white), (0.08, body)]
    rows += [(0.1, white), (0.26, body)] if rng.random() < 0.5 else [(0.36, body)]
    height = rng.uniform(1.0, 1.12)
    shapes: Shapes = [
        upright(bands(*rows, gloss=0.15), 0.06, height, 0.105, 0.045),
        upright(body, height, height + 0.05, 0.02, 0.02),
        ball(body, (0, height + 0.07, 0), (0.06, 0.03, 0.02)),
        upright(rubber(rng), 0, 0.09, rng.uniform(0.19, 0.24), 0.17),
    ]
    return Model(_upright_or_fallen(rng, shapes), nearest=4, wear=used(rng))


def _vertical_panel(rng: Random) -> Model:
    """A narrow panel with diagonal stripes on a rubber foot."""
    colour = orange(rng)
    width, height = rng.uniform(0.2, 0.32), rng.uniform(0.6, 0.95)
    face = stripes(
        sheeting(rng, colour),
        sheeting(rng),
        width / rng.uniform(0.2, 0.3),
        rng.choice((-1, 1)),
        width / height,
        gloss=0.2,
    )
    low = rng.uniform(0.08, 0.35)
    shapes: Shapes = [
        board(face, (0, low + height / 2, 0.021), width, height),
        box(
            plastic(rng, colour), (-width / 2 - 0.01, low - 0.01, -0.02), (width / 2 + 0.01, low + height + 0.01, 0.02)
        ),
        box(rubber(rng), (-0.28, 0, -0.2), (0.28, 0.07, 0.2), inset=(0.05, 0.05, 0.05, 0.05)),
        box(plastic(rng, colour), (-0.03, 0.05, -0.02), (0.03, low, 0.02)),
    ]
    if rng.random() < 0.25:
        shapes += placed(lamp(rng, 0), at=(0, low + height, 0))
    return Model(placed(shapes, tip=rng.gauss(0, 0.03)), facing=1.0, nearest=4, wear=used(rng))


def _channeliser_row(rng: Random) -> Model:
    """Several cones or drums in a row towards the horizon."""
    shapes: Shapes = []
    make = rng.choice((cone_shapes, drum_shapes))
    gap, seed = rng.uniform(1.2, 3.0), rng.random()
    for index in range(rng.randint(3, 5)):
        same = Random(seed)
        shapes += placed(
            make(same),
            turn=rng.uniform(0, 6),
            tip=rng.gauss(0, 0.02),
            at=(index * gap + rng.gauss(0, 0.1), 0, rng.gauss(0, 0.15)),
        )
    return Model(placed(shapes, at=(-gap, 0, 0)), facing=1.2, nearest=8, wear=used(rng))


def _longitudinal(rng: Random) -> Model:
    """Water-filled plastic barriers, orange and white in turn."""
    shapes: Shapes = []
    colours = [orange(rng), rng.choice(((236, 236, 232), (236, 236, 232), orange(rng)))]
    length, height = rng.uniform(1.0, 2.0), rng.uniform(0.75, 1.07)
    count = rng.randint(1, 4)
    for index in range(count):
        skin = plastic(rng, colours[index % 2])
        left = (index - count / 2) * length
        shapes += [
            box(skin, (left + 0.01, 0, -0.3), (left + length - 0.01, height * 0.4, 0.3), inset=(0, 0, 0.13, 0.13)),
            box(
                skin,
                (left + 0.02, height * 0.38, -0.17),
                (left + length - 0.02, height, 0.17),
                inset=(0, 0, 0.06, 0.06),
                bevel=0.03,
            ),
            box(
                plastic(rng, jittered(rng, colours[index % 2], 30)),
                (left + length / 2 - 0.2, 0, 0.26),
                (left + length / 2 + 0.2, 0.1, 0.31),
            ),
        ]
    return Model(shapes, facing=1.2, nearest=6, wear=used(rng))


CHANNELISERS: tuple[Kind, ...] = (
    Kind("cone", 16, _cone),
    Kind("cone_stack", 1.5, _cone_stack),
    Kind("drum", 12, _drum),
    Kind("tubular_marker", 7, _tube),
    Kind("grabber_cone", 4, _grabber),
    Kind("vertical_panel", 4, _vertical_panel),
    Kind("channeliser_row", 5, _channeliser_row),
    Kind("longitudinal_channeliser", 3, _longitudinal),
)
