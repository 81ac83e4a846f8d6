"""The painter of the golden pictures: what `make pictures` stores for models/golden.py.

Never change what it draws: registries hold answers to these pictures. numpy's frozen `RandomState` stream makes them
the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNT = 16
SIDE = 224
_SEED = 72

Canvas = NDArray[np.float64]


def paint_golden() -> NDArray[np.uint8]:
    """The pictures, uint8 [16, 224, 224, 3], RGB."""
    pictures = [_picture(index, SIDE) for index in range(COUNT)]
    return np.stack([np.rint(picture.clip(0.0, 1.0) * 255).astype(np.uint8) for picture in pictures])


def _picture(index: int, size: int) -> Canvas:
    rng = np.random.RandomState(_SEED + index)
    if index % 4 == 3:
        return _texture(index, size, rng)
    canvas = _street(size, rng)
    if index % 2 == 0:
        _add_works(canvas, rng)
    light = 0.35 + 0.65 * rng.random_sample()
    return canvas * light + 0.02 * rng.standard_normal(canvas.shape)


def _grid(size: int) -> tuple[Canvas, Canvas]:
    """Coordinates of pixel centres in [0, 1]: x to the right, y downwards."""
    axis = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    return x, y


def _street(size: int, rng: np.random.RandomState) -> Canvas:
    """Sky, houses on both sides, a road to the horizon with a dashed line."""
    x, y = _grid(size)
    horizon, centre = 0.35 + 0.2 * rng.random_sample(), 0.35 + 0.3 * rng.random_sample()
    canvas = np.empty((size, size, 3))
    canvas[:] = np.array([0.55, 0.7, 0.9]) * (1.0 - 0.4 * y[..., None])
    depth = ((y - horizon) / (1.0 - horizon)).clip(0.0, 1.0)
    canvas[y > horizon] = 0.25 + 0.3 * rng.random_sample(3)
    for left in np.arange(0.0, 1.0, 0.125):
        top = horizon - 0.3 * rng.random_sample()
        house = (x >= left) & (x < left + 0.125) & (y > top) & (y <= horizon) & (abs(x - centre) > 0.1)
        canvas[house] = 0.2 + 0.6 * rng.random_sample(3)
    road = (depth > 0) & (abs(x - centre) < 0.04 + 0.5 * depth)
    canvas[road] = 0.3 + 0.15 * rng.random_sample()
    line = road & (abs(x - centre) < 0.004 + 0.02 * depth) & ((6.0 / (depth + 0.1)).astype(int) % 2 == 0)
    canvas[line] = 0.95
    return canvas


def _add_works(canvas: Canvas, rng: np.random.RandomState) -> None:
    """Cones with a white band, and a striped barrier."""
    x, y = _grid(len(canvas))
    for _ in range(3 + rng.randint(4)):
        foot, middle, tall = 0.6 + 0.38 * rng.random_sample(), rng.random_sample(), 0.08 + 0.2 * rng.random_sample()
        up = (foot - y) / tall
        cone = (up > 0) & (up < 1) & (abs(x - middle) < 0.3 * tall * (1.1 - up))
        canvas[cone] = (1.0, 0.4, 0.05)
        canvas[cone & (abs(up - 0.5) < 0.12)] = 0.95
    low, left = 0.5 + 0.2 * rng.random_sample(), 0.5 * rng.random_sample()
    board = (abs(y - low) < 0.03) & (x > left) & (x < left + 0.4)
    stripes = ((x + y) * 16).astype(int) % 2 == 0
    canvas[board & stripes] = (0.85, 0.1, 0.1)
    canvas[board & ~stripes] = 0.95


def _texture(index: int, size: int, rng: np.random.RandomState) -> Canvas:
    """What is no street at all: coarse blots, waves, a chequerboard, night."""
    x, y = _grid(size)
    kind = index // 4
    if kind == 0:
        blots = rng.random_sample((8, 8, 3))
        return np.asarray(blots[(y * 8).astype(int), (x * 8).astype(int)])
    if kind == 1:
        waves = [np.sin(12 * (x * rng.random_sample() + y * rng.random_sample())) for _ in range(3)]
        return np.asarray(0.5 + 0.5 * np.stack(waves, axis=-1))
    if kind == 2:
        chequers = ((x * 10).astype(int) + (y * 10).astype(int)) % 2
        return np.where(chequers[..., None] == 0, rng.random_sample(3), rng.random_sample(3))
    return np.asarray(
        0.05 * rng.random_sample((size, size, 3)) + 0.6 * ((x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.003)[..., None]
    )
