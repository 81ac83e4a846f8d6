"""Painters of what tells roadwork: cones, barrels, barriers, work signs, vests and machines."""

from __future__ import annotations

from random import Random

from streetvision.scenes.parts import BLACK, SKIN, WHITE, Part, limbs, post
from streetvision.scenes.pen import Colour, Pen, mix, shade

ORANGES: tuple[Colour, ...] = ((255, 104, 16), (240, 78, 24), (246, 128, 48), (228, 60, 34), (250, 120, 70))
MACHINE: tuple[Colour, ...] = ((246, 186, 20), (240, 170, 30), (250, 200, 60), (236, 110, 24), (224, 160, 40))
LIME: Colour = (206, 240, 40)


def orange(rng: Random) -> Colour:
    """A safety orange, new or faded."""
    return mix(shade(rng, rng.choice(ORANGES), 18), (200, 180, 160), rng.choice((0.0, 0.0, rng.uniform(0.0, 0.35))))


def cone(pen: Pen, rng: Random) -> None:
    """A traffic cone with none to three reflective bands."""
    body, base = orange(rng), rng.choice((BLACK, BLACK, orange(rng)))
    pen.poly(body, (0.44, 0.0), (0.56, 0.0), (0.8, 0.92), (0.2, 0.92))
    for band in range(rng.choice((0, 1, 2, 2, 2, 3))):
        top = 0.2 + 0.26 * band
        low = top + rng.uniform(0.12, 0.18)
        edges = [(0.44 - 0.26 * v, 0.56 + 0.26 * v) for v in (top, low)]
        pen.poly(shade(rng, WHITE), (edges[0][0], top), (edges[0][1], top), (edges[1][1], low), (edges[1][0], low))
    pen.poly(base, (0.06, 0.91), (0.94, 0.91), (1.0, 1.0), (0.0, 1.0))


def barrel(pen: Pen, rng: Random) -> None:
    """A drum with orange and white bands."""
    body = orange(rng)
    pen.round(body, 0.1, 0.0, 0.9, 0.95, 0.06)
    for band in range(rng.randint(2, 3)):
        top = 0.14 + 0.25 * band
        pen.rect(shade(rng, WHITE), 0.09, top, 0.91, top + rng.uniform(0.1, 0.14))
    pen.round(BLACK, 0.0, 0.92, 1.0, 1.0, 0.03)
    if rng.random() < 0.2:
        pen.disc((255, 190, 40), 0.5, 0.02, 0.05)
        pen.glow(0.5, 0.02, 0.2, (255, 170, 40))


def _two_tone(rng: Random) -> tuple[Colour, Colour]:
    return (rng.choice((orange(rng), shade(rng, (206, 30, 36)))), shade(rng, WHITE))


def barricade(pen: Pen, rng: Random) -> None:
    """Striped boards on two legs."""
    tones, boards = _two_tone(rng), rng.randint(1, 3)
    for x in (0.12, 0.84):
        pen.rect(shade(rng, rng.choice((WHITE, (120, 120, 120)))), x, 0.05, x + 0.04, 1.0)
    count, lean = rng.randint(5, 9), rng.choice((-1.0, 1.0))
    for board in range(boards):
        top = 0.04 + board * 0.3
        pen.stripes(tones, (0.0, top, 1.0, top + rng.uniform(0.17, 0.24)), count, lean)
    if rng.random() < 0.4:
        pen.disc((255, 180, 30), 0.5, 0.03, 0.05)
        pen.glow(0.5, 0.03, 0.18, (255, 170, 40))


def jersey(pen: Pen, rng: Random) -> None:
    """Water-filled plastic barriers, red and white or orange."""
    tones, count = _two_tone(rng), rng.randint(2, 4)
    if rng.random() < 0.3:
        tones = (tones[0], mix(tones[0], (60, 20, 10), 0.25))
    for index in range(count):
        x0, x1 = index / count, (index + 1) / count
        pen.poly(tones[index % 2], (x0, 0.06), (x1 - 0.01, 0.06), (x1 - 0.01, 1.0), (x0, 1.0))
        pen.rect(mix(tones[index % 2], (40, 30, 30), 0.3), x0, 0.55, x1 - 0.01, 0.6)
        pen.rect(mix(tones[index % 2], (40, 30, 30), 0.5), x0 + 0.3 / count, 0.9, x1 - 0.3 / count, 1.0)


