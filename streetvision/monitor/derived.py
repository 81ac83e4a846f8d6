"""Answers that several rules and the diagnosis share: is the subnet halted, a silence unusual, whose time is wrong?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from streetvision.base.wording import duration, plural, share
from streetvision.monitor.clock import Verdict, majority, verdict
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.thresholds import DAY, HOUR, SECONDS_PER_BLOCK, Thresholds
from streetvision.monitor.traffic import BUCKET_S, Traffic, TrafficBucket

_LEAST_HEARD_S = 6 * HOUR
"""Before that, nothing is known of how requests come."""
IMAGE_REASONS = frozenset({"bad_image", "image_too_large", "too_large"})
"""Reasons of requests refused for their picture, or for the body that it came in."""
LATE_REASONS = frozenset({"late", "deadline", "overloaded", "slow_body"})
"""Refusals that mean: no time was left."""


@dataclass(frozen=True, slots=True)
class Halt:
    """No miner earns, whatever it does."""

    kind: Literal["burned", "idle"]
    since: float
    evidence: tuple[str, ...]


REFUSED_FOR_TIME = ("stale_nonce", "future_nonce")
"""Refusals that mean: the time in the request is too far from ours."""


def node_offset(seen: Observation, limits: Thresholds) -> float | None:
    """Our clock less the time of the node's newest block, seconds; None while too little is known.

    The least of the last snapshots, as delays only add; but the newest alone when no delay can explain it.
    """
    recent = [p.clock_offset for p in seen.points[-60:] if p.clock_offset is not None and p.time >= seen.now - HOUR]
    if recent and recent[-1] >= limits.node_lag_s:
        return recent[-1]
    return min(recent[-limits.skew_points :]) if len(recent) >= limits.skew_points else None


def refused_for_time(seen: Observation, limits: Thresholds) -> int:
    """Requests refused for their time. Strangers can forge such, so they count only while no proven one arrives."""
    last = seen.traffic.last_request
    if last is not None and seen.now - last < limits.refused_s:
        return 0
    hour = seen.traffic.total(max(seen.now - limits.recent_s, (last or 0.0) - BUCKET_S), seen.now + 1)
    refused = sum(hour.rejected.get(reason, 0) for reason in REFUSED_FOR_TIME)
    return refused if refused >= limits.failing_requests else 0


def verdict_of(seen: Observation, limits: Thresholds) -> Verdict:
    """Whose time is wrong. Offsets heard long ago can accuse our clock, but not clear it: it may have moved since."""
    offsets, last = list(seen.offsets.values()), seen.traffic.last_request
    if last is not None and seen.now - last >= limits.proof_of_reach_s and majority(offsets, limits) == 0:
        offsets = []
    refused = bool(refused_for_time(seen, limits))
    return verdict(node_offset(seen, limits), offsets, seen.synchronised, refused=refused, limits=limits)


OTHER_TIME = "the node shows the subnet as of another time"
"""The reason for which nothing about the subnet is judged then."""


def node_time_is_wrong(seen: Observation, limits: Thresholds) -> bool:
    """Whether the newest snapshot is too far from now to judge the subnet by, though our clock is right."""
    latest = seen.latest
    if latest is None or latest.clock_offset is None or abs(latest.clock_offset) < limits.node_lag_s:
        return False
    return verdict_of(seen, limits) in (Verdict.NODE_LAGS, Verdict.NODE_AHEAD)


def halt_of(seen: Observation, limits: Thresholds) -> Halt | None:
    """The halt that holds now: validators burn everything, or give no weights at all."""
    if seen.latest is None:
        return None
    return _burned(seen, limits) or _idle(seen, seen.latest, limits)


def _burned(seen: Observation, limits: Thresholds) -> Halt | None:
    """Starts with one burned epoch and ends after some epochs in a row well below: a flapping share is one halt."""
    since: float | None = None
    calm = burned = epochs = 0
    for point in seen.epochs:
        if point.burn_share >= limits.halted_burn:
            since = seen.began(point.epoch) if since is None else since
            calm = 0
            burned += 1
        elif since is not None:
            calm = calm + 1 if point.burn_share < limits.resumed_burn else 0
            if calm >= limits.resumed_epochs:
                since, burned, epochs = None, 0, 0
        epochs += since is not None
    if since is None or seen.latest is None:
        return None
    now = seen.latest
    sentences = [
        f"{share(now.burn_share)} of the miners' incentive goes to the owner's UIDs and is burned.",
        f"{burned} of the last {plural(epochs, 'tempo')} were burned; {now.paid_miners} of {now.miners} miners earn.",
    ]
    return Halt("burned", since, tuple(sentences))


def usual_weights_age(seen: Observation, limits: Thresholds) -> float:
    """Blocks without any validator's weights beyond which validators count as idle on this subnet."""
    latest = seen.latest
    tempo = latest.tempo if latest else 360
    ages = [p.weights_age for p in seen.points if p.weights_age is not None and p.time >= seen.now - 7 * DAY]
    learned = limits.idle_factor * 2 * median(ages) if ages else 0.0
    return min(max(limits.idle_tempos * tempo, learned), limits.idle_most_tempos * tempo)


