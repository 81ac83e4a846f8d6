"""The little statistics that gates need: shares with their uncertainty, and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import NormalDist

ALPHA = 0.05
"""Risk, over all looks together, of promoting a candidate whose true agreement is below what is wanted."""
EARLY_Z = 3.0
"""Standard errors of evidence before a candidate or a serving model is condemned, for that is asked every second."""


def wilson(hits: int, n: int, z: float) -> tuple[float, float]:
    """Wilson's score interval of a share, `z` standard errors wide on each side; (0, 1) without any observation.

    It stays honest for few observations and for shares near 0 and 1, where share +/- z * error does not.
    """
    if n == 0:
        return 0.0, 1.0
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    reach = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def look_z(look: int, alpha: float = ALPHA) -> float:
    """One-sided z of the look of that number, from 0: each look may spend half of the risk that is left.

    A bound that is asked again and again is crossed sooner or later by luck alone. So agreement is asked only when the
    number of samples has doubled, and the risks of all looks (alpha / 2, alpha / 4, ...) sum to alpha.
    """
    return NormalDist().inv_cdf(1 - alpha / 2 ** (look + 1))


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of all values does not exceed; None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, ceil(share * len(ascending)) - 1)]
