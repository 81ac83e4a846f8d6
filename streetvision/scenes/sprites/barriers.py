"""Barricades, concrete barriers and fences."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from streetvision.scenes.sprites.build import Shapes, bar, beam, board, box, placed
from streetvision.scenes.sprites.channelisers import cone_shapes, lamp
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import DARK, jittered, orange, plastic, rubber, sheeting, steel
from streetvision.scenes.sprites.surface import RGB, Surface, painted, plain, stripes


def rail(rng: Random, colour: RGB, width: float, height: float, slope: float) -> Surface:
    """A board's diagonal stripes, four or six inches wide."""
    pairs = width / rng.choice((0.24, 0.36, 0.44))
    return stripes(sheeting(rng, colour), sheeting(rng), max(1.5, pairs), slope, width / height, gloss=0.2)


def _colour(rng: Random) -> RGB:
    return orange(rng) if rng.random() < 0.85 else jittered(rng, (190, 24, 30))


def barricade_shapes(rng: Random, width: float, rails: int, height: float) -> Shapes:
    """Upright posts with striped boards on skids."""
    colour, tall = _colour(rng), rng.uniform(0.2, 0.3)
    post = rng.choice((plain((225, 225, 220)), steel(rng), plastic(rng, colour)))
    shapes: Shapes = []
    for x in (-width * 0.38, width * 0.38):
        shapes += [
            box(post, (x - 0.03, 0, -0.03), (x + 0.03, height, 0.03)),
            box(post, (x - 0.035, 0, -0.45), (x + 0.035, 0.05, 0.45)),
        ]
    slope = rng.choice((-1.0, 1.0))
    for index in range(rails):
        middle = height - tall / 2 - index * (height - 0.15) / max(rails, 2)
        shapes.append(
            box(plain((210, 208, 200)), (-width / 2, middle - tall / 2, 0.03), (width / 2, middle + tall / 2, 0.06))
        )
        shapes.append(board(rail(rng, colour, width, tall, slope), (0, middle, 0.063), width, tall))
    return shapes


def _long_barricade(rng: Random) -> Model:
    width, height = rng.uniform(1.2, 3.0), rng.uniform(1.4, 1.6)
    shapes = barricade_shapes(rng, width, rng.choice((2, 3, 3)), height)
    for x in (-width * 0.38, width * 0.38):
        if rng.random() < 0.3:
            shapes += placed(lamp(rng, 0), at=(x, height, 0))
    return Model(shapes + _sandbag(rng, width * 0.38), facing=1.0, nearest=6, wear=used(rng))


def _sandbag(rng: Random, x: float) -> Shapes:
    if rng.random() < 0.5:
        return []
    cloth = plain(rng.choice(((170, 160, 130), (215, 100, 40), (90, 90, 90))), bump=0.3)
    return [box(cloth, (x - 0.2, 0.02, 0.15), (x + 0.2, 0.17, 0.42), inset=(0.06,) * 4, bevel=0.06, soft=0.4)]


def _folding_barricade(rng: Random) -> Model:
    """An A-frame with one or two striped boards."""
    colour, width, height = _colour(rng), rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.15)
    frame, tall = rng.choice((plastic(rng, colour), plain((228, 228, 222)), steel(rng))), rng.uniform(0.2, 0.32)
    spread, shapes, slope = rng.uniform(0.18, 0.3), [], rng.choice((-1.0, 1.0))
    for side in (1, -1):
        for x in (-width / 2 + 0.04, width / 2 - 0.04):
            shapes.append(beam(frame, (x, 0, side * spread), (x, height, side * 0.03), 0.05, 0.03))
        for index in range(rng.choice((1, 2))):
            middle = height - tall / 2 - 0.02 - index * 0.42
            depth = side * (0.055 + spread * (1 - middle / height))
            shapes.append(
                board(
                    rail(rng, colour, width, tall, slope), (0, middle, depth), width, tall, lean=side * spread / height
                )
            )
    if rng.random() < 0.35:
        shapes += placed(lamp(rng, 0), at=(0, height, 0))
    return Model(placed(shapes, tip=rng.gauss(0, 0.02)), facing=1.0, nearest=4, wear=used(rng))


