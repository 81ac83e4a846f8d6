"""From a logit to the probability that is answered."""

from __future__ import annotations

from math import exp


def sigmoid(logit: float) -> float:
    """P(roadwork) of a calibrated logit, stable for any finite one: exp never sees a large positive number."""
    small = exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)
