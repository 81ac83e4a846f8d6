"""How history shrinks with age: everything for two days, one point a tempo for thirty, one a day after. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.traffic import TrafficBucket, merged

T = TypeVar("T")

FULL_S = 2 * DAY
"""Age up to which every point is kept."""
TEMPO_S = 30 * DAY
"""Age up to which one point a tempo is kept; after it one a day (UTC)."""
BUCKET_FULL_S = 9 * DAY
"""Age up to which ten-minute buckets are kept: a week and a day, which the rules compare with."""
BUCKET_HOUR_S = 30 * DAY
"""Age up to which hourly buckets are kept; after it one a day."""


def thinned_points(points: Sequence[HistoryPoint], now: float) -> tuple[HistoryPoint, ...]:
    """The points to keep, oldest first: the last of each group, with all registrations seen in it."""

    def key(point: HistoryPoint) -> Hashable:
        age = now - point.time
        if age <= FULL_S:
            return point.time
        return (point.registered_at, point.epoch if age <= TEMPO_S else f"day {point.time // DAY}")

    return tuple(_last(group) for group in _groups(points, key))


def _last(group: Sequence[HistoryPoint]) -> HistoryPoint:
    if len(group) == 1:
        return group[0]
    return replace(group[-1], registrations=sum(point.registrations for point in group))


def thinned_buckets(buckets: Sequence[TrafficBucket], now: float) -> tuple[TrafficBucket, ...]:
    """The buckets to keep, oldest first: sums of those that share an hour or a day."""

    def key(bucket: TrafficBucket) -> Hashable:
        age = now - bucket.start
        if age <= BUCKET_FULL_S:
            return bucket.start
        span = HOUR if age <= BUCKET_HOUR_S else DAY
        return (span, bucket.start // span)

    return tuple(_sum(group) for group in _groups(buckets, key))


def _sum(group: Sequence[TrafficBucket]) -> TrafficBucket:
    if len(group) == 1:
        return group[0]
    return merged(group, group[0].start, group[-1].start + group[-1].span - group[0].start)


def _groups(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    return [list(group) for _, group in groupby(items, key)]