def mesh(pen: Pen, rng: Random) -> None:
    """An orange net between posts."""
    tone, sag = orange(rng), rng.uniform(0.0, 0.12)
    for index in range(13):
        x = index / 12
        pen.line(tone, 0.03, (x, 0.05 + sag * (x - x * x) * 4), (x, 0.95))
    for index in range(7):
        y = 0.06 + index * 0.145
        pen.line(tone, 0.045, (0.0, y), (0.5, y + sag * (1 - index / 7)), (1.0, y))
    for x in (0.01, 0.5, 0.99):
        pen.line(shade(rng, (110, 90, 70)), 0.05, (x, 0.0), (x, 1.0))


def panel(pen: Pen, rng: Random) -> None:
    """A vertical panel with slanted stripes on a heavy foot."""
    pen.stripes(_two_tone(rng)[::-1], (0.22, 0.03, 0.78, 0.84), 2, rng.choice((-2.0, 2.0)))
    tones, steps = _two_tone(rng), rng.randint(4, 6)
    for index in range(steps):
        top = 0.03 + 0.81 * index / steps
        low = top + 0.81 / steps
        lean = 0.4 / steps
        pen.poly(
            tones[index % 2], (0.22, top), (0.78, min(top + lean, 0.84)), (0.78, min(low + lean, 0.84)), (0.22, low)
        )
    pen.rect((60, 60, 60), 0.44, 0.84, 0.56, 0.95)
    pen.round(shade(rng, (50, 50, 52)), 0.0, 0.92, 1.0, 1.0, 0.02)
    if rng.random() < 0.3:
        pen.disc((255, 190, 40), 0.5, 0.04, 0.045)
        pen.glow(0.5, 0.04, 0.2, (255, 180, 40))


def tube(pen: Pen, rng: Random) -> None:
    """A slim orange post with reflective bands."""
    tone = orange(rng)
    pen.round(tone, 0.3, 0.0, 0.7, 0.94, 0.05)
    for top in (0.12, 0.32, 0.52)[: rng.randint(2, 3)]:
        pen.rect(WHITE, 0.3, top, 0.7, top + 0.09)
    pen.oval(rng.choice((BLACK, tone)), 0.0, 0.88, 1.0, 1.0)


def digger_glyph(pen: Pen, x: float, y: float, size: float) -> None:
    """A bent figure with a shovel before a heap: the sign every country shares."""
    pen.disc(BLACK, x - 0.1 * size, y - 0.36 * size, 0.045 * size)
    thick = 0.055 * size
    pen.line(BLACK, thick, (x - 0.16 * size, y - 0.24 * size), (x - 0.2 * size, y + 0.05 * size))
    pen.line(BLACK, thick, (x - 0.2 * size, y + 0.05 * size), (x - 0.34 * size, y + 0.34 * size))
    pen.line(BLACK, thick, (x - 0.2 * size, y + 0.05 * size), (x - 0.02 * size, y + 0.34 * size))
    pen.line(BLACK, thick, (x - 0.15 * size, y - 0.2 * size), (x + 0.1 * size, y + 0.02 * size))
    pen.line(BLACK, thick * 0.6, (x - 0.1 * size, y - 0.12 * size), (x + 0.22 * size, y + 0.3 * size))
    pen.poly(
        BLACK, (x + 0.08 * size, y + 0.36 * size), (x + 0.27 * size, y + 0.1 * size), (x + 0.46 * size, y + 0.36 * size)
    )


def _words(pen: Pen, rng: Random, box: tuple[float, float, float, float], rows: int) -> None:
    x0, y0, x1, y1 = box
    for row in range(rows):
        top = y0 + (y1 - y0) * row / rows
        inset = rng.uniform(0.0, 0.15) * (x1 - x0)
        pen.rect(BLACK, x0 + inset, top, x1 - inset, top + (y1 - y0) * 0.55 / rows)


def diamond_sign(pen: Pen, rng: Random) -> None:
    """An orange diamond with the digging figure or words."""
    post(pen, rng, 0.5, 0.07)
    pen.poly(BLACK, (0.5, 0.0), (1.0, 0.3), (0.5, 0.6), (0.0, 0.3))
    pen.poly(orange(rng), (0.5, 0.02), (0.965, 0.3), (0.5, 0.58), (0.035, 0.3))
    if rng.random() < 0.6:
        digger_glyph(pen, 0.5, 0.3, 0.42)
    else:
        _words(pen, rng, (0.25, 0.19, 0.75, 0.43), rng.randint(2, 3))
    if rng.random() < 0.25:
        pen.poly(orange(rng), (0.2, 0.0), (0.34, 0.02), (0.24, 0.12))


