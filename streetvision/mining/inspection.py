"""Facts about one picture's pixels: can it be read, how is it exposed, is it sharp, which one is it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.types import BadImage

SIDE = 224
GRID = 16
"""Cells a side of the fingerprint."""
SAME_PICTURE = 0.02
"""Cosine distance up to which fingerprints mean the same picture. Over 400 scenes, pictures that were compressed again,
brightened, blurred or rescaled stayed within 0.011, and the nearest other scene lay beyond 0.089."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SHADOW, _GLARE = 6.0, 249.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pixels say. Levels are 0 to 255."""

    brightness: float
    """Mean luminance."""
    contrast: float
    """Standard deviation of the luminance."""
    clipped: float
    """Share of pixels that are as good as black or white."""
    sharpness: float
    """Variance of the Laplacian at 224 x 224 pixels, per variance of the luminance: contrast does not count."""
    fingerprint: NDArray[np.float32]
    """[GRID * GRID]: what remains of the picture at 16 x 16, without brightness and contrast; length 1, or zeros for a
    picture of one colour."""


def inspect(data: bytes) -> Facts | None:
    """Facts about an encoded picture; None when the miner could not read it either."""
    try:
        pixels = decode(data, size=SIDE, limits=DecodeLimits(), resize="squash").array
    except BadImage:
        return None
    luma = pixels.astype(np.float32) @ _LUMA
    return Facts(
        brightness=float(luma.mean()),
        contrast=float(luma.std()),
        clipped=float(((luma <= _SHADOW) | (luma >= _GLARE)).mean()),
        sharpness=_sharpness(luma),
        fingerprint=_fingerprint(luma),
    )


def outliers(values: NDArray[np.float64], *, reach: float = 3.5) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[N] each: far below and far above the median, by more than `reach` robust standard deviations. NaN is neither."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values), np.bool_), np.zeros(len(values), np.bool_)
    middle = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - middle))
    with np.errstate(invalid="ignore"):
        return values < middle - reach * spread - 1e-9, values > middle + reach * spread + 1e-9


def _sharpness(luma: NDArray[np.float32]) -> float:
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4.0 * inner
    return float(laplacian.var() / max(float(luma.var()), 1.0))


def _fingerprint(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    cell = SIDE // GRID
    cells = luma.reshape(GRID, cell, GRID, cell).mean(axis=(1, 3)).ravel()
    cells = cells - cells.mean()
    length = float(np.linalg.norm(cells))
    return np.asarray(cells / length if length > GRID else np.zeros_like(cells), np.float32)
