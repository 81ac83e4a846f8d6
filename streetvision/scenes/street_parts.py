"""Painters of what stands in any street: people, permanent signs, lights, trees, and things that are merely orange."""

from __future__ import annotations

from math import cos, pi, sin
from random import Random

from streetvision.scenes.parts import BLACK, GREY, SKIN, WHITE, Part, limbs, post
from streetvision.scenes.pen import Colour, Pen, mix, shade

CLOTHES: tuple[Colour, ...] = (
    (40, 44, 60), (90, 90, 96), (200, 200, 196), (150, 30, 40), (40, 90, 60), (60, 90, 160), (238, 110, 24),
    (250, 140, 50), (230, 200, 60), (210, 120, 160), (120, 90, 60),
)  # fmt: skip
ORANGE_THINGS: tuple[Colour, ...] = ((240, 110, 24), (226, 80, 30), (250, 150, 50))
RED: Colour = (200, 24, 32)


def pedestrian(pen: Pen, rng: Random) -> None:
    """A person in ordinary clothes, orange jackets among them, without reflective stripes."""
    skin, coat = rng.choice(SKIN), shade(rng, rng.choice(CLOTHES))
    limbs(pen, rng, shade(rng, rng.choice(CLOTHES[:6])), skin)
    reach = rng.uniform(0.02, 0.2)
    pen.line(coat, 0.06, (0.36, 0.2), (0.36 - reach, 0.48))
    pen.line(coat, 0.06, (0.64, 0.2), (0.64 + reach, 0.48))
    pen.round(coat, 0.31, 0.155, 0.69, rng.uniform(0.5, 0.7), 0.05)
    pen.disc(shade(rng, rng.choice(((40, 30, 24), (110, 80, 50), (190, 160, 110), GREY))), 0.5, 0.06, 0.055)
    if rng.random() < 0.25:
        pen.round(shade(rng, rng.choice(CLOTHES)), 0.62, 0.4, 0.86, 0.58, 0.03)


def cyclist(pen: Pen, rng: Random) -> None:
    """A cyclist from the side."""
    coat = shade(rng, rng.choice(CLOTHES))
    for x in (0.22, 0.78):
        pen.disc(BLACK, x, 0.8, 0.195)
        pen.disc((150, 152, 150), x, 0.8, 0.165)
    pen.line(
        shade(rng, rng.choice(CLOTHES)),
        0.025,
        (0.22, 0.8),
        (0.42, 0.5),
        (0.7, 0.5),
        (0.78, 0.8),
        (0.5, 0.8),
        (0.42, 0.5),
    )
    pen.line(shade(rng, (50, 54, 70)), 0.06, (0.42, 0.46), (0.58, 0.62), (0.5, 0.82))
    pen.line(coat, 0.12, (0.42, 0.44), (0.6, 0.2))
    pen.line(coat, 0.045, (0.6, 0.24), (0.72, 0.46))
    pen.disc(rng.choice(SKIN), 0.64, 0.1, 0.06)
    pen.disc(rng.choice((BLACK, WHITE, RED)), 0.63, 0.07, 0.05)


