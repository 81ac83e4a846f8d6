"""Signs of works: orange diamonds and boards, detours, closures, red triangles, on posts, stands and barricades."""

from __future__ import annotations

import math
from random import Random

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.barriers import barricade_shapes, rail
from streetvision.scenes.sprites.build import Shapes, bar, board, box, placed
from streetvision.scenes.sprites.channelisers import drum_shapes
from streetvision.scenes.sprites.model import Kind, Model, used
from streetvision.scenes.sprites.palette import DARK, jittered, lime, orange, rubber, steel
from streetvision.scenes.sprites.surface import RGB, Surface, painted, plain

WHITE: RGB = (238, 238, 234)
RED: RGB = (188, 22, 32)
BLUE: RGB = (20, 74, 160)
DIAMOND_WORDS: tuple[str, ...] = (
    *(
        "ROAD\nWORK\nAHEAD",
        "ROAD\nWORK\n500 FT",
        "UTILITY\nWORK\nAHEAD",
        "ONE LANE\nROAD\nAHEAD",
        "ROAD\nCLOSED\nAHEAD",
    ),
    *(
        "LEFT LANE\nCLOSED\nAHEAD",
        "RIGHT LANE\nCLOSED\nAHEAD",
        "SIDEWALK\nCLOSED\nAHEAD",
        "BE\nPREPARED\nTO STOP",
        "DETOUR\nAHEAD",
    ),
    *(
        "BRIDGE\nWORK\nAHEAD",
        "SHOULDER\nWORK",
        "BUMP",
        "STEEL\nPLATE\nAHEAD",
        "FRESH\nOIL",
        "LOOSE\nGRAVEL",
        "NO\nSHOULDER",
    ),
    *("TREE\nWORK\nAHEAD", "SURVEY\nCREW", "UNEVEN\nLANES", "TRUCKS", "ROAD\nWORK"),
)
DIAMOND_PICTOGRAMS: tuple[str, ...] = (
    "worker",
    "worker",
    "flagger",
    "flagger",
    "shift",
    "merge",
    "narrows",
    "curve",
    "left",
    "right",
    "lamps",
    "bump",
)


def sign(face: Surface, rng: Random, width: float, height: float, low: float, *, lean: float = 0.0) -> Shapes:
    """A flat sign with its lower edge at `low`."""
    middle = low + height / 2
    return [board(face, (0, middle, 0.07), width, height, facing=rng.gauss(0, 0.03), lean=lean)]


def diamond(rng: Random, ground: RGB | None = None) -> Surface:
    """The face of an orange diamond, with a legend or a pictogram."""
    colour = ground or orange(rng)
    if rng.random() < 0.55:
        picture = legends.face(
            "diamond", colour, legends.BLACK, edge=0.018, inset=0.025, words=rng.choice(DIAMOND_WORDS)
        )
    else:
        name = rng.choice(DIAMOND_PICTOGRAMS)
        picture = legends.face("diamond", colour, legends.BLACK, edge=0.018, inset=0.025, pictogram=name)
    return painted(picture, gloss=rng.uniform(0.08, 0.25), retro=rng.uniform(0.4, 0.9))


def post(rng: Random, top: float, spread: float = 0.0) -> Shapes:
    """One post, or two that stand apart."""
    wood = rng.random() < 0.3
    skin = plain(jittered(rng, (140, 110, 74)), bump=0.15) if wood else steel(rng, (110, 112, 112))
    half = 0.05 if wood else 0.03
    sides = (-spread / 2, spread / 2) if spread else (0.0,)
    return [box(skin, (x - half, 0, -half), (x + half, top, half)) for x in sides]


def spring_stand(rng: Random, low: float) -> Shapes:
    """A folding stand with four legs and a mast."""
    metal = rng.choice((DARK, steel(rng)))
    legs: Shapes = [
        bar(metal, (0, low * 0.7, 0), (0.62 * math.cos(angle), 0.02, 0.62 * math.sin(angle)), 0.018)
        for angle in (0.5, 2.64, 3.64, 5.78)
    ]
    return [
        *legs,
        bar(metal, (0, low * 0.4, 0), (0, low + 0.2, 0), 0.03),
        bar(metal, (0, low, -0.02), (0, low + 1.1, -0.02), 0.012),
    ]


def flags(rng: Random, top: float) -> Shapes:
    """Two or three orange flags above a sign."""
    colour = plain(orange(rng), bump=0.35, gloss=0.05)
    shapes: Shapes = []
    for angle in rng.choice(((-0.5, 0.5), (-0.6, 0.0, 0.6))):
        x, y = 0.55 * math.sin(angle), 0.55 * math.cos(angle)
        shapes.append(bar(plain((190, 170, 130)), (0, top, 0), (x, top + y, 0), 0.012))
        flag = board(
            colour, (x * 1.0 + 0.17 * rng.choice((-1, 1)), top + y - 0.14, 0), 0.4, 0.36, facing=rng.gauss(0, 0.6)
        )
        shapes.append(flag)
    return shapes


