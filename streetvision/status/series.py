"""The history in equal intervals, for charts and sparklines. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import ceil

from streetvision.monitor.history_database import BUCKET_FULL_S, BUCKET_HOUR_S, FULL_S, TEMPO_S
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.monitor.traffic import TrafficBucket
from streetvision.status.schema import RequestSeries, StandingSeries, Track

LEAST_STEP_S = 60.0
"""A snapshot is read once a minute."""
_STEPS = (600.0, 1800.0, HOUR, 3 * HOUR, 6 * HOUR, DAY)
"""Of requests: a day holds a whole number of each."""
_SECONDS_PER_BLOCK = 12.0

Measure = Callable[[HistoryPoint], float | None]


def standing_series(points: Sequence[HistoryPoint], now: float, days: float, count: int) -> StandingSeries | None:
    """At most `count` intervals of the last `days`, or of what there is when it is less; None without a point."""
    first = bisect_left(points, now - days * DAY, key=lambda point: point.time)
    shown = [point for point in points[first:] if point.time <= now]
    if not shown:
        return None
    since = min(shown[0].time, now - LEAST_STEP_S)
    count = max(1, min(count, ceil((now - since) / LEAST_STEP_S)))
    step = (now - since) / count
    groups = _groups(shown, since, step, count, now)
    return {
        "since": since,
        "step": step,
        "points": len(shown),
        "rank": _track(groups, lambda p: p.rank),
        "incentive": _track(groups, lambda p: p.incentive if p.registered else None),
        "emission_per_day": _track(groups, lambda p: p.emission_per_day if p.registered else None),
        "burn_share": _track(groups, lambda p: p.burn_share),
    }


def _groups(
    points: Sequence[HistoryPoint], since: float, step: float, count: int, now: float
) -> list[list[HistoryPoint]]:
    """The points of each interval. One without any takes the next point, where that stands for so long a time."""
    groups: list[list[HistoryPoint]] = [[] for _ in range(count)]
    for point in points:
        groups[min(count - 1, int((point.time - since) / step))].append(point)
    following: HistoryPoint | None = None
    for place in range(count - 1, -1, -1):
        if groups[place]:
            following = groups[place][0]
        elif following is not None and following.time - _reach(following, now) <= since + (place + 1) * step:
            groups[place].append(following)
    return groups


def _reach(point: HistoryPoint, now: float) -> float:
    """Seconds before a point for which it stands: after downsampling its tempo or its day."""
    age = now - point.time
    if age > TEMPO_S:
        return DAY
    return point.tempo * _SECONDS_PER_BLOCK if age > FULL_S else 10 * LEAST_STEP_S


def _track(groups: list[list[HistoryPoint]], measure: Measure) -> Track:
    columns = [[value for point in group if (value := measure(point)) is not None] for group in groups]
    return {
        "mean": [_rounded(sum(column) / len(column)) if column else None for column in columns],
        "low": [_rounded(min(column)) if column else None for column in columns],
        "high": [_rounded(max(column)) if column else None for column in columns],
    }


def _rounded(value: float) -> float:
    """Six digits: more only make the JSON longer."""
    return float(f"{value:.6g}")


def request_series(buckets: Sequence[TrafficBucket], now: float, days: float, count: int) -> RequestSeries | None:
    """Requests of the last `days` in at most about `count` intervals, none finer than what is kept; None without."""
    oldest = now - days * DAY
    shown = [bucket for bucket in buckets if oldest <= bucket.start <= now]
    if not shown:
        return None
    span = now - shown[0].start
    finest = DAY if span > BUCKET_HOUR_S else HOUR if span > BUCKET_FULL_S else _STEPS[0]
    step = next((s for s in _STEPS if s >= finest and span / s <= count), DAY)
    since = shown[0].start // step * step
    answered = [0] * (int((now - since) / step) + 1)
    failed = list(answered)
    for bucket in shown:
        place = int((bucket.start - since) / step)
        answered[place] += bucket.answered
        failed[place] += bucket.requests - bucket.answered
    return {"since": since, "step": step, "answered": answered, "failed": failed}