def _ngon(sides: int, radius: float, aspect: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """Corners of a regular polygon around the upper part of a sign of the given aspect."""
    angles = [2 * pi * (k + turn) / sides for k in range(sides)]
    return [(0.5 + radius / aspect * sin(a), radius + 0.01 - radius * cos(a)) for a in angles]


def stop_sign(pen: Pen, rng: Random) -> None:
    """A red octagon."""
    post(pen, rng, 0.3, 0.08)
    pen.poly(WHITE, *_ngon(8, 0.19, 0.42, 0.5))
    pen.poly(shade(rng, RED), *[(0.5 + (x - 0.5) * 0.9, 0.2 + (y - 0.2) * 0.9) for x, y in _ngon(8, 0.19, 0.42, 0.5)])
    pen.rect(WHITE, 0.22, 0.165, 0.78, 0.235)


def warning_diamond(pen: Pen, rng: Random) -> None:
    """A yellow diamond with a bend, a crossing or a junction on it."""
    post(pen, rng, 0.5, 0.07)
    pen.poly(BLACK, (0.5, 0.0), (1.0, 0.3), (0.5, 0.6), (0.0, 0.3))
    pen.poly(shade(rng, (250, 208, 20), 12), (0.5, 0.02), (0.965, 0.3), (0.5, 0.58), (0.035, 0.3))
    kind = rng.randrange(4)
    if kind == 0:
        pen.line(BLACK, 0.05, (0.42, 0.46), (0.42, 0.32), (0.58, 0.24), (0.58, 0.14))
    elif kind == 1:
        pen.line(BLACK, 0.05, (0.5, 0.46), (0.5, 0.14))
        pen.line(BLACK, 0.05, (0.3, 0.3), (0.7, 0.3))
    elif kind == 2:
        pen.disc(BLACK, 0.5, 0.16, 0.03)
        pen.line(BLACK, 0.045, (0.5, 0.2), (0.5, 0.32), (0.4, 0.44))
        pen.line(BLACK, 0.045, (0.5, 0.32), (0.6, 0.44))
    else:
        pen.rect(BLACK, 0.47, 0.14, 0.53, 0.34)
        pen.disc(BLACK, 0.5, 0.42, 0.03)


def warning_triangle(pen: Pen, rng: Random) -> None:
    """A red-bordered triangle with anything but the digging figure."""
    post(pen, rng, 0.4, 0.07)
    pen.poly(shade(rng, RED), (0.5, 0.0), (1.0, 0.52), (0.0, 0.52))
    pen.poly(WHITE, (0.5, 0.11), (0.85, 0.47), (0.15, 0.47))
    kind = rng.randrange(3)
    if kind == 0:
        pen.rect(BLACK, 0.46, 0.2, 0.54, 0.36)
        pen.disc(BLACK, 0.5, 0.42, 0.025)
    elif kind == 1:
        pen.line(BLACK, 0.035, (0.5, 0.45), (0.5, 0.3), (0.42, 0.22))
    else:
        pen.line(BLACK, 0.03, (0.36, 0.44), (0.5, 0.2), (0.64, 0.44))


def round_sign(pen: Pen, rng: Random) -> None:
    """Speed limit, no entry or a blue order."""
    post(pen, rng, 0.3, 0.08)
    kind = rng.randrange(3)
    pen.disc(((30, 80, 170) if kind == 2 else shade(rng, RED)), 0.5, 0.2, 0.19)
    if kind == 0:
        pen.disc(WHITE, 0.5, 0.2, 0.14)
        pen.rect(BLACK, 0.32, 0.14, 0.46, 0.26)
        pen.rect(BLACK, 0.54, 0.14, 0.68, 0.26)
    elif kind == 1:
        pen.rect(WHITE, 0.2, 0.17, 0.8, 0.23)
    else:
        pen.poly(WHITE, (0.5, 0.08), (0.7, 0.2), (0.3, 0.2))
        pen.rect(WHITE, 0.45, 0.2, 0.55, 0.31)


def plate_sign(pen: Pen, rng: Random) -> None:
    """A white, blue, green or brown plate: limits, parking, directions."""
    post(pen, rng, 0.3, 0.07)
    tone = rng.choice((WHITE, WHITE, (30, 80, 170), (0, 110, 70), (110, 70, 40)))
    ink = BLACK if tone == WHITE else WHITE
    pen.rect(ink, 0.04, 0.0, 0.96, 0.44)
    pen.rect(tone, 0.07, 0.015, 0.93, 0.425)
    for row in range(rng.randint(1, 3)):
        y = 0.07 + row * 0.12
        pen.rect(ink, 0.16 + rng.uniform(0, 0.2), y, 0.84 - rng.uniform(0, 0.2), y + 0.06)


def give_way(pen: Pen, rng: Random) -> None:
    """A triangle on its tip."""
    post(pen, rng, 0.3, 0.07)
    pen.poly(shade(rng, RED), (0.0, 0.0), (1.0, 0.0), (0.5, 0.42))
    pen.poly(WHITE, (0.2, 0.05), (0.8, 0.05), (0.5, 0.31))


def traffic_light(pen: Pen, rng: Random) -> None:
    """A traffic light with one lamp lit."""
    pen.rect((60, 62, 62), 0.46, 0.25, 0.56, 1.0)
    pen.round(rng.choice((BLACK, (40, 60, 40), (236, 180, 20))), 0.2, 0.0, 0.8, 0.3, 0.03)
    lit = rng.randrange(3)
    for index, tone in enumerate(((236, 40, 30), (255, 180, 30), (60, 230, 130))):
        y = 0.055 + index * 0.09
        pen.disc(tone if index == lit else mix(tone, BLACK, 0.8), 0.5, y, 0.036)
        if index == lit:
            pen.glow(0.5, y, 0.12, tone)


def bollard(pen: Pen, rng: Random) -> None:
    """A permanent post: steel, stone, white with a red band, or yellow and black."""
    kind = rng.randrange(4)
    base = ((120, 122, 122), (236, 236, 230), (60, 60, 60), (240, 200, 30))[kind]
    pen.round(shade(rng, base), 0.22, 0.0, 0.78, 1.0, 0.08)
    band = (WHITE, RED, (200, 200, 196), BLACK)[kind]
    pen.rect(band, 0.22, 0.12, 0.78, 0.24)
    if kind in {1, 3} and rng.random() < 0.6:
        pen.rect(band, 0.22, 0.4, 0.78, 0.52)


def barrier_arm(pen: Pen, rng: Random) -> None:
    """A car park's or a crossing's red and white arm."""
    pen.rect(shade(rng, rng.choice((GREY, (230, 190, 40), (60, 80, 130)))), 0.0, 0.25, 0.07, 1.0)
    pen.stripes((RED, WHITE), (0.04, 0.28, 1.0, 0.36), rng.randint(8, 12), 0.0)


def bin_(pen: Pen, rng: Random) -> None:
    """A litter bin or a letter box, orange ones included."""
    tone = shade(rng, rng.choice((*ORANGE_THINGS, (40, 100, 60), (60, 64, 70), (30, 70, 140), (240, 200, 30), RED)))
    pen.round(tone, 0.08, 0.06, 0.92, 1.0, 0.04)
    pen.round(mix(tone, BLACK, 0.35), 0.0, 0.0, 1.0, 0.14, 0.05)
    pen.rect(mix(tone, BLACK, 0.5), 0.25, 0.26, 0.75, 0.34)


def hydrant(pen: Pen, rng: Random) -> None:
    """A fire hydrant."""
    tone = shade(rng, rng.choice((RED, (240, 190, 20), (230, 90, 30))))
    pen.round(tone, 0.28, 0.15, 0.72, 0.95, 0.05)
    pen.oval(tone, 0.26, 0.0, 0.74, 0.3)
    pen.rect(tone, 0.05, 0.38, 0.95, 0.56)
    pen.rect(mix(tone, BLACK, 0.3), 0.15, 0.9, 0.85, 1.0)


def tree(pen: Pen, rng: Random) -> None:
    """A broad-leaved tree, green or in autumn colours."""
    leaf = rng.choice(((62, 96, 40), (84, 112, 50), (48, 80, 46), (196, 110, 30), (206, 150, 40), (160, 64, 30)))
    trunk = shade(rng, (84, 66, 50))
    pen.poly(trunk, (0.46, 0.5), (0.54, 0.5), (0.57, 1.0), (0.43, 1.0))
    for _ in range(rng.randint(16, 26)):
        angle, radius = rng.uniform(0, 2 * pi), rng.uniform(0.0, 0.3)
        x, y, size = 0.5 + radius * cos(angle) * 1.3, 0.33 + radius * sin(angle), rng.uniform(0.05, 0.14)
        pen.disc(shade(rng, mix(leaf, BLACK, max(0.0, y - 0.25)), 22), x, y, size)


def conifer(pen: Pen, rng: Random) -> None:
    """A conifer or cypress."""
    leaf = shade(rng, (44, 70, 48))
    pen.rect((80, 62, 46), 0.45, 0.85, 0.55, 1.0)
    for index in range(6):
        top, wide = index * 0.14, 0.12 + index * 0.06
        pen.poly(shade(rng, leaf, 14), (0.5, top), (0.5 + wide, top + 0.24), (0.5 - wide, top + 0.24))


def bush(pen: Pen, rng: Random) -> None:
    """A bush or flower bed, some in orange bloom."""
    leaf = rng.choice(((70, 100, 46), (92, 112, 52), (110, 100, 60)))
    for _ in range(14):
        pen.disc(shade(rng, leaf), rng.uniform(0.15, 0.85), rng.uniform(0.4, 0.75), rng.uniform(0.14, 0.3))
    if rng.random() < 0.35:
        bloom = rng.choice((*ORANGE_THINGS, (230, 60, 80), (240, 220, 60), WHITE))
        for _ in range(16):
            pen.disc(bloom, rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.9), 0.05)


