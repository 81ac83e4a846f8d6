"""Whether a forward may serve: alike timm's on noise, and in a quicker precision over a calibration set. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray
from streetvision.models.logits import sigmoids

QUANTILE = 0.999
MAX_MOVE = 0.02
"""Probability may move by so much at the 99.9th percentile of the calibration set."""
MAX_FLIPS = 1e-3
"""Share of decisions that may flip."""
MIN_IMAGES = 1000
"""Fewer cannot show a share of one in a thousand."""
CHECKED = 2
"""Pictures of noise."""
LONG_NAMES = {"fp8": "float8", "bf16": "bfloat16", "int8": "int8"}


@dataclass(frozen=True, slots=True)
class Precision:
    """What the backbone's products run in, and why."""

    name: str
    """`fp8`, `bf16`, `int8`, `float32`, or torch's own name of the dtype where timm's forward runs."""
    reason: str
    """A sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a quicker precision changed over a calibration set."""

    images: int
    move: float
    """99.9th percentile of the probability's change."""
    flips: int
    """Decisions that changed."""

    @property
    def passes(self) -> bool:
        """Whether it may serve."""
        return self.images >= MIN_IMAGES and self.move <= MAX_MOVE and self.flips <= MAX_FLIPS * self.images

    def __str__(self) -> str:
        return (
            f"over {self.images} pictures it moves the probability by {self.move:.4f} at the 99.9th percentile "
            f"and flips {self.flips} decisions"
        )


def compare(exact: NDArray[np.float32], quick: NDArray[np.float32]) -> Moved:
    """Compare calibrated logits [N] of the same images; a value that is not finite counts as a move of 1 and a flip."""
    if exact.shape != quick.shape or exact.ndim != 1 or len(exact) == 0:
        raise ValueError(f"logits must be [N] and alike, not {exact.shape} and {quick.shape}")
    before, after = sigmoids(exact), sigmoids(quick)
    move = np.nan_to_num(np.abs(before - after), nan=1.0)
    flips = ((before > 0.5) != (after > 0.5)) | ~np.isfinite(quick) | ~np.isfinite(exact)
    return Moved(len(before), float(np.quantile(move, QUANTILE, method="higher")), int(flips.sum()))


def noise(size: int) -> ImageArray:
    """uint8 [2, size, size, 3]: enough to show a product that is wrong on this processor, before it answers anybody."""
    return np.random.default_rng(0).integers(0, 256, (CHECKED, size, size, 3), dtype=np.uint8)


def require_alike(expected: NDArray[np.float32], got: NDArray[np.float32], most: float, whose: str) -> None:
    """RuntimeError unless all logits [N] mean probabilities within `most` of those `whose` logits are `expected`."""
    apart = float(np.abs(sigmoids(expected) - sigmoids(got)).max())
    if not apart <= most:  # NaN does not pass either
        raise RuntimeError(f"its probabilities are up to {apart:.4f} from those {whose}")


def judge(moved: Moved, name: str = "fp8", otherwise: str = "bf16") -> Precision:
    """The precision `name` where it passes, `otherwise` where not, with the evidence as the reason."""
    long = LONG_NAMES[name]
    if moved.passes:
        return Precision(name, f"{long} passes its gate: {moved}")
    if moved.images < MIN_IMAGES:
        return Precision(otherwise, f"{long} needs {MIN_IMAGES} pictures to be judged by, and there are {moved.images}")
    return Precision(otherwise, f"{long} fails its gate: {moved}")