def _plastic_barricade(rng: Random) -> Model:
    """A moulded pedestrian barricade: slats in orange or white with a striped top."""
    colour = orange(rng)
    skin, width, height = plastic(rng, rng.choice((colour, colour, (232, 230, 224)))), rng.uniform(1.2, 2.0), 1.0
    shapes: Shapes = [
        box(skin, (-width / 2, 0.9, -0.03), (width / 2, height, 0.03), bevel=0.01),
        box(skin, (-width / 2, 0.18, -0.03), (width / 2, 0.26, 0.03)),
    ]
    slats = rng.randint(5, 12)
    for index in range(slats):
        x = -width / 2 + (index + 0.5) * width / slats
        shapes.append(box(skin, (x - 0.02, 0.2, -0.02), (x + 0.02, 0.95, 0.02)))
    for x in (-width * 0.4, width * 0.4):
        shapes.append(box(rubber(rng), (x - 0.06, 0, -0.3), (x + 0.06, 0.09, 0.3)))
    if rng.random() < 0.8:
        shapes.append(board(rail(rng, colour, width, 0.2, 1.0), (0, 0.83, 0.035), width * 0.97, 0.2))
    return Model(shapes, facing=1.1, nearest=5, wear=used(rng))


def _concrete_barrier(rng: Random) -> Model:
    """Temporary concrete barriers end to end, with reflectors or a striped end now and then."""
    length, count = rng.uniform(2.0, 3.5), rng.randint(1, 3)
    shapes: Shapes = []
    for index in range(count):
        grey = rng.randint(135, 200)
        skin = plain((grey, grey - 4, grey - 12), gloss=0.05, bump=0.18, wear=1.2)
        left = (index - count / 2) * length
        shapes += [
            box(skin, (left, 0, -0.3), (left + length - 0.03, 0.28, 0.3), inset=(0, 0, 0.15, 0.15)),
            box(skin, (left, 0.27, -0.15), (left + length - 0.03, 0.82, 0.15), inset=(0, 0, 0.07, 0.07)),
        ]
        if rng.random() < 0.4:
            shapes.append(board(sheeting(rng, orange(rng)), (left + length / 2, 0.7, 0.12), 0.12, 0.12))
    if rng.random() < 0.3:
        shapes.append(
            board(
                rail(rng, orange(rng), 0.6, 0.8, 1), (count * length / 2 + 0.01, 0.45, 0), 0.5, 0.8, facing=math.pi / 2
            )
        )
    return Model(shapes, facing=1.3, nearest=8, wear=used(rng))