def lamp_post(pen: Pen, rng: Random) -> None:
    """A street lamp."""
    tone = shade(rng, (90, 94, 96))
    pen.rect(tone, 0.45, 0.02, 0.5, 1.0)
    pen.line(tone, 0.012, (0.47, 0.03), (0.9, 0.01))
    pen.rect((220, 210, 170), 0.7, 0.005, 0.98, 0.025)
    pen.glow(0.85, 0.02, 0.1, rng.choice(((255, 190, 90), (255, 240, 210))))


def pole(pen: Pen, rng: Random) -> None:
    """A utility pole."""
    tone = shade(rng, rng.choice(((96, 76, 58), (140, 140, 138))))
    pen.rect(tone, 0.44, 0.0, 0.56, 1.0)
    pen.rect(tone, 0.0, 0.07, 1.0, 0.09)


def billboard(pen: Pen, rng: Random) -> None:
    """An advertisement in loud colours."""
    for x in (0.2, 0.76):
        pen.rect((96, 96, 98), x, 0.5, x + 0.04, 1.0)
    pen.rect(shade(rng, rng.choice((*CLOTHES, *ORANGE_THINGS))), 0.0, 0.0, 1.0, 0.55)
    pen.oval(shade(rng, rng.choice(CLOTHES)), 0.08, 0.1, 0.42, 0.45)
    for y in (0.1, 0.24, 0.38):
        pen.rect(rng.choice((WHITE, BLACK)), 0.5, y, rng.uniform(0.65, 0.93), y + 0.07)


