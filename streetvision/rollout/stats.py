"""The little statistics that gates need: shares with their uncertainty, and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, lgamma, log, log1p, sqrt
from statistics import NormalDist

ALPHA = 0.05
"""Risk, over all looks together, of promoting a candidate whose true agreement is below what is wanted."""
RISK = 1e-4
"""Chance of condemning wrongly at one asking; small, for it is asked every second."""
REPORTED_Z = 1.96
"""Width of the intervals in reports: 95%."""


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


def surely_above(hits: int, n: int, share: float, risk: float = RISK) -> bool:
    """Whether so many hits would come by chance with less than `risk` if the true share were `share` or lower.

    The exact binomial tail: for the few and rare events that are asked about here, an interval is too bold.
    """
    if hits <= share * n:
        return False
    if not 0.0 < share < 1.0:
        return share <= 0.0
    log_first = lgamma(n + 1) - lgamma(hits + 1) - lgamma(n - hits + 1) + hits * log(share) + (n - hits) * log1p(-share)
    tail = term = exp(log_first)
    for count in range(hits, n):
        term *= (n - count) / (count + 1) * share / (1 - share)
        tail += term
        if term < tail * 1e-9:
            break
    return tail < risk


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
