"""A healthy miner's observation, to be changed in one place at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streetvision.monitor.observation import MachineView, ModelView, Observation, ValidatorView
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.traffic import BUCKET_S, SCORE_BINS, Traffic, TrafficBucket

NOW = 1_800_000_000.0 - 1_800_000_000.0 % BUCKET_S + 30.0
BLOCK = 7_000_000
TEMPO = 360
OURS = "203.0.113.7:8091"

Make = Callable[..., Any]


def make_point(back: int = 0, **changes: Any) -> HistoryPoint:
    """The point `back` tempos ago."""
    block = BLOCK - back * TEMPO
    point = HistoryPoint(
        time=NOW - 20.0 - back * TEMPO * 12.0, block=block, tempo=TEMPO, epoch=block - 100, uid=8,
        registered_at=BLOCK - 300_000, incentive=0.004, rank=40, miners=248, emission=0.6, trust=0.8, consensus=0.004,
        pruning_score=0.1, stake=0.0, collateral=0.0, axon=OURS, alpha_price=0.02, burn_share=0.0, paid_miners=248,
        validators=7, active_validators=7, weights_age=40, position=200, queue=255, unprotected=200,
        immune_until=BLOCK - 278_400, free_uids=0, registration_price=0.1, registrations=0, recent_registrations=2,
        clock_offset=4.0,
    )  # fmt: skip
    return replace(point, **changes)


def make_bucket(start: float, requests: int = 30, **changes: Any) -> TrafficBucket:
    """Ten minutes of requests, well answered, 40 % of them positive, from three validators."""
    positive = int(0.4 * requests)
    scores = [0] * SCORE_BINS
    scores[2], scores[17] = requests - positive, positive
    third = requests // 3
    bucket = TrafficBucket(
        start=start, span=BUCKET_S, requests=requests, answered=requests, positive=positive, scores=tuple(scores),
        headroom=(*([0] * 13), requests, 0), latency=(*([0] * 5), requests, *([0] * 14)),
        longest_gap=60.0 if requests else 0.0, last=start + 590.0 if requests else 0.0,
        validators={"v1": third, "v2": third, "v3": requests - 2 * third} if requests else {},
        models={"1.0.0": requests} if requests else {},
    )  # fmt: skip
    return replace(bucket, **changes)


def make_traffic(days: float = 8.0, silent_s: float = 0.0, **changes: Any) -> Traffic:
    """Steady requests up to `silent_s` before now."""
    first = NOW - 30.0 - days * 86_400
    count = round(days * 86_400 / BUCKET_S)
    starts = [first + i * BUCKET_S for i in range(count)]
    buckets = [make_bucket(start, 30 if start + BUCKET_S <= NOW - silent_s else 0, **changes) for start in starts]
    return Traffic(tuple(buckets), listening_since=first)


def make_seen(**changes: Any) -> Observation:
    """Nothing is wrong."""
    seen = Observation(
        now=NOW,
        hotkey="own",
        points=tuple(make_point(back) for back in range(60, -1, -1)),
        traffic=make_traffic(),
        validators=tuple(ValidatorView(uid, f"v{uid}", 100.0, BLOCK - 40) for uid in (1, 2, 3)),
        snapshot_age=20.0,
        endpoint=OURS,
        offsets={"v1": 0.1, "v2": 0.2, "v3": 0.1},
        model=ModelView("street", "1.0.0", NOW - 10 * 86_400, "own", "model_card.json"),
        machine=MachineView(disk_free=2**38, disk_total=2**39, memory_available=2**34, memory_total=2**35),
    )
    return replace(seen, **changes)


@pytest.fixture
def now() -> float:
    return NOW


@pytest.fixture
def point() -> Make:
    return make_point


@pytest.fixture
def bucket() -> Make:
    return make_bucket


@pytest.fixture
def traffic() -> Make:
    return make_traffic


@pytest.fixture
def seen() -> Make:
    return make_seen


@pytest.fixture
def epochs() -> Make:
    """Points of the last tempos, oldest first, from one sequence for each changed field."""

    def build(**series: list[Any]) -> tuple[HistoryPoint, ...]:
        count = len(next(iter(series.values())))
        rows = [{name: values[i] for name, values in series.items()} for i in range(count)]
        return tuple(make_point(count - 1 - i, **row) for i, row in enumerate(rows))

    return build
