"""Rules about UID, reward, endpoint: each fires, keeps silent, and turns at its boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation, Probe
from streetvision.monitor.rules import RULES, judge
from streetvision.monitor.rules.deregistration_risk import registrations_per_day
from streetvision.monitor.thresholds import THRESHOLDS

Make = Callable[..., Any]


def found(seen: Observation, code: str) -> Finding | None:
    return next((finding for finding in judge(seen) if finding.code == code), None)


def test_a_healthy_miner_has_no_findings(seen: Make) -> None:
    assert judge(seen()) == ()


def test_nothing_known_is_nothing_found() -> None:
    assert judge(Observation(now=1.8e9, hotkey="own")) == ()


def test_codes_are_unique_and_findings_carry_their_rules_code(seen: Make, point: Make) -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    gone = seen(points=(point(1), point(0, uid=None, registered_at=None)))
    for rule in RULES:
        assert {finding.code for finding in rule.judge(gone, THRESHOLDS)} <= {rule.code}


# -- registration ------------------------------------------------------------------------------------------------------


def test_deregistered_names_when_and_how_to_return(seen: Make, point: Make) -> None:
    points = (point(2, position=1), point(1, position=1), point(0, uid=None, registered_at=None))
    finding = found(seen(points=points, register_command="streetvision register --netuid 72"), "deregistered")
    assert finding is not None
    assert finding.severity is Severity.CRITICAL
    assert finding.since == points[-1].time
    assert "UID 8 was lost between blocks 6999640 and 7000000" in finding.evidence[1]
    assert finding.remedy.endswith("streetvision register --netuid 72")


def test_never_registered_is_deregistered_too(seen: Make, point: Make) -> None:
    finding = found(seen(points=(point(0, uid=None),)), "deregistered")
    assert finding is not None
    assert finding.data["lost_uid"] is None


@pytest.mark.parametrize(
    ("place", "recent", "expected"),
    [
        (200, 2, None),
        (10, 3, None),  # 3.3 days
        (9, 3, Severity.WARNING),  # three days
        (4, 3, Severity.WARNING),
        (3, 0, Severity.WARNING),  # a burst away, though nobody registers
        (4, 0, None),
        (3, 3, Severity.CRITICAL),  # one day
    ],
)
def test_risk_by_place_and_pace(seen: Make, point: Make, place: int, recent: int, expected: Severity | None) -> None:
    points = (point(0, position=place, unprotected=place, recent_registrations=recent),)
    finding = found(seen(points=points), "deregistration_risk")
    assert (finding.severity if finding else None) == expected


@pytest.mark.parametrize(
    ("left", "place", "expected"), [(7_200, 10, True), (7_201, 10, False), (7_200, 11, False), (1, 1, True)]
)
def test_risk_at_the_end_of_immunity(seen: Make, point: Make, left: int, place: int, expected: bool) -> None:
    now = point(0)
    points = (replace(now, immune_until=now.block + left, position=250, unprotected=place),)
    finding = found(seen(points=points), "deregistration_risk")
    assert (finding is not None) is expected
    if finding:
        assert finding.data["immunity_blocks"] == left


def test_free_uids_take_away_the_risk(seen: Make, point: Make) -> None:
    points = (point(0, position=1, unprotected=1, recent_registrations=9, free_uids=1),)
    assert found(seen(points=points), "deregistration_risk") is None


def test_pace_takes_the_higher_of_chain_and_history(seen: Make, epochs: Make) -> None:
    points = epochs(registrations=[1] * 60, recent_registrations=[4] * 60)
    assert registrations_per_day(seen(points=points)) == pytest.approx(60 / (59 * 4320 / 86_400))
    assert registrations_per_day(seen(points=epochs(recent_registrations=[4]))) == 4


# -- earning -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("burn", "expected"), [(0.98, False), (0.99, True), (1.0, True)])
def test_halted_by_burn(seen: Make, epochs: Make, burn: float, expected: bool) -> None:
    finding = found(seen(points=epochs(burn_share=[0.0] * 9 + [burn])), "subnet_halted")
    assert (finding is not None) is expected


def test_a_flapping_burn_is_one_halt_with_one_beginning(seen: Make, epochs: Make) -> None:
    shares = [0.0] * 5 + [1.0, 0.0] * 6
    findings = [found(seen(points=epochs(burn_share=shares)[:n]), "subnet_halted") for n in range(6, 18)]
    assert all(finding is not None for finding in findings)
    assert len({finding.since for finding in findings if finding}) <= 1


def test_a_halt_ends_after_two_calm_tempos(seen: Make, epochs: Make) -> None:
    assert found(seen(points=epochs(burn_share=[1.0, 1.0, 0.5])), "subnet_halted") is not None
    assert found(seen(points=epochs(burn_share=[1.0, 1.0, 0.95, 0.5])), "subnet_halted") is not None
    assert found(seen(points=epochs(burn_share=[1.0, 1.0, 0.5, 0.5])), "subnet_halted") is None


@pytest.mark.parametrize(("age", "expected"), [(540, False), (541, True), (5_000, True)])
def test_halted_by_idle_validators(seen: Make, epochs: Make, age: int, expected: bool) -> None:
    finding = found(seen(points=epochs(weights_age=[40] * 20 + [age])), "subnet_halted")
    assert (finding is not None) is expected


def test_a_slow_subnet_is_not_idle_and_a_long_halt_teaches_nothing(seen: Make, epochs: Make) -> None:
    assert found(seen(points=epochs(weights_age=[300] * 20 + [1_200])), "subnet_halted") is None
    assert found(seen(points=epochs(weights_age=[9_000] * 20 + [9_000])), "subnet_halted") is not None


@pytest.mark.parametrize(
    ("emission", "expected"),
    [
        ([1.0] * 20, None),
        ([1.0] * 20 + [0.5], None),
        ([1.0] * 20 + [0.49], "one tempo"),
        ([1.0] * 20 + [0.701] * 3, None),
        ([1.0] * 20 + [0.699] * 3, "3 tempos"),
        ([1.0] * 4 + [0.1], None),  # too young to have a past
    ],
)
def test_emission_fell(seen: Make, epochs: Make, emission: list[float], expected: str | None) -> None:
    finding = found(seen(points=epochs(emission=emission)), "emission_fell")
    assert (finding.data["over"] if finding else None) == expected


def test_a_slow_decline_is_seen_against_the_week_before(seen: Make, epochs: Make) -> None:
    falling = [0.997**i for i in range(180)]
    finding = found(seen(points=epochs(emission=falling)), "emission_fell")
    assert finding is not None
    assert finding.data["over"] == "a week"
    assert found(seen(points=epochs(emission=[0.9985**i for i in range(180)])), "emission_fell") is None


def test_emission_that_is_burned_is_not_our_fault(seen: Make, epochs: Make) -> None:
    points = epochs(emission=[1.0] * 20 + [0.3], burn_share=[0.0] * 20 + [0.7])
    finding = found(seen(points=points), "emission_fell")
    assert finding is not None
    assert finding.data["by_burn"]
    assert "all miners lost" in finding.evidence[-1]


def test_nothing_earned_is_critical_and_a_new_registration_is_a_new_start(seen: Make, epochs: Make) -> None:
    emission = [1.0] * 20 + [0.0]
    finding = found(seen(points=epochs(emission=emission)), "emission_fell")
    assert finding is not None
    assert finding.severity is Severity.CRITICAL
    born = [6_000_000] * 20 + [6_999_990]
    assert found(seen(points=epochs(emission=emission, registered_at=born)), "emission_fell") is None


def test_a_price_alone_is_no_fall(seen: Make, epochs: Make) -> None:
    assert judge(seen(points=epochs(alpha_price=[0.05] * 20 + [0.001]))) == ()


@pytest.mark.parametrize(("rank", "expected"), [(64, False), (65, True), (20, False)])
def test_rank_fell_by_a_tenth_of_the_field(seen: Make, epochs: Make, rank: int, expected: bool) -> None:
    finding = found(seen(points=epochs(rank=[40] * 20 + [rank] * 3)), "rank_fell")
    assert (finding is not None) is expected


def test_a_restless_rank_must_fall_further(seen: Make, epochs: Make) -> None:
    restless = [40 + 15 * (-1) ** i for i in range(20)]
    assert found(seen(points=epochs(rank=[*restless, 70, 70, 70])), "rank_fell") is None
    assert found(seen(points=epochs(rank=[*restless, 140, 140, 140])), "rank_fell") is not None


# -- endpoint ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tempos", "expected"), [(0, False), (1, True)])
def test_endpoint_differs_after_the_grace(seen: Make, point: Make, tempos: int, expected: bool) -> None:
    wrong = tuple(point(back, axon="198.51.100.1:1") for back in range(tempos, -1, -1))
    finding = found(seen(points=(point(3), *wrong)), "endpoint_differs")
    assert (finding is not None) is expected
    if finding:
        assert "198.51.100.1:1" in finding.title


def test_the_grace_begins_with_the_process(seen: Make, point: Make, traffic: Make, now: float) -> None:
    wrong = tuple(point(back, axon=None) for back in range(9, -1, -1))
    young = replace(traffic(), listening_since=now - 899)
    assert found(seen(points=wrong, traffic=young), "endpoint_differs") is None
    young = replace(traffic(), listening_since=now - 900)
    assert found(seen(points=wrong, traffic=young), "endpoint_differs") is not None


def _probe(now: float, *, outside: bool = False, reached: bool = False) -> Probe:
    return Probe("203.0.113.7:8091", reached, "connection refused", now, outside)


@pytest.mark.parametrize(
    ("silent", "outside", "reached", "expected"),
    [
        (0.0, True, False, False),  # a request proves reach
        (1_200.0, True, False, False),
        (3_000.0, True, False, True),
        (3_000.0, False, False, True),  # and the silence is unusual
        (3_000.0, False, True, False),
    ],
)
def test_unreachable(
    seen: Make, traffic: Make, now: float, silent: float, outside: bool, reached: bool, expected: bool
) -> None:
    probe = _probe(now, outside=outside, reached=reached)
    finding = found(seen(traffic=traffic(silent_s=silent), probe=probe), "endpoint_unreachable")
    assert (finding is not None) is expected


def test_an_inside_probe_is_not_believed_while_silence_is_usual(seen: Make, traffic: Make, now: float) -> None:
    calm = traffic(silent_s=3_000.0, longest_gap=3_000.0)
    assert found(seen(traffic=calm, probe=_probe(now)), "endpoint_unreachable") is None


def test_a_fresh_miner_that_nobody_reached_hears_of_it_soon(seen: Make, traffic: Make, now: float) -> None:
    fresh = replace(traffic(days=0), listening_since=now - 299)
    assert found(seen(traffic=fresh, probe=_probe(now)), "endpoint_unreachable") is None
    fresh = replace(traffic(days=0), listening_since=now - 300)
    assert found(seen(traffic=fresh, probe=_probe(now)), "endpoint_unreachable") is not None
