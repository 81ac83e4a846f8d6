"""What the effects share: blurs of any width at one cost, smooth noise, and what follows the edges of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]
"""[H, W, 3] in [0, 1]."""
Field = NDArray[np.float32]
"""[H, W]."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_PASSES = 3
"""Box blurs in a row come near enough to a Gaussian."""
_FINE = 4.0
"""Pixels of blur that are left to do after a picture was reduced: wide blurs are done on small pictures."""


def luma(pixels: Pixels) -> Field:
    """Brightness [H, W]."""
    return np.asarray(pixels @ LUMA, np.float32)


def saturation(pixels: Pixels) -> Field:
    """0 for grey, 1 for a pure colour."""
    highest = pixels.max(axis=2)
    return np.asarray((highest - pixels.min(axis=2)) / np.maximum(highest, 1e-3), np.float32)


def blur(values: Pixels, sigma: float, *, across: float | None = None) -> Pixels:
    """Gaussian blur of [H, W] or [H, W, C], `sigma` pixels down and `across` of them across (else as down)."""
    if across is None and sigma >= 2 * _FINE:
        factor = int(sigma / _FINE)
        return _enlarged(blur(_reduced(values, factor), sigma / factor), values.shape[:2])
    for axis, width in ((0, sigma), (1, sigma if across is None else across)):
        reach = round(width * np.sqrt(12 / _PASSES + 1e-9) / 2)
        for _ in range(_PASSES if reach else 0):
            values = _box(values, min(reach, values.shape[axis] - 1), axis)
    return values


def _reduced(values: Pixels, factor: int) -> Pixels:
    """Averages of squares of that many pixels."""
    if values.ndim == 2:
        return np.asarray(Image.fromarray(values).reduce(factor), np.float32)
    return np.stack([_reduced(values[..., channel], factor) for channel in range(values.shape[2])], axis=2)


def _enlarged(values: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Bilinear, to [H, W]."""
    if values.ndim == 2:
        return np.asarray(Image.fromarray(values).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
    return np.stack([_enlarged(values[..., channel], shape) for channel in range(values.shape[2])], axis=2)


def _box(values: Pixels, reach: int, axis: int) -> Pixels:
    """Mean over 2 * reach + 1 values along an axis, mirrored at the edges."""
    edges = [(0, 0)] * values.ndim
    edges[axis] = (reach + 1, reach)
    total = np.cumsum(np.pad(values, edges, mode="symmetric"), axis=axis, dtype=np.float64)
    length, width = values.shape[axis], 2 * reach + 1
    upper, lower = (np.take(total, range(start, start + length), axis=axis) for start in (width, 0))
    return np.asarray((upper - lower) / width, np.float32)


def follow(guide: Field, values: Field, radius: float, softness: float = 0.01) -> Field:
    """Values with the edges of the guide: the guided filter (He, Sun, Tang, ECCV 2010), fitted on a reduced picture."""
    if radius >= 2 * _FINE:
        factor = int(radius / _FINE)
        small = (_reduced(guide, factor), _reduced(values, factor))
        slope, offset = (_enlarged(one, guide.shape) for one in _fitted(*small, radius / factor, softness))
    else:
        slope, offset = _fitted(guide, values, radius, softness)
    return np.asarray(slope * guide + offset, np.float32)


def _fitted(guide: Field, values: Field, radius: float, softness: float) -> tuple[Field, Field]:
    """Of the line through the values over the guide around each pixel: slope and offset."""
    mean_guide, mean = blur(guide, radius), blur(values, radius)
    covariance = blur(guide * values, radius) - mean_guide * mean
    slope = covariance / (blur(guide * guide, radius) - mean_guide**2 + softness)
    return blur(slope, radius), blur(mean - slope * mean_guide, radius)


def smooth_noise(shape: tuple[int, int], cells: float, rng: np.random.Generator, octaves: int = 4) -> Field:
    """Noise [H, W] of mean 0 and deviation 1 whose coarsest spots are a `cells`-th of the picture's width."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        across = min(width, max(2, round(cells * 2**octave)))
        down = min(height, max(2, round(across * height / width)))
        spots = Image.fromarray(rng.standard_normal((down, across)).astype(np.float32))
        total += np.asarray(spots.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), np.float32)


def ramp(values: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between; `high` may be the lower one."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share), np.float32)


def mix(pixels: Pixels, other: Pixels | NDArray[np.float32], share: Field | float) -> Pixels:
    """From `pixels` to `other` by a share [H, W]."""
    weight = share[..., None] if isinstance(share, np.ndarray) else share
    return np.asarray(pixels + (other - pixels) * weight, np.float32)


def streaks(shape: tuple[int, int], count: int, length: float, lean: float, rng: np.random.Generator) -> Field:
    """Falling drops as short slanted lines [H, W] in [0, 1], `length` pixels long, `lean` across for each down."""
    height, width = shape
    layer = np.zeros(shape, np.float32)
    steps = np.arange(max(2, round(length)), dtype=np.float32)
    x, y = rng.uniform(-0.1, 1.1, (2, count, 1)) * np.array([[[width]], [[height]]])
    reach, bright = rng.uniform(0.4, 1.0, (2, count, 1))
    along = steps[None] * reach
    columns, rows = (x + lean * along).astype(int), (y + along).astype(int)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    shown = np.broadcast_to(bright * np.sin(np.pi * (steps + 0.5) / len(steps))[None], inside.shape)
    np.maximum.at(layer, (rows[inside], columns[inside]), shown[inside].astype(np.float32))
    return layer