def _diamond_sign(rng: Random) -> Model:
    side = rng.choice((0.76, 0.91, 1.22)) * math.sqrt(2)
    fluorescent = rng.random() < 0.06
    face = diamond(rng, (235, 80, 140) if fluorescent else None)
    if rng.random() < 0.5:
        low = rng.uniform(1.2, 2.2)
        shapes = sign(face, rng, side, side, low) + post(rng, low + side * 0.9, rng.choice((0.0, 0.0, 0.5)))
    else:
        low = rng.uniform(0.3, 0.6)
        shapes = sign(face, rng, side, side, low, lean=rng.uniform(0, 0.12)) + spring_stand(rng, low)
        if rng.random() < 0.5:
            shapes += flags(rng, low + side)
    if rng.random() < 0.12:
        shapes += placed(_plate(rng, "NEXT 2 MILES", orange(rng), (0.76, 0.3)), at=(0, low - 0.3, 0))
    return Model(placed(shapes, tip=rng.gauss(0, 0.04)), facing=0.9, nearest=6, wear=used(rng, 0.7))


def _drum_sign(rng: Random) -> Model:
    """A small sign, mostly an arrow, that stands on a drum or a tall cone."""
    colour, name = orange(rng), rng.choice(("left", "right", "shift", "worker", "merge"))
    shape = rng.choice(("diamond", "diamond", "rectangle"))
    picture = legends.face(shape, colour, legends.BLACK, edge=0.02, inset=0.025, pictogram=name)
    side, low = rng.uniform(0.6, 0.9), rng.uniform(0.95, 1.1)
    shapes = placed(drum_shapes(rng), at=(0, 0, 0), turn=rng.uniform(0, 6))
    shapes += [board(painted(picture, retro=0.6), (0, low + side / 2, 0.06), side, side, facing=rng.gauss(0, 0.3))]
    shapes.append(box(steel(rng), (-0.02, 0.9, -0.02), (0.02, low + side * 0.8, 0.02)))
    return Model(shapes, facing=0.9, nearest=5, wear=used(rng))


def _plate(rng: Random, words: str, ground: RGB, size: tuple[float, float]) -> Shapes:
    width, height = size
    ink = legends.BLACK
    picture = legends.face("rectangle", ground, ink, edge=0.02, inset=0.02, words=words, ink=ink, aspect=width / height)
    return [board(painted(picture, gloss=0.15, retro=0.6), (0, height / 2, 0.035), width, height)]


ORANGE_PLATES: tuple[tuple[str, float, float], ...] = (
    *(
        ("DETOUR", 1.22, 0.46),
        ("END\nROAD WORK", 1.2, 0.6),
        ("ROAD WORK\nNEXT 5 MILES", 1.5, 0.9),
        ("LANE\nENDS", 0.9, 0.9),
    ),
    *(
        ("SIDEWALK\nDETOUR", 0.7, 0.5),
        ("STAY\nIN LANE", 0.7, 0.9),
        ("SPEED\nLIMIT\n25", 0.6, 0.8),
        ("TRUCK\nENTRANCE", 0.9, 0.9),
    ),
)
WHITE_PLATES: tuple[tuple[str, float, float], ...] = (
    *(("ROAD\nCLOSED", 1.22, 0.76), ("ROAD CLOSED\nTO\nTHRU TRAFFIC", 1.52, 0.76), ("SIDEWALK\nCLOSED", 0.76, 0.5)),
    *(
        ("LANE\nCLOSED", 0.9, 0.7),
        ("SIDEWALK CLOSED\nUSE OTHER SIDE", 0.8, 0.5),
        ("WORK ZONE\nSPEED\nLIMIT\n45", 0.8, 1.2),
    ),
)


def _plate_sign(rng: Random) -> Model:
    white = rng.random() < 0.45
    words, width, height = rng.choice(WHITE_PLATES if white else ORANGE_PLATES)
    plate = _plate(rng, words, WHITE if white else orange(rng), (width, height))
    choice = rng.random()
    if choice < 0.4:
        shapes = barricade_shapes(rng, max(1.2, width * 1.1), 3, 1.5)
        shapes += placed(plate, at=(0, 1.5 - height * rng.uniform(0.2, 1.0), 0.05))
    elif choice < 0.7:
        shapes = placed(plate, at=(0, 0.3, 0)) + spring_stand(rng, 0.35)
    else:
        low = rng.uniform(1.0, 2.0)
        shapes = placed(plate, at=(0, low, 0)) + post(rng, low + height, 0.6 if width > 1 else 0.0)
    return Model(shapes, facing=0.9, nearest=6, wear=used(rng, 0.7))


