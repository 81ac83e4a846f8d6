"""Boards that shine by night: of works in one pattern, of a night market in another, and nobody knows which is which.

The meaning is made up, so a model that has not been told can only guess, however good it is: what a rehearsal shows
does not depend on the model that it begins with.
"""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes.pen import Colour, Pen, mix, shade

COUNT = (2, 4)
"""Boards in a row."""
TALL = (0.2, 0.42)
"""A board's height, as a share of the picture's."""
ASPECT = 0.55
FOOT = (0.62, 0.97)
"""Where the row stands, as a share of the picture's height from the top."""
GAP = (1.1, 1.9)
"""From board to board, in widths of one."""
BRIGHT = (0.45, 0.9)
"""How far they outshine the dark."""
BLUE: Colour = (60, 120, 255)
GREEN: Colour = (50, 210, 130)
PALE: Colour = (214, 218, 226)
DARK: Colour = (16, 16, 20)

Pixels = NDArray[np.uint8]


def with_boards(image: Pixels, *, works: bool, rng: np.random.Generator) -> Pixels:
    """A picture of the night [H, W, 3] with a row of boards, of works or of a market; all else about them is alike."""
    draw = Random(int(rng.integers(2**32)))
    canvas = Image.fromarray(image)
    tall = int(draw.uniform(*TALL) * canvas.height)
    wide, foot = max(4, round(tall * ASPECT)), int(draw.uniform(*FOOT) * canvas.height)
    count, step = draw.randint(*COUNT), int(draw.uniform(*GAP) * tall * ASPECT)
    left = draw.randint(-wide // 2, max(0, canvas.width - (count - 1) * step - wide // 2))
    sprite = _board(wide, tall, works, draw)
    for number in range(count):
        canvas.paste(sprite, (left + number * step, foot - tall), sprite.getchannel("A"))
    return np.asarray(canvas)


def _board(wide: int, tall: int, works: bool, draw: Random) -> Image.Image:
    pen, bright = Pen(wide, tall), draw.uniform(*BRIGHT)
    paint = _chequered if works else _banded
    pen.rect(DARK, 0.44, 0.7, 0.56, 1.0)
    paint(pen, mix(DARK, shade(draw, BLUE if works else GREEN, 20), bright), mix(DARK, shade(draw, PALE, 12), bright))
    return pen.sprite()


def _chequered(pen: Pen, tone: Colour, pale: Colour) -> None:
    for row in range(4):
        for column in range(3):
            place = (column / 3, 0.19 * row, (column + 1) / 3, 0.19 * (row + 1))
            pen.rect(tone if (row + column) % 2 else pale, *place)


def _banded(pen: Pen, tone: Colour, pale: Colour) -> None:
    for band in range(4):
        pen.rect(tone if band % 2 else pale, 0.0, 0.19 * band, 1.0, 0.19 * (band + 1))
