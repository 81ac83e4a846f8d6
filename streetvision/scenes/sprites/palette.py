"""Colours of the street, in sRGB levels, and the surfaces made of them."""

from __future__ import annotations

import colorsys
from random import Random

from streetvision.scenes.sprites.surface import RGB, Surface, plain

SKINS: tuple[RGB, ...] = ((232, 190, 160), (214, 164, 130), (180, 128, 96), (134, 90, 62), (92, 62, 44))
CARS: tuple[RGB, ...] = (
    *((228, 228, 226), (228, 228, 226), (24, 25, 28), (24, 25, 28), (120, 123, 127), (176, 179, 182), (62, 65, 70)),
    *((150, 20, 24), (176, 26, 24), (32, 54, 98), (60, 96, 140), (190, 170, 130), (34, 62, 46), (90, 60, 40)),
    *((214, 84, 22), (226, 170, 20)),
)
MACHINES: tuple[RGB, ...] = (
    *((240, 176, 20), (236, 166, 16), (244, 190, 50), (226, 150, 30), (230, 100, 30), (196, 40, 34)),
    *((232, 230, 224), (60, 130, 70), (40, 90, 160)),
)
EARTH: tuple[RGB, ...] = ((122, 94, 66), (150, 116, 80), (104, 84, 66), (140, 92, 60), (92, 78, 64))
RUBBER: RGB = (34, 34, 36)
STEEL: RGB = (128, 130, 132)


def jittered(rng: Random, colour: RGB, amount: int = 12) -> RGB:
    """The colour a little lighter or darker, and a little tinted."""
    shift = rng.randint(-amount, amount)
    red, green, blue = (max(0, min(255, level + shift + rng.randint(-amount // 3, amount // 3))) for level in colour)
    return (red, green, blue)


def orange(rng: Random) -> RGB:
    """Safety orange: from red-orange over fluorescent to faded salmon, as photographs of real devices spread."""
    hue = rng.gauss(17.5, 4.5)
    saturation, value = rng.uniform(0.78, 0.98), rng.uniform(0.86, 1.0)
    if rng.random() < 0.25:
        saturation, value = rng.uniform(0.5, 0.78), rng.uniform(0.82, 0.96)
    red, green, blue = colorsys.hsv_to_rgb(max(5.0, min(29.0, hue)) / 360, saturation, value)
    return (round(red * 255), round(green * 255), round(blue * 255))


def lime(rng: Random) -> RGB:
    """Fluorescent yellow-green."""
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(62, 80) / 360, rng.uniform(0.65, 0.92), rng.uniform(0.88, 1.0))
    return (round(red * 255), round(green * 255), round(blue * 255))


def any_colour(rng: Random, saturation: float = 0.9) -> RGB:
    """A colour of anything: clothes, awnings, posters."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, saturation), rng.uniform(0.12, 0.95))
    return (round(red * 255), round(green * 255), round(blue * 255))


def plastic(rng: Random, colour: RGB, **options: float) -> Surface:
    """Moulded plastic of about this colour."""
    return plain(jittered(rng, colour, 5), **{"gloss": rng.uniform(0.06, 0.2), "bump": 0.03, **options})


def sheeting(rng: Random, colour: RGB = (232, 232, 230)) -> Surface:
    """Retroreflective sheeting: bright in headlights, duller than plastic by day."""
    return plain(jittered(rng, colour, 10), gloss=rng.uniform(0.1, 0.3), retro=rng.uniform(0.5, 1.0))


def rubber(rng: Random) -> Surface:
    """Black rubber, greyed by the street."""
    return plain(jittered(rng, RUBBER, 14), gloss=0.08, bump=0.06)


def steel(rng: Random, colour: RGB = STEEL) -> Surface:
    """Bare or galvanised metal."""
    return plain(jittered(rng, colour, 24), gloss=rng.uniform(0.2, 0.45), bump=0.05)


def paint(rng: Random, colour: RGB) -> Surface:
    """Painted metal of machines and cars."""
    return plain(jittered(rng, colour, 10), gloss=rng.uniform(0.35, 0.75), wear=0.8)


GLASS = plain((20, 24, 28), gloss=1.0, wear=0.2)
DARK = plain((22, 22, 24), gloss=0.15)
CHROME = plain((150, 152, 155), gloss=0.8, wear=0.4)
RED_LAMP = plain((150, 8, 10), gloss=0.6, wear=0.3)
"""Lamps that are off."""
WHITE_LAMP = plain((205, 208, 212), gloss=0.7, wear=0.3)
AMBER_LAMP = plain((225, 110, 8), gloss=0.6, wear=0.3)
