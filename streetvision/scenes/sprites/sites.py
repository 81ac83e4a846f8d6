"""What surrounds building sites and cuts in the road: scaffolds, hoardings, tape, guards, machines on trailers."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.barriers import mesh, rail
from streetvision.scenes.sprites.build import Shapes, bar, board, box, placed
from streetvision.scenes.sprites.channelisers import cone_shapes, drum_shapes
from streetvision.scenes.sprites.machines import excavator_shapes, loader_shapes
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import DARK, jittered, lime, orange, paint, rubber, steel
from streetvision.scenes.sprites.surface import Surface, painted, plain, stripes
from streetvision.scenes.sprites.vehicle_frames import cab_shapes, tail_lamps, wheels


def _scaffold(rng: Random) -> Model:
    """Tubes, planks and netting before a house, two to four storeys."""
    tube, plank = steel(rng, (150, 152, 156)), plain(jittered(rng, (170, 134, 88)), bump=0.1)
    bays, storeys, width = rng.randint(2, 4), rng.randint(2, 4), rng.uniform(1.8, 2.5)
    height, left = 2.0 * storeys, -bays * width / 2
    shapes: Shapes = []
    for bay in range(bays + 1):
        x = left + bay * width
        shapes += [bar(tube, (x, 0, z), (x, height + 1.0, z), 0.03) for z in (-0.5, 0.5)]
    for storey in range(1, storeys + 1):
        y = 2.0 * storey
        shapes.append(box(plank, (left, y - 0.06, -0.5), (-left, y, 0.5)))
        shapes += [bar(tube, (left, y + rise, 0.5), (-left, y + rise, 0.5), 0.025) for rise in (0.5, 1.0)]
        bay = rng.randrange(bays)
        shapes.append(bar(tube, (left + bay * width, y - 2, 0.5), (left + (bay + 1) * width, y, 0.5), 0.025))
    if rng.random() < 0.4:
        net = rng.choice(
            (mesh(rng, (50, 110, 70), "bars"), plain((210, 214, 216), alpha=0.75), mesh(rng, orange(rng), "oval"))
        )
        shapes.append(board(net, (0, height / 2 + 1.0, 0.56), -2 * left, height - 1.5))
    return Model(shapes, facing=1.0, nearest=12, wear=used(rng, 0.6))


def _hoarding(rng: Random) -> Model:
    """A fence of painted or raw plywood with notices."""
    skin = plain(
        rng.choice(((190, 158, 112), (60, 90, 130), (56, 96, 66), (226, 226, 222), (150, 60, 50))), bump=0.08, wear=1.2
    )
    width, height, count = 1.22, rng.uniform(2.0, 2.5), rng.randint(3, 6)
    shapes: Shapes = []
    for index in range(count):
        left = (index - count / 2) * width
        shapes.append(box(skin, (left, 0, -0.02), (left + width - 0.012, height, 0.02)))
        if rng.random() < 0.35:
            words, ground, ink = rng.choice(
                (
                    ("DANGER", legends.BLACK, (220, 40, 40)),
                    ("SITE\nENTRANCE", (240, 190, 30), legends.BLACK),
                    ("HARD HAT\nAREA", (236, 236, 232), (30, 80, 160)),
                )
            )
            picture = legends.face("rectangle", ground, ink, words=words, ink=ink, aspect=1.3)
            shapes.append(board(painted(picture), (left + width / 2, 1.5, 0.03), 0.65, 0.5))
    return Model(shapes, facing=1.1, nearest=8, wear=used(rng))


def _tape_face(rng: Random) -> Surface:
    words = "CAUTION   CAUTION   CAUTION" if rng.random() < 0.6 else ""
    if words:
        return painted(legends.face("rectangle", (250, 206, 20), (250, 206, 20), words=words, aspect=8.0), gloss=0.25)
    return stripes(plain(rng.choice(((200, 30, 36), orange(rng)))), plain((236, 236, 232)), 9, 1.0, 12.0, gloss=0.25)


def _tape(rng: Random) -> Model:
    """Caution tape that sags between cones, drums or stakes."""
    face, span, seed = _tape_face(rng), rng.uniform(1.6, 3.0), rng.random()
    make, top = rng.choice(((cone_shapes, 0.5), (drum_shapes, 0.95)))
    count = rng.randint(2, 3)
    shapes: Shapes = []
    for index in range(count):
        shapes += placed(make(Random(seed)), at=((index - count / 2) * span, 0, 0), turn=rng.uniform(0, 6))
    for index in range(count - 1):
        left, sag = (index - count / 2) * span, rng.uniform(0.04, 0.16)
        for part in range(4):
            x, low = left + (part + 0.5) * span / 4, sag * (1 - (part - 1.5) ** 2 / 2.6)
            shapes.append(
                board(face, (x, top - low, 0.05 + rng.gauss(0, 0.01)), span / 4, 0.075, lean=rng.gauss(0, 0.4))
            )
    return Model(shapes, facing=0.9, nearest=6, wear=used(rng, 0.7))


def _manhole_guard(rng: Random) -> Model:
    """A folding guard around an open manhole."""
    colour = rng.choice((orange(rng), (240, 190, 30), (200, 40, 40)))
    metal, half, high = plain(colour, gloss=0.3), rng.uniform(0.45, 0.7), rng.uniform(0.8, 1.05)
    shapes: Shapes = [bar(metal, (x, 0, z), (x, high, z), 0.02) for x in (-half, half) for z in (-half, half)]
    for y in (high, high * 0.55):
        shapes += [bar(metal, (-half, y, z), (half, y, z), 0.02) for z in (-half, half)]
        shapes += [bar(metal, (x, y, -half), (x, y, half), 0.02) for x in (-half, half)]
    shapes += [board(rail(rng, orange(rng), 2 * half, 0.2, 1.0), (0, high * 0.78, half + 0.03), 2 * half, 0.2)]
    shapes += [
        bar(DARK, (0, 0, 0), (0, 0.015, 0), 0.33),
        bar(steel(rng, (90, 84, 80)), (half + 0.5, 0, 0), (half + 0.5, 0.04, 0), 0.35),
    ]
    if rng.random() < 0.5:
        shapes += placed(cone_shapes(rng), at=(-half - 0.5, 0, 0.2))
    return Model(placed(shapes, turn=rng.gauss(0, 0.4)), nearest=5, wear=used(rng))


def _loaded_trailer(rng: Random) -> Model:
    """A flat trailer with a digger or a loader on it, seen from any side."""
    bed, length = (
        paint(rng, rng.choice(((30, 30, 32), (30, 30, 32), (150, 30, 34), (230, 170, 30)))),
        rng.uniform(4.5, 7.0),
    )
    make = rng.choice((excavator_shapes, loader_shapes))
    frame: Shapes = [
        box(bed, (-1.1, 0.62, -length / 2), (1.1, 0.8, length / 2)),
        box(plain((120, 90, 60), bump=0.1), (-1.05, 0.79, -length / 2), (1.05, 0.82, length / 2)),
        bar(bed, (0, 0.65, length / 2), (0, 0.5, length / 2 + 1.3), 0.07),
        *wheels(rng, 1.15, (-0.9, -0.1), 0.36),
        *tail_lamps(rng, 1.1, -length / 2, (0.62, 0.74), 0.2),
        board(
            rail(rng, rng.choice((orange(rng), (190, 24, 30))), 2.2, 0.12, 1.0),
            (0, 0.55, -length / 2 - 0.02),
            2.2,
            0.12,
            facing=math.pi,
        ),
    ]
    load = placed(make(rng, rng.uniform(0.5, 0.75)), turn=rng.choice((-1, 1)) * math.pi / 2, at=(0, 0.82, 0))
    return Model(frame + load, nearest=9, wear=used(rng, 0.7))


def _barrier_fence(rng: Random) -> Model:
    """Concrete or water-filled barriers with a fence on top."""
    colour = rng.choice(((176, 172, 164), (176, 172, 164), orange(rng), (234, 234, 230)))
    skin, length = plain(colour, bump=0.15, wear=1.2), rng.uniform(2.5, 4.0)
    tube, net = steel(rng, (165, 168, 170)), mesh(rng, (122, 124, 126), rng.choice(("chain", "bars")))
    shapes: Shapes = []
    for index in range(rng.randint(1, 2)):
        left = index * length - length
        shapes += [
            box(skin, (left, 0, -0.3), (left + length - 0.03, 0.3, 0.3), inset=(0, 0, 0.14, 0.14)),
            box(skin, (left, 0.29, -0.16), (left + length - 0.03, 0.85, 0.16), inset=(0, 0, 0.06, 0.06)),
            board(net, (left + length / 2, 1.75, 0), length, 1.8),
            *(bar(tube, (x, 0.8, 0), (x, 2.65, 0), 0.025) for x in (left + 0.05, left + length - 0.08)),
            bar(tube, (left, 2.65, 0), (left + length, 2.65, 0), 0.02),
        ]
        if rng.random() < 0.4:
            shapes.append(
                board(
                    plain(rng.choice(((40, 80, 60), (30, 60, 110), (40, 40, 42))), alpha=0.9),
                    (left + length / 2, 1.75, 0.01),
                    length,
                    1.7,
                )
            )
    return Model(shapes, facing=1.1, nearest=9, wear=used(rng, 0.8))


def _vacuum_truck(rng: Random) -> Model:
    """A truck with a round tank and a hose: sewer cleaning, vacuum digging."""
    skin = paint(rng, rng.choice(((236, 236, 234), (236, 236, 234), (40, 90, 160), (236, 180, 30), lime(rng))))
    tank = plain(rng.choice(((226, 226, 224), (170, 172, 174))), gloss=0.4)
    shapes: Shapes = [
        box(DARK, (-0.5, 0.6, -3.6), (0.5, 1.0, 3.0)),
        bar(tank, (0, 1.9, -3.4), (0, 1.9, 1.4), 0.98),
        box(skin, (-1.2, 0.75, -3.4), (1.2, 1.25, 1.2), bevel=0.04),
        bar(rubber(rng), (0.3, 2.9, -3.0), (0.9, 3.1, 2.2), 0.14),
        *cab_shapes(rng, skin, 1.1, (0.8, 2.7), (1.8, 3.5)),
        *wheels(rng, 1.15, (-2.6, -1.5, 2.7), 0.5),
        *tail_lamps(rng, 1.1, -3.6, (0.75, 0.95), 0.25),
    ]
    return Model(shapes, nearest=10, wear=used(rng, 0.6))


SITES: tuple[Kind, ...] = (
    Kind("scaffold", 2.5, _scaffold),
    Kind("hoarding", 1, _hoarding),
    Kind("caution_tape", 2.5, _tape),
    Kind("manhole_guard", 1.5, _manhole_guard),
    Kind("loaded_trailer", 2.5, _loaded_trailer),
    Kind("barrier_fence", 2.5, _barrier_fence),
    Kind("vacuum_truck", 1.2, _vacuum_truck),
)
