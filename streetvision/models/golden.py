"""The golden check: sixteen fixed pictures that every model must answer sanely before it may serve.

The pictures are computed, not stored, so that they fit any input size; numpy's frozen `RandomState` stream makes them
the same on every machine and in every release. Half of them show works. They are drawings: a good model need not be
right about them, but it tells them apart, and it answers them as it did when it was added to the registry.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streetvision.models.logits import sigmoid

GOLDEN_COUNT = 16
_SEED = 72
_SIDE = 224
TOLERANCE = 0.05
"""Largest difference in probability from the recorded answer: bfloat16 on a GPU against float32 on a CPU."""
MIN_SPREAD = 1e-3
"""Logits of different pictures that are all within this are one constant answer."""

Canvas = NDArray[np.float64]
Mask = NDArray[np.bool_]


def golden_images(size: int) -> NDArray[np.uint8]:
    """The golden pictures for an input of `size` pixels a side: uint8 [16, size, size, 3], RGB, the same every time."""
    if size < 16:
        raise ValueError(f"golden pictures measure at least 16 pixels a side, not {size}")
    return resized(_painted(), size)


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Square pictures of another size by nearest neighbours, as an ensemble gives them to its members."""
    places = (np.arange(size) * 2 + 1) * images.shape[1] // (2 * size)
    return np.ascontiguousarray(images[:, places][:, :, places])


@cache
def _painted() -> NDArray[np.uint8]:
    """Painted once, at one size: it takes a third of a second, too long for a serving process to do at each check."""
    pictures = [_picture(index, _SIDE) for index in range(GOLDEN_COUNT)]
    return np.stack([np.rint(picture.clip(0.0, 1.0) * 255).astype(np.uint8) for picture in pictures])


def golden_problem(
    logits: NDArray[np.float32], recorded: Sequence[float] | None, count: int = GOLDEN_COUNT
) -> str | None:
    """What is wrong with logits [count] on the first golden pictures, as a clause after the version; None if nothing.

    `recorded` are the logits that were written down when the model was added, on all 16 pictures; None: unknown.
    """
    if logits.shape != (count,):
        return f"answers {count} golden pictures with logits of shape {list(logits.shape)}"
    if not np.isfinite(logits).all():
        return "answers golden pictures with NaN or infinity"
    if float(np.ptp(logits)) < MIN_SPREAD:
        return f"gives every golden picture the same answer (logit {float(logits[0]):.3f})"
    return None if recorded is None else _deviation(logits, recorded)


def _deviation(logits: NDArray[np.float32], recorded: Sequence[float]) -> str | None:
    if len(recorded) != GOLDEN_COUNT or not np.isfinite(recorded).all():
        return f"has {len(recorded)} recorded golden answers where {GOLDEN_COUNT} finite ones should be"
    pairs = [(sigmoid(float(now)), sigmoid(then)) for now, then in zip(logits, recorded, strict=False)]
    worst = max(range(len(pairs)), key=lambda index: abs(pairs[index][0] - pairs[index][1]))
    now, then = pairs[worst]
    if not abs(now - then) <= TOLERANCE:
        return f"answers golden picture {worst} with {now:.3f}, but with {then:.3f} when it was added"
    return None


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
