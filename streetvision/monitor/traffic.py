"""Requests and answers, counted in buckets of ten minutes and downsampled with age, and sums over them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

BUCKET_S = 600
"""Seconds in a fresh bucket."""
SCORE_BINS = 20
"""Equal bins of the answered probability."""
HEADROOM_EDGES = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
"""Seconds to spare before the deadline; the first bin holds what came too late, the last is open."""
LATENCY_EDGES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
"""Seconds from the request's arrival to its reply; the last bin is open."""

_NONE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TrafficBucket:
    """Proven requests that arrived in [start, start + span), and refused ones that claimed a registered hotkey."""

    start: float
    """Unix seconds."""
    span: float
    requests: int = 0
    """Requests with a proven caller, answered or not."""
    answered: int = 0
    positive: int = 0
    """Answers above the subnet's threshold."""
    failed: Mapping[str, int] = field(default_factory=lambda: _NONE)
    """Proven requests that got no answer, by reason."""
    rejected: Mapping[str, int] = field(default_factory=lambda: _NONE)
    """Refused before they were proven, by reason; a sample, and anybody may claim a hotkey."""
    scores: tuple[int, ...] = (0,) * SCORE_BINS
    headroom: tuple[int, ...] = (0,) * (len(HEADROOM_EDGES) + 1)
    latency: tuple[int, ...] = (0,) * (len(LATENCY_EDGES) + 1)
    longest_gap: float = 0.0
    """Seconds of the longest silence that a request of this bucket ended."""
    last: float = 0.0
    """Unix seconds of the last proven request."""
    validators: Mapping[str, int] = field(default_factory=lambda: _NONE)
    """Proven requests by hotkey."""
    models: Mapping[str, int] = field(default_factory=lambda: _NONE)
    """Answers by model version."""
    router: Mapping[str, int] = field(default_factory=lambda: _NONE)
    """Answers of versions with a router, by RouterOutcome."""


@dataclass(frozen=True)
class Traffic:
    """Buckets oldest first, and since when this process has been able to hear requests."""

    buckets: tuple[TrafficBucket, ...] = ()
    listening_since: float | None = None
    """Unix seconds; None when no miner is running (or nobody knows)."""
    seen: Mapping[str, float] = field(default_factory=dict)
    """Last proven request of each hotkey, Unix seconds."""

    @cached_property
    def _starts(self) -> tuple[float, ...]:
        return tuple(bucket.start for bucket in self.buckets)

    @cached_property
    def last_request(self) -> float | None:
        """Unix seconds of the last proven request on record."""
        return max((bucket.last for bucket in self.buckets), default=0.0) or None

    def between(self, since: float, until: float) -> Sequence[TrafficBucket]:
        """Buckets that start in [since, until)."""
        return self.buckets[bisect_left(self._starts, since) : bisect_left(self._starts, until)]

    def total(self, since: float, until: float) -> TrafficBucket:
        """One bucket that sums those that start in [since, until)."""
        return merged(self.between(since, until), since, until - since)

    def answered(self, since: float, until: float) -> int:
        """Answers in the buckets that start in [since, until): cheaper than all of `total`."""
        return sum(bucket.answered for bucket in self.between(since, until))

    def latest(self, answers: int, until: float, longest: float) -> TrafficBucket:
        """The newest buckets before `until` that together hold `answers`, at most `longest` seconds of them."""
        chosen: list[TrafficBucket] = []
        found = 0
        for bucket in reversed(self.between(until - longest, until)):
            chosen.append(bucket)
            found += bucket.answered
            if found >= answers:
                break
        start = chosen[-1].start if chosen else until
        return merged(chosen[::-1], start, until - start)


def merged(buckets: Sequence[TrafficBucket], start: float, span: float) -> TrafficBucket:
    """The sum of buckets as one."""
    return TrafficBucket(
        start=start,
        span=span,
        requests=sum(b.requests for b in buckets),
        answered=sum(b.answered for b in buckets),
        positive=sum(b.positive for b in buckets),
        failed=_sums(b.failed for b in buckets),
        rejected=_sums(b.rejected for b in buckets),
        scores=_columns([b.scores for b in buckets], SCORE_BINS),
        headroom=_columns([b.headroom for b in buckets], len(HEADROOM_EDGES) + 1),
        latency=_columns([b.latency for b in buckets], len(LATENCY_EDGES) + 1),
        longest_gap=max((b.longest_gap for b in buckets), default=0.0),
        last=max((b.last for b in buckets), default=0.0),
        validators=_sums(b.validators for b in buckets),
        models=_sums(b.models for b in buckets),
        router=_sums(b.router for b in buckets),
    )


def quantile(counts: Sequence[int], edges: Sequence[float], share: float) -> float:
    """The edge below which at least `share` of a histogram lies: infinite in the open bin. ValueError when empty."""
    total = sum(counts)
    if total == 0:
        raise ValueError("the histogram is empty")
    reached = 0
    for count, edge in zip(counts, (*edges, float("inf")), strict=True):
        reached += count
        if reached >= share * total:
            return edge
    return float("inf")


def _sums(parts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            sums[name] = sums.get(name, 0) + count
    return MappingProxyType(sums)


def _columns(rows: list[tuple[int, ...]], width: int) -> tuple[int, ...]:
    return tuple(map(sum, zip(*rows, strict=True))) if rows else (0,) * width
