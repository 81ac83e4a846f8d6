"""Rules about our view of the chain: its age, whose clock is wrong, and a node that lags."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streetvision.alerts.policy import unproven
from streetvision.monitor.diagnosis import Cause, diagnose
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.point import HistoryPoint
from streetvision.monitor.rules import judge
from streetvision.monitor.traffic import Traffic

Make = Callable[..., Any]


def found(seen: Observation, code: str) -> Finding | None:
    return next((finding for finding in judge(seen) if finding.code == code), None)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, None),
        (600.0, None),
        (601.0, Severity.WARNING),
        (3_600.0, Severity.CRITICAL),
        (math.inf, Severity.CRITICAL),
    ],
)
def test_metagraph_stale(seen: Make, age: float | None, expected: Severity | None) -> None:
    finding = found(seen(snapshot_age=age, chain_failures=3), "metagraph_stale")
    assert (finding.severity if finding else None) == expected


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ({"v1": 5.0, "v2": 5.0}, None),
        ({"v1": 5.1, "v2": 5.2}, Severity.WARNING),
        ({"v1": -6.0, "v2": -7.0, "v3": 0.0}, Severity.WARNING),
        ({"v1": 19.0}, None),  # one clock alone may be the wrong one
        ({"v1": 19.0, "v2": 0.1, "v3": 0.1}, None),
        ({"v1": -15.0, "v2": -15.0}, Severity.CRITICAL),
        ({"v1": 9.0, "v2": -9.0}, None),  # they disagree among themselves
        ({"v1": 19.0, "v2": 19.0, "v3": 0.1, "v4": 0.1}, None),
    ],
)
def test_clock_by_validators(seen: Make, offsets: dict[str, float], expected: Severity | None) -> None:
    finding = found(seen(offsets=offsets), "clock_skew")
    assert (finding.severity if finding else None) == expected


@pytest.mark.parametrize(
    ("offset", "expected"), [(0.5, False), (18.0, False), (18.1, True), (-5.0, False), (-5.1, True)]
)
def test_clock_by_block_time(seen: Make, point: Make, now: float, offset: float, expected: bool) -> None:
    points = tuple(point(0, time=now - 60 * i, clock_offset=offset + (3.0 if i else 0.0)) for i in range(5, -1, -1))
    assert (found(seen(points=points, offsets={}), "clock_skew") is not None) is expected
    vouched = seen(points=points)  # three validators say that our clock is right
    assert found(vouched, "clock_skew") is None
    assert (found(vouched, "node_lags") or found(vouched, "node_ahead")) if expected else judge(vouched) == ()


SEVEN = {f"v{n}": 0.2 for n in range(7)}


def lagging(point: Make, now: float, offset: float, **changes: Any) -> tuple[HistoryPoint, ...]:
    return tuple(point(0, time=now - 60 * i, clock_offset=offset, **changes) for i in range(5, -1, -1))


def test_a_node_two_hours_behind_is_not_our_clock(seen: Make, point: Make, now: float) -> None:
    view = seen(points=lagging(point, now, 7200.0), offsets=SEVEN)
    (finding,) = judge(view)
    assert (finding.code, finding.severity) == ("node_lags", Severity.CRITICAL)
    assert "--subtensor.chain_endpoint" in finding.remedy
    assert "timedatectl" not in finding.remedy
    assert "7 validators" in " ".join(finding.evidence)
    assert finding.data["lag_s"] == 7200
    by_kernel = replace(view, offsets={}, synchronised=True)
    assert [f.code for f in judge(by_kernel)] == ["node_lags"]
    nobody = replace(view, offsets={})
    assert [(f.code, f.severity) for f in judge(nobody)] == [("clock_skew", Severity.WARNING)]
    assert "--subtensor.chain_endpoint" in judge(nobody)[0].remedy


def test_a_clock_that_jumped_is_not_cleared_by_what_was_heard_before(
    seen: Make, point: Make, bucket: Make, now: float
) -> None:
    """Two hours ahead at once: the last requests seem to be two hours old, or those of now are refused."""
    points = lagging(point, now, 7200.0)
    quiet = seen(points=points, offsets=SEVEN, traffic=Traffic((bucket(now - 7800, 1, last=now - 7300),), now - 9000))
    assert [f.code for f in judge(quiet) if f.code in ("clock_skew", "node_lags")] == ["clock_skew"]


@pytest.mark.parametrize(("blocks", "expected"), [(9, None), (10, Severity.WARNING), (300, Severity.CRITICAL)])
def test_a_node_behind_what_we_have_seen(seen: Make, blocks: int, expected: Severity | None) -> None:
    finding = found(seen(blocks_behind=blocks), "node_lags")
    assert (finding.severity if finding else None) == expected
    if finding:
        assert f"{blocks} blocks before" in " ".join(finding.evidence)


def test_a_snapshot_that_lags_judges_nobody(seen: Make, point: Make, now: float) -> None:
    lost = {"uid": None, "registered_at": None, "rank": None, "position": None, "incentive": 0.0, "axon": None}
    blind = seen(points=lagging(point, now, 7200.0, burn_share=1.0, paid_miners=0, **lost), offsets=SEVEN)
    assert [finding.code for finding in judge(blind)] == ["node_lags"]
    assert {"deregistered", "subnet_halted", "emission_fell", "endpoint_differs"} <= unproven(blind)
    diagnosis = diagnose(blind)
    assert diagnosis.cause is Cause.UNKNOWN
    assert diagnosis.title.startswith("the chain's node lags by 2 h")
    fresh = seen(points=lagging(point, now, 4.0, **lost), offsets=SEVEN)
    assert "deregistered" in {finding.code for finding in judge(fresh)}


def test_one_late_block_is_no_skew(seen: Make, point: Make, now: float) -> None:
    points = tuple(point(0, time=now - 60 * i, clock_offset=4.0 if i == 2 else 40.0) for i in range(5, -1, -1))
    assert found(seen(points=points), "clock_skew") is None


@pytest.mark.parametrize(
    ("refused", "accepted_ago", "expected"),
    [(9, None, False), (10, None, True), (10, 300.0, True), (10, 299.0, False), (9_999, 10.0, False)],
)
def test_clock_by_refusals(
    seen: Make, bucket: Make, now: float, refused: int, accepted_ago: float | None, expected: bool
) -> None:
    """Anybody can send a stale request in a validator's name: it proves nothing while others are accepted."""
    one = bucket(now - 500, 0, rejected={"stale_nonce": refused})
    if accepted_ago is not None:
        one = replace(one, requests=1, last=now - accepted_ago)
    finding = found(seen(traffic=Traffic((one,), now - 900), offsets={}), "clock_skew")
    assert (finding is not None) is expected
    if finding:
        assert finding.severity is Severity.CRITICAL
