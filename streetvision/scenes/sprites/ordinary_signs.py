"""Signs and signals of ordinary streets."""

from __future__ import annotations

from random import Random

from streetvision.scenes.sprites import legends
from streetvision.scenes.sprites.build import Shapes, bar, board, box, placed
from streetvision.scenes.sprites.model import Kind, Model, kept
from streetvision.scenes.sprites.palette import (
    AMBER_LAMP,
    DARK,
    any_colour,
    jittered,
    lime,
    orange,
    sheeting,
)
from streetvision.scenes.sprites.signs import BLUE, RED, WHITE, post, sign
from streetvision.scenes.sprites.surface import RGB, Surface, glowing, painted, plain, stripes

YELLOW: RGB = (246, 196, 20)
GREEN: RGB = (16, 106, 66)
BROWN: RGB = (96, 60, 34)
YELLOW_PICTOGRAMS: tuple[str, ...] = (
    "walker",
    "curve",
    "junction",
    "merge",
    "cross",
    "bicycle",
    "deer",
    "lamps",
    "bump",
    "left",
    "right",
    "narrows",
)


def _on_post(rng: Random, face: Surface, width: float, height: float, low: float | None = None) -> Model:
    low = rng.uniform(1.5, 2.3) if low is None else low
    shapes = sign(face, rng, width, height, low) + post(rng, low + height * 0.9, 0.0 if width < 1.4 else width * 0.6)
    return Model(placed(shapes, tip=rng.gauss(0, 0.02)), facing=0.9, nearest=6, wear=kept(rng))


def _stop(rng: Random) -> Model:
    face = legends.face("octagon", RED, WHITE, edge=0.025, inset=0.01, words="STOP", ink=WHITE)
    return _on_post(rng, painted(face, retro=0.8), 0.76, 0.76)


def _yield(rng: Random) -> Model:
    face = legends.face("yield", WHITE, RED, edge=0.1, inset=0.0, words=rng.choice(("YIELD", "")), ink=RED)
    return _on_post(rng, painted(face, retro=0.8), 0.9, 0.9)


def _yellow_diamond(rng: Random) -> Model:
    """Warning diamonds in yellow or yellow-green: the nearest to a works sign."""
    ground = jittered(rng, YELLOW, 10) if rng.random() < 0.7 else lime(rng)
    if rng.random() < 0.3:
        words = rng.choice(
            ("DEAD\nEND", "NO\nOUTLET", "SLOW\nCHILDREN", "SPEED\nHUMP", "STOP\nAHEAD", "DIP", "SIGNAL\nAHEAD")
        )
        picture = legends.face("diamond", ground, legends.BLACK, edge=0.018, inset=0.025, words=words)
    else:
        picture = legends.face(
            "diamond", ground, legends.BLACK, edge=0.018, inset=0.025, pictogram=rng.choice(YELLOW_PICTOGRAMS)
        )
    return _on_post(rng, painted(picture, retro=0.8), 1.07, 1.07)


def _school(rng: Random) -> Model:
    picture = legends.face("pentagon", lime(rng), legends.BLACK, edge=0.02, inset=0.02, pictogram="walker")
    return _on_post(rng, painted(picture, retro=0.8), 0.9, 0.9)


PLATES: tuple[tuple[str, RGB, RGB, float, float], ...] = (
    *(("SPEED\nLIMIT\n25", WHITE, legends.BLACK, 0.6, 0.76), ("SPEED\nLIMIT\n35", WHITE, legends.BLACK, 0.6, 0.76)),
    *(
        ("ONE WAY", legends.BLACK, WHITE, 0.9, 0.3),
        ("NO\nPARKING\nANY\nTIME", WHITE, RED, 0.3, 0.46),
        ("2 HR\nPARKING", WHITE, GREEN, 0.3, 0.46),
    ),
    *(
        ("BUS\nSTOP", BLUE, WHITE, 0.4, 0.6),
        ("DO NOT\nENTER", RED, WHITE, 0.76, 0.76),
        ("RIGHT LANE\nMUST\nTURN RIGHT", WHITE, legends.BLACK, 0.76, 0.9),
    ),
    *(
        ("Airport", GREEN, WHITE, 1.8, 0.6),
        ("Downtown\n1 MILE", GREEN, WHITE, 2.4, 1.2),
        ("HOSPITAL", BLUE, WHITE, 0.9, 0.6),
    ),
    *(
        ("STATE\nPARK", BROWN, WHITE, 1.2, 0.76),
        ("Main St", GREEN, WHITE, 0.9, 0.23),
        ("Oak Ave", BLUE, WHITE, 0.9, 0.23),
    ),
    *(
        ("EXIT\n25 MPH", YELLOW, legends.BLACK, 0.76, 0.9),
        ("P", BLUE, WHITE, 0.6, 0.6),
        ("FOR\nSALE", WHITE, RED, 0.6, 0.46),
    ),
)