def _idle(seen: Observation, latest: HistoryPoint, limits: Thresholds) -> Halt | None:
    if latest.validators == 0:
        return Halt("idle", latest.time, ("No validator with a permit and stake is left on the subnet.",))
    age, most = latest.weights_age or 0, usual_weights_age(seen, limits)
    if age <= most:
        return None
    seconds = age * SECONDS_PER_BLOCK
    sentence = (
        f"None of {plural(latest.validators, 'validator')} with stake has set weights for {age} blocks "
        f"({duration(seconds)}); usual here are at most {most:.0f}."
    )
    return Halt("idle", latest.time - seconds, (sentence,))


@dataclass(frozen=True, slots=True)
class Silence:
    """How long nobody has asked, against what is usual."""

    seconds: float
    since: float
    """The last request, or when we began to listen."""
    ever: bool
    """Whether any request is on record."""
    expected: float | None
    """Requests that usually come in this time at this time of day; None while too little is known."""
    usual_gap: float | None
    """The longest usual pause at this time of day, seconds."""
    unusual: bool


def silence_of(seen: Observation, limits: Thresholds) -> Silence | None:
    """The silence since the last request; None when no miner is listening."""
    traffic = seen.traffic
    if traffic.listening_since is None:
        return None
    last = traffic.last_request
    since = max(traffic.listening_since, last or 0.0)
    length = max(0.0, seen.now - since)
    if length < limits.silence_s:
        return Silence(length, since, last is not None, None, None, unusual=False)
    expected, gap = _usual(traffic, since, seen.now)
    if expected is None or gap is None:
        unusual = length >= limits.silence_blind_s
    else:
        rounds = expected / burst_size([b.requests for b in whole_buckets(traffic, since)])
        unusual = rounds >= limits.silence_expected and length >= limits.silence_factor * gap
    return Silence(length, since, last is not None, expected, gap, unusual)


def recent(seen: Observation, limits: Thresholds) -> TrafficBucket:
    """The requests of the last hour."""
    return seen.traffic.total(seen.now - limits.recent_s, seen.now + 1)


def whole_buckets(traffic: Traffic, until: float) -> Sequence[TrafficBucket]:
    """The ten-minute buckets of the week before `until`."""
    week = traffic.between(until - 7 * DAY, until - BUCKET_S)
    return [bucket for bucket in week if bucket.span == BUCKET_S]


def burst_size(counts: Sequence[int]) -> float:
    """How many requests come together, at least 1: variance over mean of counts in a row.

    Differences of neighbours are taken, so that a pace that changes slowly, as at night, is not mistaken for bursts.
    """
    squares = sum((a - b) ** 2 for a, b in pairwise(counts))
    total = sum(a + b for a, b in pairwise(counts))
    return max(1.0, squares / total) if total else 1.0


def _usual(traffic: Traffic, since: float, now: float) -> tuple[float | None, float | None]:
    """Requests expected in [since, now) and the longest usual gap around now, from the same hours of past days."""
    since = max(since, now - DAY)
    counts, gaps = [], []
    for days in range(1, 8):
        requests, heard = _overlap(traffic, since - days * DAY, now - days * DAY)
        if heard >= 0.5 * (now - since):
            counts.append(requests)
            around = traffic.between(now - days * DAY - HOUR, now - days * DAY + HOUR)
            gaps.append(max((b.longest_gap for b in around), default=0.0))
    if counts:
        gaps.sort()
        return median(counts), gaps[-2] if len(gaps) >= 3 else gaps[-1]
    return _usual_today(traffic, since, now)


def _overlap(traffic: Traffic, since: float, until: float) -> tuple[float, float]:
    """Requests in [since, until), taken evenly from the buckets at its ends, and the seconds of it on record."""
    requests = heard = 0.0
    for bucket in traffic.between(since - HOUR, until):
        inside = min(until, bucket.start + bucket.span) - max(since, bucket.start)
        if inside > 0:
            requests += bucket.requests * inside / bucket.span
            heard += inside
    return requests, heard


def _usual_today(traffic: Traffic, since: float, now: float) -> tuple[float | None, float | None]:
    """The same from the hours before this silence, while there is no other day to compare with."""
    before = traffic.between(since - DAY, since)
    requests, heard = sum(b.requests for b in before), sum(b.span for b in before)
    if heard < _LEAST_HEARD_S or requests == 0:
        return None, None
    return requests / heard * (now - since), max(b.longest_gap for b in before)
