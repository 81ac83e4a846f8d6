"""A street as an underexposed camera takes it by night in the rain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GAMMA = 2.2
LIGHT = (0.004, 0.012)
"""Share of the day's light that is left."""
TINT = (0.5, 0.75, 1.5)
"""Red, green and blue of that light."""
DROPS = (0.0003, 0.001)
"""Share of the pixels in which a streak of rain begins."""
SHINE = (0.004, 0.012)
"""Its light, as a share of the day's."""
STREAK = (7, 15)
"""Its length in pixels."""

Pixels = NDArray[np.uint8]
Light = NDArray[np.float64]


def darkened(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture [H, W, 3] by the light of the night."""
    return _seen(_light(image) * rng.uniform(*LIGHT) * np.array(TINT))


def rained_on(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture [H, W, 3] behind streaks of rain."""
    falling = _rain(image.shape[0], image.shape[1], rng)
    return _seen(_light(image) + rng.uniform(*SHINE) * falling[..., None])


def _light(image: Pixels) -> Light:
    light: Light = (image / 255.0) ** GAMMA
    return light


def _seen(light: Light) -> Pixels:
    pixels: Pixels = (np.clip(light, 0.0, 1.0) ** (1.0 / GAMMA) * 255.0).astype(np.uint8)
    return pixels


def _rain(height: int, width: int, rng: np.random.Generator) -> Light:
    """Streaks as light [H, W] in [0, 1], all leaning one way."""
    count = int(rng.uniform(*DROPS) * width * height)
    drops = np.zeros((height, width))
    drops[rng.integers(0, height, count), rng.integers(0, width, count)] = rng.uniform(0.3, 1.0, count)
    lean = rng.uniform(-0.3, 0.3)
    streaks = [np.roll(drops, (step, round(step * lean)), (0, 1)) for step in range(int(rng.integers(*STREAK)))]
    falling: Light = np.clip(np.sum(streaks, axis=0), 0.0, 1.0)
    return falling