def _plate(rng: Random) -> Model:
    words, ground, ink, width, height = rng.choice(PLATES)
    picture = legends.face("rectangle", ground, ink, edge=0.02, inset=0.02, words=words, ink=ink, aspect=width / height)
    return _on_post(rng, painted(picture, retro=0.7), width, height)


def _disc(rng: Random) -> Model:
    name, blue = rng.choice(("arrow", "left", "right", "bicycle", "walker")), rng.random() < 0.5
    picture = legends.face(
        "disc",
        BLUE if blue else WHITE,
        WHITE if blue else RED,
        edge=0.02 if blue else 0.09,
        inset=0.0,
        pictogram=name,
        ink=WHITE if blue else legends.BLACK,
    )
    return _on_post(rng, painted(picture, retro=0.8), 0.6, 0.6)


def _chevron(rng: Random) -> Model:
    """A curve marker: a black chevron on yellow; or the striped plate before an obstacle."""
    face = stripes(
        sheeting(rng, YELLOW),
        plain(legends.BLACK),
        rng.uniform(1.5, 3),
        rng.choice((-1, 1)),
        rng.choice((0.4, 0.75)),
        gloss=0.2,
    )
    return _on_post(rng, face, rng.choice((0.3, 0.6)), 0.76, rng.uniform(0.6, 1.3))


def _signal(rng: Random) -> Model:
    """A traffic light on a post, or hanging from a wire or a mast."""
    body = plain(rng.choice(((24, 26, 26), (200, 160, 30), (40, 60, 46))), gloss=0.2)
    hangs, lit, step = rng.random() < 0.6, rng.randrange(3), 0.33
    low = 0.0 if hangs else rng.uniform(2.2, 3.0)
    shapes: Shapes = [box(body, (-0.18, low, -0.12), (0.18, low + 3 * step + 0.05, 0.1), bevel=0.03)]
    for index, colour in enumerate(((10, 190, 120), (240, 170, 20), (220, 20, 20))):
        y = low + 0.19 + index * step
        lens = (
            glowing(plain(colour), rng.uniform(1.5, 5.0))
            if index == lit
            else plain((colour[0] // 5, colour[1] // 5, colour[2] // 5), gloss=0.4)
        )
        shapes.append(bar(lens, (0, y, 0.1), (0, y, 0.12), 0.12))
        shapes.append(bar(body, (0, y + 0.1, 0.1), (0, y + 0.12, 0.3), 0.12, 0.1))
    if hangs:
        shapes.append(bar(DARK, (0, low + 1.0, 0), (0, low + 1.5, 0), 0.02))
        return Model(placed(shapes, at=(0, 5.0, 0)), facing=0.8, grounded=False, nearest=9, wear=kept(rng))
    return Model(shapes + post(rng, low + 0.1), facing=0.8, nearest=7, wear=kept(rng))


def _advert(rng: Random) -> Model:
    """Posters, shop boards, real estate boards: any colours, any words."""
    ground, ink = (orange(rng), WHITE) if rng.random() < 0.25 else (any_colour(rng), any_colour(rng))
    width, height = rng.choice(((0.6, 0.9), (1.2, 1.8), (2.5, 1.2), (0.5, 0.4)))
    words = rng.choice(
        ("SALE", "OPEN", "PIZZA", "COFFEE", "FOR\nRENT", "TAXI", "BANK", "SALE\n50%", "CAFE", "GAS", "VOTE\nSMITH")
    )
    picture = legends.face("rectangle", ground, ground, words=words, ink=ink, aspect=width / height)
    low = rng.uniform(0.1, 2.5)
    shapes: Shapes = [
        board(painted(picture, gloss=0.2), (0, low + height / 2, 0.07), width, height),
        *post(rng, low + height * 0.9, width * 0.7),
    ]
    return Model(shapes, facing=0.9, nearest=6, wear=kept(rng))


def _beacon_lamp(rng: Random) -> Model:
    """A yellow lamp beside a crossing, or a level crossing's red ones."""
    lens = glowing(AMBER_LAMP, rng.choice((0.0, 3.0)))
    shapes: Shapes = [*post(rng, 2.6), *(bar(DARK, (x, 2.4, 0.02), (x, 2.4, 0.08), 0.18) for x in (-0.25, 0.25))]
    shapes += [bar(lens, (x, 2.4, 0.08), (x, 2.4, 0.1), 0.13) for x in (-0.25, 0.25)]
    return Model(shapes, facing=0.9, nearest=6, wear=kept(rng))


ORDINARY_SIGNS: tuple[Kind, ...] = (
    Kind("stop_sign", 4, _stop),
    Kind("yield_sign", 2, _yield),
    Kind("yellow_diamond", 8, _yellow_diamond),
    Kind("school_sign", 2, _school),
    Kind("ordinary_sign", 6, _plate),
    Kind("disc_sign", 2, _disc),
    Kind("curve_marker", 3, _chevron),
    Kind("traffic_light", 5, _signal),
    Kind("advert", 5, _advert),
    Kind("crossing_lamp", 1, _beacon_lamp),
)
