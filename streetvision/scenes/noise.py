"""Precomputed noise: textures are looked up, not drawn, so that a scene costs milliseconds."""

from __future__ import annotations

from functools import cache, lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 512
"""Side of every noise tile in pixels; a power of two, so that lookups wrap with a mask."""


@lru_cache(maxsize=1)
def fine() -> NDArray[np.float32]:
    """White noise [SIDE, SIDE], mean 0, standard deviation 1, clipped to 3."""
    white = np.random.default_rng(1).standard_normal((SIDE, SIDE), dtype=np.float32)
    result: NDArray[np.float32] = np.clip(white, -3.0, 3.0)
    return result


@lru_cache(maxsize=1)
def cloudy() -> NDArray[np.float32]:
    """Smooth noise over several octaves [SIDE, SIDE], wrapping at the edges, mean 0, standard deviation 1."""
    rng = np.random.default_rng(2)
    total = np.zeros((SIDE, SIDE), np.float32)
    for octave in (8, 16, 32, 64, 128):
        total += _wrapped_octave(rng, octave) / np.sqrt(octave, dtype=np.float32)
    result: NDArray[np.float32] = (total - total.mean()) / total.std()
    return result


def _wrapped_octave(rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    coarse = np.pad(rng.standard_normal((cells, cells), dtype=np.float32), 2, mode="wrap")
    step = SIDE // cells
    large = Image.fromarray(coarse).resize((SIDE + 4 * step, SIDE + 4 * step), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32)[2 * step : -2 * step, 2 * step : -2 * step]


def lookup(tile: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of a tile at broadcast coordinates of any range, wrapping; the result has the broadcast shape."""
    mask = SIDE - 1
    values: NDArray[np.float32] = tile[rows.astype(np.int32) & mask, columns.astype(np.int32) & mask]
    return values


def patch(tile: NDArray[np.float32], rng: Random, height: int, width: int) -> NDArray[np.float32]:
    """A piece of a tile [height, width] at a random offset, repeated where it is larger than the tile."""
    top, left = rng.randrange(SIDE), rng.randrange(SIDE)
    rows = (np.arange(height) + top) % SIDE
    columns = (np.arange(width) + left) % SIDE
    return tile[rows[:, None], columns[None, :]]


@cache
def grain(strength: int, coloured: bool, coarse: bool) -> Image.Image:
    """Film grain as an RGB image around 128 with this standard deviation in grey levels; `coarse` is 1.6 x larger."""
    rng = np.random.default_rng(3)
    shape = (SIDE, SIDE, 3) if coloured else (SIDE, SIDE, 1)
    levels = 128.0 + strength * rng.standard_normal(shape, dtype=np.float32)
    sheet = Image.fromarray(np.broadcast_to(np.clip(levels, 0, 255), (SIDE, SIDE, 3)).astype(np.uint8))
    side = int(SIDE * 1.6)
    return sheet.resize((side, side), Image.Resampling.BILINEAR) if coarse else sheet
