"""What makes a picture worth a label: scores that need only the answers, and ranks that make any two comparable.

Everything is pure numpy. NaN means that a score does not apply to a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streetvision.sources.neighbours import Mask

Scores = NDArray[np.float64]
"""[N]."""

UNCERTAINTY = "uncertainty"
HARDNESS = "hardness"
UNIQUENESS = "uniqueness"
REPRESENTATIVENESS = "representativeness"
MISTAKENNESS = "mistakenness"
DISAGREEMENT = "disagreement"

SHARES: Mapping[str, float] = {
    UNCERTAINTY: 0.25,
    HARDNESS: 0.15,
    DISAGREEMENT: 0.2,
    UNIQUENESS: 0.15,
    REPRESENTATIVENESS: 0.15,
    MISTAKENNESS: 0.1,
}
"""How the picks are divided among the reasons to pick. Those that apply to no picture leave theirs to the others."""


def uncertainty(probabilities: Scores) -> Scores:
    """1 where the model cannot decide (0.5), 0 where it is sure; NaN where there is no answer."""
    return 1.0 - np.abs(2.0 * probabilities - 1.0)


def disagreement(answers: Sequence[Mapping[str, float]]) -> Scores:
    """Widest gap between the probabilities that model versions gave a picture; NaN for fewer than two versions."""
    return np.array(
        [max(given.values()) - min(given.values()) if len(given) > 1 else np.nan for given in answers], np.float64
    )


def ranks(values: Scores, among: Mask) -> Scores:
    """Each value's place among those chosen, 0 lowest to 1 highest, ties sharing theirs; NaN where it does not apply.

    A score that is the same for all ranks everyone 0.5: it says nothing about anyone.
    """
    chosen = among & np.isfinite(values)
    result = np.full(len(values), np.nan)
    if not chosen.any():
        return result
    _, inverse, counts = np.unique(values[chosen], return_inverse=True, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    middle = below + (counts - 1) / 2.0
    most = chosen.sum() - 1
    result[chosen] = middle[inverse] / most if most else 0.5
    return result