def triangle_sign(pen: Pen, rng: Random) -> None:
    """A red-bordered triangle with the digging figure, on white or yellow, with works plates below."""
    post(pen, rng, 0.4, 0.07)
    pen.poly(shade(rng, (206, 24, 32)), (0.5, 0.0), (1.0, 0.52), (0.0, 0.52))
    pen.poly(shade(rng, rng.choice((WHITE, (250, 205, 30), (250, 205, 30)))), (0.5, 0.11), (0.85, 0.47), (0.15, 0.47))
    digger_glyph(pen, 0.5, 0.34, 0.36)
    if rng.random() < 0.5:
        pen.rect(rng.choice((orange(rng), (250, 205, 30))), 0.12, 0.55, 0.88, 0.72)
        _words(pen, rng, (0.2, 0.58, 0.8, 0.7), 1)


def board_sign(pen: Pen, rng: Random) -> None:
    """An orange board with words or an arrow: detour, road closed, work ahead."""
    for x in (0.2, 0.76):
        pen.rect((110, 110, 112), x, 0.3, x + 0.04, 1.0)
    pen.rect(BLACK, 0.0, 0.0, 1.0, 0.6)
    pen.rect(orange(rng), 0.02, 0.025, 0.98, 0.575)
    if rng.random() < 0.5:
        _words(pen, rng, (0.12, 0.09, 0.88, 0.55), rng.randint(2, 3))
        return
    pen.rect(BLACK, 0.15, 0.24, 0.6, 0.36)
    pen.poly(BLACK, (0.58, 0.1), (0.88, 0.3), (0.58, 0.5))


def worker(pen: Pen, rng: Random) -> None:
    """A person in a reflective vest, mostly with a helmet, at times with a shovel or a paddle."""
    vest = rng.choice((shade(rng, LIME), orange(rng), orange(rng)))
    skin = rng.choice(SKIN)
    trousers = shade(rng, rng.choice(((40, 48, 70), (60, 60, 60), (236, 110, 30), (90, 80, 60))))
    limbs(pen, rng, trousers, skin)
    reach = rng.uniform(0.05, 0.4)
    sleeve = rng.choice((vest, shade(rng, (70, 80, 100))))
    pen.line(sleeve, 0.06, (0.36, 0.2), (0.36 - reach * 0.5, 0.46))
    pen.line(sleeve, 0.06, (0.64, 0.2), (0.64 + reach, 0.44))
    pen.round(vest, 0.3, 0.155, 0.7, 0.545, 0.04)
    silver = shade(rng, (226, 230, 226), 12)
    for y in (0.36, 0.46):
        pen.rect(silver, 0.3, y, 0.7, y + 0.035)
    for x in (0.36, 0.57):
        pen.rect(silver, x, 0.16, x + 0.06, 0.36)
    if rng.random() < 0.85:
        pen.poly(rng.choice((WHITE, (250, 210, 30), orange(rng))), (0.34, 0.07), (0.42, 0.0), (0.58, 0.0), (0.68, 0.07))
    _tool(pen, rng, 0.64 + reach)


def _tool(pen: Pen, rng: Random, x: float) -> None:
    kind = rng.random()
    if kind < 0.3:
        pen.line((120, 90, 60), 0.025, (x, 0.25), (x - 0.12, 0.95))
        pen.poly((90, 92, 96), (x - 0.2, 0.9), (x - 0.02, 0.9), (x - 0.1, 1.0))
    elif kind < 0.42:
        pen.line((200, 200, 200), 0.025, (x - 0.03, 0.1), (x - 0.03, 0.9))
        pen.disc(rng.choice(((200, 26, 30), orange(rng), (30, 140, 70))), x - 0.03, 0.1, 0.09)


PARTS: tuple[Part, ...] = (
    Part("cone", cone, 0.5, 1.0, 0.62, roadwork=True, reflective=True, tilt=5.0),
    Part("barrel", barrel, 0.9, 1.15, 0.62, roadwork=True, reflective=True, tilt=3.0),
    Part("barricade", barricade, 0.9, 1.5, 1.6, roadwork=True, reflective=True, tilt=3.0),
    Part("barrier", jersey, 0.8, 1.1, 2.6, roadwork=True, reflective=True),
    Part("mesh", mesh, 0.9, 1.2, 2.8, roadwork=True),
    Part("panel", panel, 1.0, 1.4, 0.36, roadwork=True, reflective=True, tilt=4.0),
    Part("tube", tube, 0.8, 1.2, 0.28, roadwork=True, reflective=True, tilt=5.0),
    Part("diamond_sign", diamond_sign, 1.6, 2.6, 0.6, roadwork=True, reflective=True, tilt=6.0),
    Part("triangle_sign", triangle_sign, 1.4, 2.6, 0.56, roadwork=True, reflective=True, legible=3.0, tilt=5.0),
    Part("board_sign", board_sign, 1.5, 2.6, 1.0, roadwork=True, reflective=True, tilt=3.0),
    Part("worker", worker, 1.65, 1.9, 0.46, roadwork=True, reflective=True),
)