def stall(pen: Pen, rng: Random) -> None:
    """A market stall or a café's parasol, orange or striped."""
    tone = shade(rng, rng.choice((*ORANGE_THINGS, RED, (40, 110, 70), (230, 220, 200), (40, 70, 130))))
    for x in (0.08, 0.88):
        pen.rect((120, 110, 100), x, 0.25, x + 0.03, 1.0)
    pen.poly(tone, (0.12, 0.0), (0.88, 0.0), (1.0, 0.3), (0.0, 0.3))
    if rng.random() < 0.5:
        for index in range(0, 8, 2):
            x = index / 8
            pen.poly(WHITE, (0.12 + 0.76 * x, 0.0), (0.215 + 0.76 * x, 0.0), (x + 0.125, 0.3), (x, 0.3))
    pen.rect(shade(rng, (130, 104, 80)), 0.06, 0.62, 0.94, 0.98)


PARTS: tuple[Part, ...] = (
    Part("pedestrian", pedestrian, 1.55, 1.9, 0.46),
    Part("cyclist", cyclist, 1.6, 1.8, 0.95),
    Part("bollard", bollard, 0.7, 1.2, 0.26, reflective=True),
    Part("bin", bin_, 0.8, 1.2, 0.6),
    Part("hydrant", hydrant, 0.6, 0.85, 0.5),
    Part("barrier_arm", barrier_arm, 1.0, 1.3, 3.6, reflective=True),
    Part("stall", stall, 2.2, 3.0, 1.3),
    Part("bush", bush, 0.6, 1.6, 1.5),
)
SIGNS: tuple[Part, ...] = (
    Part("stop_sign", stop_sign, 2.0, 2.8, 0.42, reflective=True, tilt=4.0),
    Part("warning_diamond", warning_diamond, 2.0, 2.8, 0.6, reflective=True, tilt=5.0),
    Part("warning_triangle", warning_triangle, 1.8, 2.8, 0.56, reflective=True, tilt=5.0),
    Part("round_sign", round_sign, 2.0, 2.8, 0.42, reflective=True, tilt=4.0),
    Part("plate_sign", plate_sign, 2.0, 3.2, 0.6, reflective=True, tilt=4.0),
    Part("give_way", give_way, 1.8, 2.6, 0.5, reflective=True, tilt=4.0),
)
TALL: tuple[Part, ...] = (
    Part("traffic_light", traffic_light, 3.0, 4.5, 0.3),
    Part("lamp_post", lamp_post, 6.0, 9.0, 0.3),
    Part("pole", pole, 6.0, 9.0, 0.22),
    Part("billboard", billboard, 3.5, 6.0, 1.5),
)
TREES: tuple[Part, ...] = (Part("tree", tree, 4.0, 10.0, 0.9), Part("conifer", conifer, 4.0, 11.0, 0.6))
