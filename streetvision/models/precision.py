"""Whether float8 may serve a checkpoint: what it moves on a calibration set, against bfloat16. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUANTILE = 0.999
MAX_MOVE = 0.02
"""Probability may move by so much at the 99.9th percentile of the calibration set."""
MAX_FLIPS = 1e-3
"""Share of decisions that may flip."""
MIN_IMAGES = 1000
"""Fewer cannot show a share of one in a thousand."""


@dataclass(frozen=True, slots=True)
class Precision:
    """What the backbone's products run in, and why."""

    name: str
    """`fp8`, `bf16`, or torch's own name of the dtype where timm's forward runs."""
    reason: str
    """A sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What float8 changed over a calibration set."""

    images: int
    move: float
    """99.9th percentile of the probability's change."""
    flips: int
    """Decisions that changed."""

    @property
    def passes(self) -> bool:
        """Whether float8 may serve."""
        return self.images >= MIN_IMAGES and self.move <= MAX_MOVE and self.flips <= MAX_FLIPS * self.images

    def __str__(self) -> str:
        return (
            f"over {self.images} pictures it moves the probability by {self.move:.4f} at the 99.9th percentile "
            f"and flips {self.flips} decisions"
        )


def compare(bfloat16: NDArray[np.float32], float8: NDArray[np.float32]) -> Moved:
    """Compare calibrated logits [N] of the same images; a value that is not finite counts as a move of 1 and a flip."""
    if bfloat16.shape != float8.shape or bfloat16.ndim != 1 or len(bfloat16) == 0:
        raise ValueError(f"logits must be [N] and alike, not {bfloat16.shape} and {float8.shape}")
    before, after = _probability(bfloat16), _probability(float8)
    move = np.nan_to_num(np.abs(before - after), nan=1.0)
    flips = ((before > 0.5) != (after > 0.5)) | ~np.isfinite(float8) | ~np.isfinite(bfloat16)
    return Moved(len(before), float(np.quantile(move, QUANTILE, method="higher")), int(flips.sum()))


def judge(moved: Moved) -> Precision:
    """float8 where it passes, bfloat16 otherwise, with the evidence as the reason."""
    if moved.passes:
        return Precision("fp8", f"float8 passes its gate: {moved}")
    if moved.images < MIN_IMAGES:
        return Precision("bf16", f"float8 needs {MIN_IMAGES} pictures to be judged by, and there are {moved.images}")
    return Precision("bf16", f"float8 fails its gate: {moved}")


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = np.clip(logits.astype(np.float64), -700.0, 700.0)
    return np.asarray(1.0 / (1.0 + np.exp(-wide)))