def mesh(rng: Random, colour: RGB, kind: str) -> Surface:
    """A net as a texture with holes: `oval` of safety fences, `chain` links, `bars` of welded wire."""
    width, height, cell = 220, 96, {"oval": 8, "chain": 6, "bars": 6}[kind]
    picture = Image.new("RGBA", (width, height), (*colour, 255))
    draw = ImageDraw.Draw(picture)
    for row, top in enumerate(range(0, height, cell)):
        for left in range(-cell, width, cell):
            x = left + (cell // 2 if row % 2 and kind != "bars" else 0)
            hole = (x + 1, top + 1, x + cell - 2, top + cell - (3 if kind == "oval" else 2))
            (draw.rectangle if kind == "bars" else draw.ellipse)(hole, fill=(*colour, 0))
    soft = picture.resize((width // 2, height // 2), Image.Resampling.BOX)
    alpha = np.asarray(soft.getchannel("A"), np.float32)
    thin = {"oval": 1.1, "chain": 0.8, "bars": 0.8}[kind] * rng.uniform(0.8, 1.1)
    soft.putalpha(Image.fromarray((alpha * thin).clip(0, 255).astype(np.uint8)))
    return painted(soft, gloss=0.08)


def _mesh_fence(rng: Random) -> Model:
    """Orange plastic mesh that sags between stakes."""
    colour, height = orange(rng), rng.uniform(0.9, 1.25)
    net, x = mesh(rng, colour, "oval"), -2.2
    shapes: Shapes = []
    stake = rng.choice((steel(rng), plain((150, 120, 80)), plain((90, 40, 36))))
    previous = (x, rng.gauss(0, 0.08))
    shapes.append(bar(stake, (x, 0, previous[1]), (x, height + 0.1, previous[1]), 0.02))
    for _ in range(rng.randint(2, 4)):
        x += rng.uniform(1.0, 1.8)
        depth, sag = rng.gauss(0, 0.12), rng.uniform(0.0, 0.18)
        shapes.append(bar(stake, (x, 0, depth), (x, height + 0.1, depth), 0.02))
        middle = ((previous[0] + x) / 2, (height - sag) / 2, (previous[1] + depth) / 2)
        facing = -math.atan2(depth - previous[1], x - previous[0])
        shapes.append(board(net, middle, x - previous[0], height - sag, facing=facing, lean=rng.gauss(0, 0.1)))
        previous = (x, depth)
    return Model(shapes, facing=1.0, nearest=7, wear=used(rng))


def _panel_fence(rng: Random) -> Model:
    """Site fence: panels of chain link or welded wire in tubes, on blocks; some with a green or black screen."""
    height, width = rng.uniform(1.8, 2.1), rng.uniform(2.4, 3.4)
    shapes: Shapes = []
    tube, net = steel(rng, (165, 168, 170)), mesh(rng, (120, 122, 124), rng.choice(("chain", "bars")))
    screen = plain(rng.choice(((30, 70, 45), (30, 32, 34), (36, 60, 110))), alpha=0.88) if rng.random() < 0.3 else None
    foot = rng.choice((plain((170, 168, 160), bump=0.2), rubber(rng), plastic(rng, orange(rng))))
    count = rng.randint(1, 3)
    for index in range(count):
        left, right = (index - count / 2) * width, (index + 1 - count / 2) * width - 0.06
        for x in (left, right):
            shapes += [
                bar(tube, (x, 0, 0), (x, height, 0), 0.022),
                box(foot, (x - 0.12, 0, -0.32), (x + 0.12, 0.14, 0.32), bevel=0.03),
            ]
        for y in (0.2, height):
            shapes.append(bar(tube, (left, y, 0), (right, y, 0), 0.02))
        shapes.append(board(screen or net, ((left + right) / 2, (height + 0.2) / 2, 0), right - left, height - 0.2))
    return Model(shapes, facing=1.1, nearest=9, wear=used(rng, 0.7))


def _crowd_barrier(rng: Random) -> Model:
    """A steel crowd control barrier, now and then with an orange sign or tape."""
    metal, width = steel(rng, (160, 162, 164)), rng.uniform(1.8, 2.5)
    shapes: Shapes = [bar(metal, (-width / 2, y, 0), (width / 2, y, 0), 0.02) for y in (0.15, 1.08)]
    bars = rng.randint(10, 18)
    for index in range(bars + 1):
        x = -width / 2 + index * width / bars
        shapes.append(
            bar(metal, (x, 0.15 if 0 < index < bars else 0.0, 0), (x, 1.08, 0), 0.008 if 0 < index < bars else 0.02)
        )
    for x in (-width * 0.4, width * 0.4):
        shapes.append(box(metal, (x - 0.02, 0, -0.3), (x + 0.02, 0.03, 0.3)))
    shapes.append(board(rail(rng, orange(rng), width * 0.6, 0.25, 1), (0, 0.75, 0.03), width * 0.6, 0.25))
    return Model(shapes, facing=1.1, nearest=6, wear=used(rng, 0.6))


def _plank_on_cones(rng: Random) -> Model:
    """A striped bar across two cones."""
    span, seed, shapes = rng.uniform(1.3, 2.2), rng.random(), []
    for x in (-span / 2, span / 2):
        shapes += placed(cone_shapes(Random(seed)), at=(x, 0, 0), turn=rng.uniform(0, 6))
    height = rng.uniform(0.45, 0.75)
    shapes.append(beam(DARK, (-span / 2 - 0.2, height, 0), (span / 2 + 0.2, height, 0), 0.08, 0.06))
    shapes.append(board(rail(rng, orange(rng), span + 0.4, 0.09, 1), (0, height, 0.035), span + 0.4, 0.09))
    return Model(shapes, facing=0.9, nearest=5, wear=used(rng))


BARRIERS: tuple[Kind, ...] = (
    Kind("long_barricade", 5, _long_barricade),
    Kind("folding_barricade", 6, _folding_barricade),
    Kind("plastic_barricade", 2.5, _plastic_barricade),
    Kind("concrete_barrier", 3, _concrete_barrier),
    Kind("mesh_fence", 4, _mesh_fence),
    Kind("panel_fence", 3, _panel_fence),
    Kind("crowd_barrier", 1, _crowd_barrier),
    Kind("cone_bar", 1.5, _plank_on_cones),
)
