"""Which replica a batch goes to, and how many replicas there should be: pure arithmetic on what replicas report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

NEAR_SECONDS = 0.01
"""Replicas that will be done this close to each other are equal: reports are half a second old."""
LATE_SECONDS = 1.0
"""Predicted work of a replica from which another one is wanted, however few batches there are."""


def tiers(reports: Sequence[Mapping[str, Any]], version: str) -> list[list[int]]:
    """Places of the replicas in the order to be tried: warm ones by predicted finish, then those with most memory free.

    A replica that has not reported yet counts as cold and idle.
    """
    places = range(len(reports))
    warm = [place for place in places if version in reports[place].get("versions", ())]
    cold = [place for place in places if place not in warm]
    tried: list[list[int]] = []
    for place in sorted(warm, key=lambda place: _work(reports[place])):
        if tried and _work(reports[place]) - _work(reports[tried[-1][0]]) < NEAR_SECONDS:
            tried[-1].append(place)
        else:
            tried.append([place])
    free: dict[int, list[int]] = {}
    for place in cold:
        free.setdefault(int(reports[place].get("free", 0)) >> 30, []).append(place)
    return tried + [free[gib] for gib in sorted(free, reverse=True)]


def wanted(now: int, batches: float, work: Sequence[float], *, target: float, least: int, most: int) -> int:
    """Replicas that there should be: as many as the batches need, and one more while one is late.

    `batches` are those on their way and waiting, `work` the predicted seconds of each replica that has reported.
    """
    by_load = ceil(batches / target)
    if work and max(work) >= LATE_SECONDS:
        by_load = max(by_load, now + 1)
    return max(least, min(most, by_load))


def _work(report: Mapping[str, Any]) -> float:
    return float(report.get("work", 0.0))
