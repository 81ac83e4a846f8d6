"""A proxy that takes the validators' headers is found; the internet's noise is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streetvision.control.monitor_operations import observed
from streetvision.monitor.diagnosis import Cause, diagnose
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation, RefusalView
from streetvision.monitor.rules import judge
from streetvision.monitor.traffic import Traffic

Make = Callable[..., Any]


def refused(**counts: int) -> tuple[RefusalView, ...]:
    return tuple(RefusalView(name, name, count, count, 0.0) for name, count in counts.items())


def found(seen: Observation, code: str = "headers_missing") -> Finding | None:
    return next((finding for finding in judge(seen) if finding.code == code), None)


@pytest.fixture
def quiet(now: float) -> Traffic:
    """A miner that nobody has reached yet, for six hours."""
    return Traffic((), listening_since=now - 21_600.0)


@pytest.mark.parametrize("reason", ["headers_dropped", "headers_renamed", "missing_header"])
def test_thirteen_requests_without_headers(seen: Make, quiet: Traffic, reason: str) -> None:
    observation = seen(refusals=refused(**{reason: 13}), traffic=quiet)
    finding = found(observation)
    assert finding is not None
    assert finding.severity is Severity.CRITICAL
    assert finding.title == "validators' requests arrive without their headers"
    assert "13 requests" in finding.evidence[0]
    assert ("underscores_in_headers on" in finding.remedy) is (reason == "headers_dropped")
    assert found(observation, "no_requests") is None  # they ask, and lose their headers on the way
    assert diagnose(observation).cause is Cause.NOT_REACHABLE


@pytest.mark.parametrize("noise", ["no_identity", "unknown_path", "tls", "malformed_http", "method", "silent", "http2"])
def test_scanners_are_no_proxy(seen: Make, quiet: Traffic, noise: str) -> None:
    observation = seen(refusals=refused(**{noise: 5000}), traffic=quiet)
    assert found(observation) is None
    assert found(observation, "proxy_protocol") is None
    assert found(observation, "no_requests") is not None


@pytest.mark.parametrize(("lost", "expected"), [(0, False), (2, False), (3, True)])
def test_a_trial_or_two_by_hand_is_nothing(seen: Make, quiet: Traffic, lost: int, expected: bool) -> None:
    assert (found(seen(refusals=refused(headers_dropped=lost), traffic=quiet)) is not None) is expected


def test_both_losses_count_together(seen: Make, quiet: Traffic) -> None:
    assert found(seen(refusals=refused(headers_dropped=1, headers_renamed=2), traffic=quiet)) is not None


def test_yesterdays_losses_are_over(seen: Make, quiet: Traffic) -> None:
    assert found(seen(refusals=(RefusalView("headers_dropped", "", 90, 0, 0.0),), traffic=quiet)) is None


@pytest.mark.parametrize(("lost", "severity"), [(7, None), (8, Severity.WARNING), (500, Severity.WARNING)])
def test_while_others_arrive_whole_it_is_a_warning(seen: Make, lost: int, severity: Severity | None) -> None:
    """Beside 150 whole requests, a few are somebody's imitation, and more are a part of the validators."""
    finding = found(seen(refusals=refused(headers_dropped=lost)))
    assert (finding.severity if finding else None) is severity


def test_when_the_last_whole_request_is_long_ago_it_is_critical(seen: Make, traffic: Make) -> None:
    finding = found(seen(refusals=refused(headers_dropped=13), traffic=traffic(silent_s=1_200.0)))
    assert finding is not None
    assert finding.severity is Severity.CRITICAL


def test_the_proxy_protocol(seen: Make, quiet: Traffic) -> None:
    finding = found(seen(refusals=refused(proxy_protocol=3), traffic=quiet), "proxy_protocol")
    assert finding is not None
    assert finding.severity is Severity.CRITICAL
    assert found(seen(refusals=refused(proxy_protocol=2), traffic=quiet), "proxy_protocol") is None


def test_without_a_running_miner_nothing_is_said(seen: Make) -> None:
    assert found(seen(refusals=None)) is None
    assert observed(seen(refusals=None))["refusals"] is None
    assert observed(seen(refusals=refused(tls=2)))["refusals"][0]["recent"] == 2
