"""How history shrinks with age: everything for two days, one point a tempo for thirty, one a day after. Pure.

The clock alone makes nothing old: a point is as old as the blocks since say at most, a bucket as the time counted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, groupby
from typing import TypeVar

from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.standing import BLOCKS_PER_DAY
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
    newest = points[-1].block if points else 0

    def key(point: HistoryPoint) -> Hashable:
        age = min(now - point.time, (newest - point.block) * DAY / BLOCKS_PER_DAY)
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
    since = accumulate(bucket.span for bucket in reversed(buckets))
    counted = dict(zip((bucket.start for bucket in reversed(buckets)), since, strict=True))

    def key(bucket: TrafficBucket) -> Hashable:
        age = min(now - bucket.start, counted[bucket.start])
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
