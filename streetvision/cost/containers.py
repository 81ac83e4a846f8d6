"""Seconds of containers that start with a request and stay warm for a while after it.

Within an hour requests are taken to come independently at that hour's rate r (a Poisson stream). With a time T that a
container stays warm after its last request, the share of time in which one is warm is 1 - exp(-r T), and it is started
r exp(-r T) times a second: the busy period of a queue with infinitely many servers (Takacs, 1962) of constant
service T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from streetvision.cost.traffic import HOUR_S, Traffic


@dataclass(frozen=True, slots=True)
class Containers:
    """Of a month's average hour."""

    mean: float
    """Containers that are paid for."""
    starts: float
    """Cold starts an hour."""
    cold: float
    """Share of the requests that come while none is warm."""


def containers(traffic: Traffic, per_s: float, *, warm: int, idle_s: float, start_s: float) -> Containers:
    """With `warm` containers kept at any time; one of them answers `per_s` requests a second."""
    hours = [_hour(rate, per_s, warm, idle_s, start_s) for rate in traffic.hourly]
    requests = sum(traffic.hourly) * HOUR_S
    return Containers(
        mean=sum(hour.mean for hour in hours) / len(hours),
        starts=sum(hour.starts for hour in hours) / len(hours),
        cold=sum(hour.cold for hour in hours) / requests if requests else 0.0,
    )


def _hour(rate: float, per_s: float, warm: int, idle_s: float, start_s: float) -> Containers:
    """One hour; `cold` counts its requests instead of their share."""
    needed = rate / per_s
    if warm or needed > 1:
        return Containers(max(warm, math.ceil(needed)), 0.0, 0.0)
    starts = rate * math.exp(-rate * idle_s)
    paid = min(1.0, 1 - math.exp(-rate * idle_s) + starts * start_s)
    cold = starts * HOUR_S * (1 + rate * start_s)
    return Containers(paid, starts * HOUR_S, min(cold, rate * HOUR_S))
