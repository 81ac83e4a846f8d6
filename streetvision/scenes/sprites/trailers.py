"""What works tow along: arrow boards, message boards, light towers, generators, mixers, compressors."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.build import Shapes, ball, bar, beam, board, box, placed
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import DARK, MACHINES, RED_LAMP, orange, paint, plastic, steel
from streetvision.scenes.sprites.surface import RGB, Surface, glowing, painted, plain
from streetvision.scenes.sprites.vehicle_frames import wheel

AMBER: RGB = (255, 176, 40)
MESSAGES: tuple[str, ...] = (
    *("ROAD\nWORK\nAHEAD", "LANE\nCLOSED\nAHEAD", "EXPECT\nDELAYS", "RIGHT\nLANE\nCLOSED", "SLOW\nDOWN", "WORK\nZONE"),
    *("DETOUR\nAHEAD", "NIGHT\nWORK\n9PM-5AM", "BRIDGE\nCLOSED", "USE\nOTHER\nROUTES"),
)
_LAMPS = {
    "right": [(x, 3) for x in range(1, 12)] + [(9, 1), (10, 2), (10, 4), (9, 5)],
    "left": [(x, 3) for x in range(1, 12)] + [(3, 1), (2, 2), (2, 4), (3, 5)],
    "chevrons": [(x + d, 3 + s * (2 - d)) for x in (1, 5, 9) for d in (0, 1, 2) for s in (-1, 1)],
    "bar": [(x, 3) for x in range(2, 11)],
    "corners": [(1, 1), (11, 1), (1, 5), (11, 5)],
}


def arrow_face(rng: Random) -> Surface:
    """A black board of 13 by 7 places for lamps, some of them lit as an arrow."""
    width, height, cell = 208, 112, 16
    picture = Image.new("RGBA", (width, height), (26, 26, 28, 255))
    draw = ImageDraw.Draw(picture)
    lit = (
        set(_LAMPS[rng.choice(("right", "left", "left", "chevrons", "bar", "corners"))])
        if rng.random() < 0.8
        else set()
    )
    every = {place for places in _LAMPS.values() for place in places}
    for x, y in sorted(every):
        radius = 6.5 if (x, y) in lit else 5
        middle = (x * cell + 8, y * cell + 8)
        fill = AMBER if (x, y) in lit else (66, 60, 48)
        draw.ellipse(
            (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=(*fill, 255)
        )
    return _lit(painted(picture, gloss=0.1), rng.uniform(0.8, 3.0))


def _lit(face: Surface, level: float) -> Surface:
    """Bright texels glow."""
    face.texture[5] = (face.texture[0] > 0.5) * level
    return face


def message_face(rng: Random) -> Surface:
    """A dark board with amber words."""
    words = rng.choice(MESSAGES) if rng.random() < 0.85 else ""
    picture = legends.face("rectangle", (24, 24, 26), (50, 50, 52), words=words, ink=AMBER, aspect=1.6)
    return _lit(painted(picture, gloss=0.1), rng.uniform(0.8, 2.5))


def trailer_shapes(rng: Random, skin: Surface, width: float = 1.5, length: float = 2.4) -> Shapes:
    """A low trailer with two wheels and a drawbar along x."""
    half = length / 2
    shapes: Shapes = [
        box(skin, (-half, 0.42, -width / 2), (half, 0.55, width / 2)),
        bar(skin, (half, 0.48, 0), (half + 1.2, 0.42, 0), 0.04),
        *(
            bar(steel(rng), (x, 0, z), (x, 0.5, z), 0.03)
            for x in (-half + 0.1, half - 0.1)
            for z in (-width / 2, width / 2)
        ),
    ]
    for side in (-1, 1):
        shapes += placed(wheel(rng, side * (width / 2 + 0.2), 0, 0.31), turn=math.pi / 2)
        shapes += [
            box(
                skin,
                (-0.42, 0.6, side * (width / 2 + 0.1) - 0.14),
                (0.42, 0.68, side * (width / 2 + 0.1) + 0.14),
                bevel=0.05,
            )
        ]
    return shapes


def _board_trailer(rng: Random, face: Surface, width: float, height: float) -> Model:
    colour = orange(rng) if rng.random() < 0.6 else rng.choice(((236, 180, 30), (230, 230, 226), (40, 42, 44)))
    skin, low = paint(rng, colour), rng.uniform(1.0, 2.1)
    shapes = trailer_shapes(rng, skin)
    shapes += [
        box(skin, (-0.08, 0.5, -0.08), (0.08, low + height * 0.6, 0.08)),
        box(DARK, (-width / 2, low, 0.09), (width / 2, low + height, 0.16)),
        board(face, (0, low + height / 2, 0.165), width, height),
        box(skin, (-0.9, 0.55, -0.4), (-0.2, 0.95, 0.4), bevel=0.04),
    ]
    if rng.random() < 0.6:
        panel = plain((24, 30, 60), gloss=0.7)
        shapes += placed(
            [box(panel, (-width * 0.4, 0, -0.4), (width * 0.4, 0.05, 0.4))],
            nod=rng.uniform(0, 0.5),
            at=(0, low + height + 0.15, 0),
        )
    return Model(shapes, facing=0.9, nearest=7, wear=used(rng, 0.6))


def _arrow_board(rng: Random) -> Model:
    return _board_trailer(rng, arrow_face(rng), 2.4, 1.22)


def _message_board(rng: Random) -> Model:
    return _board_trailer(rng, message_face(rng), rng.uniform(2.0, 3.2), rng.uniform(1.2, 1.9))


def _light_tower(rng: Random) -> Model:
    skin, top = paint(rng, rng.choice(MACHINES)), rng.uniform(3.5, 7.5)
    lens = glowing(plain((235, 235, 230), gloss=0.4), rng.choice((0.0, 0.0, 5.0)))
    shapes = trailer_shapes(rng, skin)
    shapes += [
        box(skin, (-0.9, 0.55, -0.6), (0.9, 1.5, 0.6), bevel=0.08),
        box(DARK, (-0.5, 0.8, 0.58), (0.3, 1.2, 0.61)),
        bar(steel(rng, (200, 200, 200)), (0, 1.4, 0), (0, top, 0), 0.06),
        beam(DARK, (-0.8, top, 0), (0.8, top, 0), 0.06, 0.06),
    ]
    for x in (-0.65, -0.22, 0.22, 0.65):
        shapes += [
            box(DARK, (x - 0.17, top - 0.2, -0.1), (x + 0.17, top + 0.12, 0.08)),
            board(lens, (x, top - 0.04, 0.09), 0.3, 0.26),
        ]
    return Model(shapes, facing=1.3, nearest=9, wear=used(rng, 0.6))


def _generator(rng: Random) -> Model:
    """A compressor or generator on a trailer."""
    skin = paint(rng, rng.choice(MACHINES))
    shapes = trailer_shapes(rng, DARK)
    shapes += [
        box(skin, (-1.1, 0.55, -0.65), (1.1, rng.uniform(1.3, 1.9), 0.65), inset=(0.15, 0.05, 0.05, 0.05), bevel=0.12),
        box(DARK, (-0.8, 0.75, 0.6), (-0.2, 1.2, 0.665)),
        box(DARK, (0.1, 0.75, 0.6), (0.8, 1.2, 0.665)),
        bar(DARK, (0.6, 1.3, 0), (0.6, 2.1, 0), 0.05),
        box(RED_LAMP, (-1.12, 0.5, 0.4), (-1.08, 0.6, 0.55)),
    ]
    return Model(shapes, nearest=6, wear=used(rng, 0.8))


def _mixer(rng: Random) -> Model:
    """A small cement mixer."""
    drum, frame = plastic(rng, orange(rng)), plain(rng.choice(((40, 40, 42), orange(rng))), gloss=0.3)
    tilt = rng.uniform(0.2, 0.9)
    vessel = [
        bar(drum, (0, -0.32, 0), (0, 0.0, 0), 0.16, 0.34),
        bar(drum, (0, 0, 0), (0, 0.12, 0), 0.34),
        bar(drum, (0, 0.12, 0), (0, 0.46, 0), 0.34, 0.17),
        bar(DARK, (0, 0.46, 0), (0, 0.465, 0), 0.15),
    ]
    shapes = placed(vessel, tip=tilt, at=(0, 0.85, 0))
    for x in (-0.4, 0.4):
        shapes += [
            bar(frame, (x, 0.9, 0), (x * 1.2, 0.05, 0.35), 0.03),
            bar(frame, (x, 0.9, 0), (x * 1.2, 0.05, -0.35), 0.03),
        ]
    shapes += [bar(frame, (-0.45, 0.9, 0), (0.45, 0.9, 0), 0.035), box(frame, (0.34, 0.6, -0.2), (0.56, 1.05, 0.2))]
    for z in (-0.35, 0.35):
        shapes.append(bar(DARK, (-0.5, 0.15, z), (-0.42, 0.15, z), 0.15))
    return Model(placed(shapes, turn=rng.uniform(0, 6.3)), nearest=5, wear=used(rng))


def _reel(rng: Random) -> Model:
    """A cable reel, on its own or with coloured conduit."""
    radius, half = rng.uniform(0.6, 1.1), rng.uniform(0.3, 0.6)
    wood = plain((150, 116, 78), bump=0.15)
    core = plain(rng.choice((orange(rng), orange(rng), (30, 30, 32), (40, 70, 150))), bump=0.25, gloss=0.2)
    shapes: Shapes = [bar(core, (-half, radius, 0), (half, radius, 0), radius * rng.uniform(0.6, 0.9))]
    for x in (-half, half):
        shapes.append(bar(wood, (x - 0.04, radius, 0), (x + 0.04, radius, 0), radius))
        shapes.append(bar(DARK, (x - 0.05, radius, 0), (x + 0.05, radius, 0), 0.06))
    return Model(shapes, nearest=5, wear=used(rng))


def _toilet(rng: Random) -> Model:
    """A portable toilet, as sites have."""
    skin = plastic(rng, rng.choice(((40, 90, 170), (60, 140, 90), (40, 110, 150), orange(rng))))
    white = plain((226, 226, 224), gloss=0.3)
    shapes: Shapes = [
        box(skin, (-0.55, 0.1, -0.55), (0.55, 2.05, 0.55), bevel=0.03),
        box(white, (-0.57, 2.03, -0.57), (0.57, 2.28, 0.57), inset=(0.12,) * 4, bevel=0.05),
        box(skin, (-0.38, 0.2, 0.54), (0.38, 1.95, 0.58)),
        box(DARK, (-0.6, 0, -0.6), (0.6, 0.12, 0.6)),
        bar(DARK, (0.4, 2.1, -0.4), (0.4, 2.6, -0.4), 0.05),
    ]
    return Model(placed(shapes, turn=rng.gauss(0, 0.6)), facing=1.2, nearest=7, wear=used(rng, 0.6))


def _sand_barrels(rng: Random) -> Model:
    """A sand-filled crash cushion: yellow barrels in rows."""
    skin = plastic(rng, rng.choice(((236, 190, 30), orange(rng))))
    shapes: Shapes = []
    for row in range(rng.randint(2, 3)):
        for column in range(row + 1):
            x = (column - row / 2) * 0.95
            shapes += placed(
                [bar(skin, (0, 0, 0), (0, 0.95, 0), 0.42, 0.45), ball(DARK, (0, 0.95, 0), (0.46, 0.08, 0.46))],
                at=(x, 0, -row * 0.95),
            )
    return Model(shapes, facing=math.pi, nearest=7, wear=used(rng))


TRAILERS: tuple[Kind, ...] = (
    Kind("arrow_board", 4, _arrow_board),
    Kind("message_board", 3, _message_board),
    Kind("light_tower", 1.5, _light_tower),
    Kind("generator", 2, _generator),
    Kind("cement_mixer", 1.5, _mixer),
    Kind("cable_reel", 1.5, _reel),
    Kind("site_toilet", 1.5, _toilet),
    Kind("sand_barrels", 1, _sand_barrels),
)
