"""What lies on the ground of works: heaps, trenches, patches, plates, pipes, bags, skips, tarps."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from streetvision.scenes import noise
from streetvision.scenes.sprites.build import Shapes, ball, bar, box, floor, placed
from streetvision.scenes.sprites.channelisers import cone_shapes
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import DARK, EARTH, jittered, orange, paint, steel
from streetvision.scenes.sprites.surface import RGB, Surface, linear, plain

LOOSE: tuple[RGB, ...] = (*EARTH, (170, 150, 112), (150, 148, 142), (120, 118, 114), (58, 56, 56))


def heap_shapes(rng: Random, colour: RGB, radius: float, height: float) -> Shapes:
    """A heap of loose stuff: a cone with lumps and stray clods."""
    skin = plain(colour, gloss=0.0, bump=0.8, wear=1.5)
    shapes: Shapes = [bar(skin, (0, -0.02, 0), (0, height * 0.86, 0), radius, radius * 0.12)]
    for _ in range(rng.randint(12, 20)):
        away, angle = radius * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        size = radius * rng.uniform(0.08, 0.3)
        top = max(size * 0.45, height * 0.86 * (1 - away / radius) * rng.uniform(0.6, 1.0))
        lump = plain(jittered(rng, colour, 14), gloss=0.0, bump=0.9, wear=1.5)
        shapes.append(ball(lump, (away * math.cos(angle), top, away * math.sin(angle)), (size, size * 0.6, size)))
    for _ in range(rng.randint(3, 9)):
        away, angle, size = radius * rng.uniform(0.9, 1.3), rng.uniform(0, 2 * math.pi), rng.uniform(0.03, 0.09)
        shapes.append(ball(skin, (away * math.cos(angle), size * 0.5, away * math.sin(angle)), size))
    return shapes


def _heap(rng: Random) -> Model:
    radius = rng.uniform(0.5, 2.4)
    shapes = heap_shapes(rng, jittered(rng, rng.choice(LOOSE), 14), radius, radius * rng.uniform(0.45, 0.8))
    if rng.random() < 0.25:
        shapes += placed(cone_shapes(rng), at=(rng.choice((-1, 1)) * radius * 1.3, 0, 0.3))
    return Model(shapes, nearest=4 + radius, wear=used(rng, 0.6))


def ragged(rng: Random, colour: RGB, dark: RGB, edge: float = 0.16) -> Surface:
    """A patch whose edge frays and whose colour is mottled: soil, broken asphalt, fresh filling."""
    side = 96
    rough = noise.patch(noise.cloudy(), rng, side, side)
    row, column = np.abs(np.mgrid[0:side, 0:side].astype(np.float32) / (side - 1) * 2 - 1)
    border = 1.0 - np.maximum(row, column) + edge * 0.35 * rough
    texture = np.zeros((6, side, side), np.float32)
    mixed = np.clip(0.5 + 0.4 * noise.patch(noise.cloudy(), rng, side, side), 0, 1)
    light, deep = (np.array(linear(level), np.float32)[:, None, None] for level in (colour, dark))
    texture[:3] = light * mixed + deep * (1 - mixed)
    texture[3] = np.clip(border / 0.04, 0.0, 1.0)
    return Surface(texture, 0.0, 0.7, 1.0)


def _trench(rng: Random) -> Model:
    """An open cut with spoil along it, often guarded by cones."""
    length, width = rng.uniform(2.0, 5.0), rng.uniform(0.7, 1.6)
    soil = jittered(rng, rng.choice(EARTH), 12)
    dark: RGB = (soil[0] // 3, soil[1] // 3, soil[2] // 3)
    shapes: Shapes = [
        floor(ragged(rng, soil, dark, 0.3), (0, 0.01, 0), length * 1.15, width * 1.9),
        floor(ragged(rng, dark, (16, 14, 12), 0.1), (0, 0.02, 0), length, width),
    ]
    for index in range(rng.randint(2, 4)):
        heap = heap_shapes(rng, soil, rng.uniform(0.4, 0.8), rng.uniform(0.25, 0.6))
        shapes += placed(heap, at=(-length / 2 + (index + 0.5) * length / 3.5, 0, -width * 0.9))
    for x in (-length / 2, length / 2):
        if rng.random() < 0.6:
            shapes += placed(cone_shapes(rng), at=(x * 1.1, 0, rng.uniform(0.2, 1.0)))
    return Model(placed(shapes, turn=rng.uniform(-0.6, 0.6)), facing=0.6, nearest=6, wear=used(rng, 0.5))


def _plate(rng: Random) -> Model:
    """A steel plate across the lane with asphalt at its edges."""
    width, depth = rng.uniform(1.5, 2.6), rng.uniform(1.2, 3.0)
    rust = plain(rng.choice(((96, 70, 56), (84, 78, 74), (120, 84, 60), (70, 70, 72))), gloss=0.25, bump=0.12, wear=1.5)
    shapes: Shapes = [
        floor(ragged(rng, (40, 40, 42), (26, 26, 28), 0.2), (0, 0.005, 0), width * 1.2, depth * 1.2),
        box(rust, (-width / 2, 0, -depth / 2), (width / 2, 0.04, depth / 2)),
    ]
    return Model(placed(shapes, turn=rng.uniform(-0.4, 0.4)), nearest=5, wear=used(rng))


def _dug_up(rng: Random) -> Model:
    """Ground without its surface: soil, rubble, slabs that were lifted."""
    length, width = rng.uniform(2.5, 6.0), rng.uniform(1.5, 3.5)
    soil = jittered(rng, rng.choice(EARTH), 14)
    shapes: Shapes = [
        floor(ragged(rng, soil, (soil[0] // 2, soil[1] // 2, soil[2] // 2), 0.5), (0, 0.01, 0), length, width)
    ]
    slab = plain((158, 154, 146), bump=0.3)
    for _ in range(rng.randint(2, 8)):
        size, thick = rng.uniform(0.15, 0.5), rng.uniform(0.05, 0.12)
        piece = box(slab, (-size, 0, -size * 0.7), (size, thick, size * 0.7), bevel=0.02)
        at = (rng.uniform(-0.4, 0.4) * length, 0.02, rng.uniform(-0.4, 0.4) * width)
        shapes += placed([piece], tip=rng.gauss(0, 0.25), turn=rng.uniform(0, 6), at=at)
    for _ in range(rng.randint(1, 3)):
        heap = heap_shapes(rng, soil, rng.uniform(0.3, 0.9), rng.uniform(0.15, 0.5))
        shapes += placed(heap, at=(rng.uniform(-0.4, 0.4) * length, 0, rng.uniform(-0.4, 0.4) * width))
    return Model(shapes, nearest=6, wear=used(rng, 0.5))


def _pipes(rng: Random) -> Model:
    """Pipes stacked or strung: concrete, blue or green plastic, black or orange conduit."""
    size, length = rng.choice(((0.08, 4.0), (0.16, 4.0), (0.45, 2.2)))
    colour = rng.choice(((168, 164, 156), (40, 110, 180), (50, 130, 80), (34, 34, 36), orange(rng)))
    skin, hollow = plain(colour, gloss=0.2, bump=0.05), plain((14, 14, 14), gloss=0.0)
    shapes: Shapes = []
    rows = rng.randint(1, 3)
    for row in range(rows):
        for column in range(rows + 1 - row):
            x, y = (column - (rows - row) / 2) * 2 * size, size + row * 1.73 * size
            start, end = (x, y, -length / 2), (x, y, length / 2 + rng.gauss(0, 0.05))
            shapes.append(bar(skin, start, end, size))
            shapes.append(bar(hollow, (x, y, end[2] - 0.1), (x, y, end[2] + 0.003), size * 0.82))
    return Model(shapes, facing=1.4, nearest=6, wear=used(rng))


def _bags(rng: Random) -> Model:
    """Sandbags, or a pallet of cement or bricks under foil."""
    if rng.random() < 0.5:
        cloth = plain(rng.choice(((176, 166, 136), (214, 104, 44), (200, 200, 196), (70, 74, 66))), bump=0.5)
        shapes: Shapes = []
        for row in range(rng.randint(1, 3)):
            for column in range(4 - row):
                bag = box(cloth, (-0.24, 0, -0.16), (0.24, 0.14, 0.16), inset=(0.05,) * 4, bevel=0.08, soft=0.5)
                shapes += placed(
                    [bag], turn=rng.gauss(0, 0.25), at=((column - (3 - row) / 2) * 0.46, row * 0.12, rng.gauss(0, 0.04))
                )
        return Model(shapes, nearest=4, wear=used(rng))
    load = plain(rng.choice(((170, 168, 160), (150, 84, 60), (226, 224, 218), (200, 180, 140))), bump=0.2)
    shapes = [box(plain((150, 120, 80)), (-0.55, 0, -0.45), (0.55, 0.14, 0.45))]
    shapes += [
        box(load, (-0.5, 0.14 + 0.14 * i, -0.4), (0.5, 0.27 + 0.14 * i, 0.4), bevel=0.03)
        for i in range(rng.randint(2, 6))
    ]
    return Model(placed(shapes, turn=rng.uniform(0, 3)), nearest=4, wear=used(rng))


def _skip(rng: Random) -> Model:
    """A skip or roll-off container, often full of rubble."""
    colour = rng.choice((orange(rng), (236, 180, 30), (40, 80, 140), (150, 30, 34), (60, 100, 70), (90, 92, 94)))
    skin, length = paint(rng, colour), rng.uniform(2.4, 5.5)
    high = rng.uniform(1.2, 2.2)
    shapes: Shapes = [
        box(skin, (-length / 2, 0.1, -1.0), (length / 2, high, 1.0), inset=(-0.25, -0.25, -0.05, -0.05)),
        box(DARK, (-length / 2 - 0.1, high - 0.01, -0.95), (length / 2 + 0.1, high + 0.01, 0.95)),
    ]
    for index in range(int(length / 0.6)):
        x = -length / 2 + 0.3 + index * 0.6
        shapes += [box(skin, (x, 0.1, side * 1.02 - 0.04), (x + 0.1, high, side * 1.05 + 0.04)) for side in (-1, 1)]
    if rng.random() < 0.7:
        shapes += placed(heap_shapes(rng, rng.choice(LOOSE), 0.9, 0.5), at=(0, high, 0))
    return Model(shapes, nearest=7, wear=used(rng))


def _tarp(rng: Random) -> Model:
    """Something under a tarpaulin."""
    skin = plain(
        rng.choice(((40, 90, 170), (60, 120, 70), orange(rng), (180, 180, 176), (70, 60, 50))), gloss=0.25, bump=0.55
    )
    wide, high = rng.uniform(0.8, 2.0), rng.uniform(0.6, 1.4)
    shapes: Shapes = [
        box(skin, (-wide, 0, -0.7), (wide, high * 0.75, 0.7), inset=(0.25, 0.2, 0.2, 0.25), bevel=0.2, soft=0.4)
    ]
    for _ in range(rng.randint(3, 6)):
        size = rng.uniform(0.3, 0.6)
        shapes.append(
            ball(
                skin,
                (rng.uniform(-0.7, 0.7) * wide, high * 0.55, rng.uniform(-0.3, 0.3)),
                (size, high * rng.uniform(0.3, 0.45), size),
            )
        )
    return Model(shapes, nearest=5, wear=used(rng))


def _tripod(rng: Random) -> Model:
    """A surveyor's tripod with its instrument."""
    wood, head = (
        plain(rng.choice(((220, 170, 60), orange(rng), (170, 130, 80)))),
        plain(rng.choice(((230, 190, 50), (60, 110, 80))), gloss=0.3),
    )
    shapes: Shapes = [
        bar(wood, (0.05 * math.cos(a), 1.4, 0.05 * math.sin(a)), (0.5 * math.cos(a), 0, 0.5 * math.sin(a)), 0.025)
        for a in (0.4, 2.5, 4.6)
    ]
    shapes += [
        bar(steel(rng), (0, 1.38, 0), (0, 1.44, 0), 0.09),
        box(head, (-0.09, 1.44, -0.08), (0.09, 1.7, 0.08), bevel=0.03),
    ]
    shapes.append(bar(DARK, (0, 1.6, -0.1), (0, 1.6, 0.14), 0.04))
    return Model(shapes, nearest=4, wear=used(rng, 0.5))


GROUND_WORKS: tuple[Kind, ...] = (
    Kind("heap", 4, _heap),
    Kind("trench", 2.5, _trench),
    Kind("steel_plate", 2, _plate),
    Kind("dug_up", 3, _dug_up),
    Kind("pipes", 2, _pipes),
    Kind("bags", 1.5, _bags),
    Kind("skip", 1, _skip),
    Kind("tarp", 0.6, _tarp),
    Kind("tripod", 0.7, _tripod),
)