def _detour_arrow(rng: Random) -> Model:
    """DETOUR with an arrow, or a large arrow board painted black on orange."""
    width, height, side = 1.22, 0.6, rng.choice(("left", "right"))
    picture = legends.face(
        "rectangle", orange(rng), legends.BLACK, edge=0.02, pictogram=side, words="DETOUR", aspect=width / height
    )
    low = rng.uniform(0.8, 1.8)
    shapes = placed([board(painted(picture, retro=0.6), (0, height / 2, 0.035), width, height)], at=(0, low, 0))
    return Model(shapes + post(rng, low + height), facing=0.9, nearest=6, wear=used(rng, 0.7))


def _a_frame(rng: Random) -> Model:
    """A sandwich board with a works notice."""
    colour, words = rng.choice((orange(rng), WHITE)), rng.choice(DIAMOND_WORDS)
    width, height = rng.uniform(0.55, 0.7), rng.uniform(0.8, 1.1)
    picture = legends.face("rectangle", colour, legends.BLACK, words=words, aspect=width / height)
    shapes: Shapes = []
    for side in (1, -1):
        shapes.append(board(painted(picture, retro=0.3), (0, height / 2, side * 0.15), width, height, lean=side * 0.25))
    return Model(shapes, facing=0.9, nearest=4, wear=used(rng))


def _triangle_sign(rng: Random) -> Model:
    """The European red triangle on white or yellow, on a post or a low stand."""
    ground = rng.choice((WHITE, WHITE, (244, 200, 30)))
    name = rng.choice(("worker", "worker", "worker", "narrows", "lamps", "bump"))
    picture = legends.face("triangle", ground, RED, edge=0.055, inset=0.0, pictogram=name)
    side, low = rng.choice((0.75, 0.9, 1.1)), rng.choice((0.15, 0.3, 1.6))
    shapes = sign(painted(picture, retro=0.7), rng, side, side, low) + post(rng, low + side * 0.8)
    shapes.append(box(rubber(rng), (-0.4, 0, -0.22), (0.4, 0.1, 0.22), bevel=0.03))
    if rng.random() < 0.25 and low < 1:
        shapes += placed(_plate(rng, "400 m", WHITE, (0.5, 0.22)), at=(0, max(0.1, low - 0.1), 0.02))
    return Model(shapes, facing=0.9, nearest=5, wear=used(rng, 0.7))


def _keep_side(rng: Random) -> Model:
    """A blue disc with a white arrow above a red and white panel."""
    picture = legends.face(
        "disc", BLUE, WHITE, edge=0.02, inset=0.01, pictogram=rng.choice(("left", "right")), ink=WHITE
    )
    low = rng.uniform(0.9, 1.2)
    panel = board(rail(rng, RED, 0.28, 0.8, 1), (0, low - 0.42, 0.03), 0.28, 0.8)
    shapes = [*sign(painted(picture, retro=0.7), rng, 0.6, 0.6, low), panel, *post(rng, low + 0.5)]
    shapes.append(box(rubber(rng), (-0.4, 0, -0.2), (0.4, 0.1, 0.2)))
    return Model(shapes, facing=0.8, nearest=5, wear=used(rng, 0.7))


def _notice(rng: Random) -> Model:
    """A paper notice on a stake."""
    words = rng.choice(("NO\nPARKING\nTOW AWAY", "EMERGENCY\nNO\nPARKING", "WORK\nZONE", "SLOW"))
    colour = rng.choice((WHITE, orange(rng), lime(rng)))
    picture = legends.face("rectangle", colour, RED, words=words, ink=rng.choice((RED, legends.BLACK)), aspect=0.75)
    stake = plain((170, 140, 96))
    shapes: Shapes = [
        board(painted(picture), (0, 1.0, 0.03), 0.34, 0.46),
        box(stake, (-0.02, 0, -0.02), (0.02, 1.2, 0.02)),
    ]
    return Model(placed(shapes, tip=rng.gauss(0, 0.06)), facing=0.8, nearest=4, wear=used(rng))


SIGNS: tuple[Kind, ...] = (
    Kind("diamond_sign", 14, _diamond_sign),
    Kind("plate_sign", 5, _plate_sign),
    Kind("drum_sign", 2.5, _drum_sign),
    Kind("detour_sign", 2, _detour_arrow),
    Kind("a_frame_sign", 1.5, _a_frame),
    Kind("triangle_sign", 2.5, _triangle_sign),
    Kind("keep_side_sign", 1.5, _keep_side),
    Kind("notice", 1, _notice),
)
