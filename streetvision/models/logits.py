"""From logits to the probabilities that are answered."""

from __future__ import annotations

from math import exp

import numpy as np
from numpy.typing import NDArray


def sigmoid(logit: float) -> float:
    """P(roadwork) of a calibrated logit, stable for any finite one: exp never sees a large positive number."""
    small = exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)


def sigmoids(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The same of many at once; NaN stays NaN."""
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))
    return np.asarray(np.where(wide >= 0, 1.0, small) / (1.0 + small))
