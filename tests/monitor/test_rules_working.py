"""Rules about requests, scores, model, machine: each fires, keeps silent, and turns at its boundary."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from streetvision.base.sqlite_trouble import CAUSES
from streetvision.engine.transport import RemoteTrouble
from streetvision.monitor.derived import burst_size
from streetvision.monitor.diagnosis import Cause, diagnose
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import (
    BackendView,
    MachineView,
    ModelView,
    Observation,
    RolloutView,
    StoreView,
    ValidatorView,
)
from streetvision.monitor.rules import judge
from streetvision.monitor.rules.backend_away import REMEDIES
from streetvision.monitor.rules.score_drift import stability_index
from streetvision.monitor.traffic import SCORE_BINS, Traffic, TrafficBucket
from streetvision.subnet import PayWindow

Make = Callable[..., Any]
GIB = 2**30


def found(seen: Observation, code: str) -> Finding | None:
    return next((finding for finding in judge(seen) if finding.code == code), None)


def ended(traffic: Traffic, *last: TrafficBucket) -> Traffic:
    """The traffic with its newest buckets replaced."""
    return replace(traffic, buckets=(*traffic.buckets[: -len(last)], *last))


def starts(traffic: Traffic, count: int) -> list[float]:
    return [bucket.start for bucket in traffic.buckets[-count:]]


# -- silence -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silent", "expected"), [(0.0, False), (600.0, False), (1_200.0, True), (9_000.0, True)])
def test_silence_in_a_busy_hour(seen: Make, traffic: Make, silent: float, expected: bool) -> None:
    finding = found(seen(traffic=traffic(silent_s=silent)), "no_requests")
    assert (finding is not None) is expected
    if finding:
        assert finding.severity is Severity.CRITICAL
        assert "7 of 7 validators set weights lately" in finding.evidence[-1]


def test_silence_at_a_usually_quiet_time_is_usual(seen: Make, traffic: Make, bucket: Make) -> None:
    steady = traffic(silent_s=7_200.0)
    day = 86_400.0
    end = steady.buckets[-1].start + 600.0

    def quiet(one: TrafficBucket) -> TrafficBucket:
        return bucket(one.start, 0) if (end - one.start - 1e-6) % day < 9_000 else one

    assert found(seen(traffic=replace(steady, buckets=tuple(map(quiet, steady.buckets)))), "no_requests") is None


def test_silence_shorter_than_twice_the_usual_gap_is_usual(seen: Make, traffic: Make) -> None:
    assert found(seen(traffic=traffic(silent_s=3_600.0, longest_gap=2_100.0)), "no_requests") is None
    assert found(seen(traffic=traffic(silent_s=4_800.0, longest_gap=2_100.0)), "no_requests") is not None


def test_one_outage_does_not_teach_that_outages_are_usual(seen: Make, traffic: Make) -> None:
    silent = traffic(silent_s=3_000.0)
    outage = tuple(
        replace(b, longest_gap=20_000.0) if 4.5 * 86_400 < silent.buckets[-1].start - b.start < 5.5 * 86_400 else b
        for b in silent.buckets
    )
    assert found(seen(traffic=replace(silent, buckets=outage)), "no_requests") is not None


@pytest.mark.parametrize(("listened", "expected"), [(10_799.0, False), (10_800.0, True)])
def test_a_miner_that_was_never_asked(seen: Make, now: float, listened: float, expected: bool) -> None:
    finding = found(seen(traffic=Traffic((), listening_since=now - listened)), "no_requests")
    assert (finding is not None) is expected
    if finding:
        assert finding.severity is Severity.WARNING


def test_downtime_of_our_own_is_no_silence(seen: Make, traffic: Make, now: float) -> None:
    down = replace(traffic(silent_s=20_000.0), listening_since=now - 300)
    assert found(seen(traffic=down), "no_requests") is None


def test_without_a_running_miner_nobody_is_silent(seen: Make, traffic: Make) -> None:
    assert found(seen(traffic=replace(traffic(silent_s=20_000.0), listening_since=None)), "no_requests") is None


def test_a_halt_explains_the_silence(seen: Make, traffic: Make, epochs: Make) -> None:
    halted = seen(traffic=traffic(silent_s=9_000.0), points=epochs(burn_share=[0.0] * 5 + [1.0]))
    assert [f.code for f in judge(halted)] == ["subnet_halted"]


def test_bursts_are_counted_as_rounds(seen: Make, traffic: Make, bucket: Make) -> None:
    """The same 180 requests an hour in one burst of all: fifteen rounds take fifteen hours."""

    def hourly(silent_s: float) -> Traffic:
        steady: Traffic = traffic(silent_s=silent_s)
        buckets = [bucket(b.start, 180 if i % 6 == 0 and b.requests else 0) for i, b in enumerate(steady.buckets)]
        return replace(steady, buckets=tuple(replace(b, longest_gap=3_600.0) for b in buckets))

    assert found(seen(traffic=hourly(4 * 3_600.0)), "no_requests") is None
    assert found(seen(traffic=hourly(20 * 3_600.0)), "no_requests") is not None


def test_the_size_of_bursts_is_learned() -> None:
    rng = random.Random(1)
    poisson = [sum(rng.random() < 0.03 for _ in range(1_000)) for _ in range(500)]
    assert burst_size(poisson) == pytest.approx(1.0, abs=0.2)
    assert burst_size([12 * (rng.random() < 0.3) for _ in range(2_000)]) == pytest.approx(8.4, rel=0.2)
    assert burst_size(range(100)) == 1.0
    assert burst_size([]) == burst_size([0, 0]) == 1.0


# -- errors and lateness -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requests", "failed", "expected"),
    [
        (9, 9, None),
        (10, 1, Severity.WARNING),
        (100, 9, None),
        (100, 49, Severity.WARNING),
        (100, 50, Severity.CRITICAL),
    ],
)
def test_failing(
    seen: Make, traffic: Make, bucket: Make, requests: int, failed: int, expected: Severity | None
) -> None:
    busy = traffic()
    silent = [bucket(start, 0) for start in starts(busy, 7)]
    bad = bucket(silent[-1].start, requests, answered=requests - failed, failed={"runner": failed})
    finding = found(seen(traffic=ended(busy, *silent[:-1], bad)), "requests_failing")
    assert (finding.severity if finding else None) == expected
    if finding:
        assert "nvidia-smi" in finding.remedy


@pytest.mark.parametrize(
    ("failed", "expected", "remedy"),
    [
        ({"image_too_large": 9}, None, ""),
        ({"image_too_large": 10, "runner": 3}, Severity.WARNING, "--engine.max_megapixels"),
        ({"image_too_large": 20, "bad_image": 30}, Severity.CRITICAL, "tail --status 400"),
        ({"too_large": 49, "overloaded": 2}, Severity.WARNING, "--axon.max_body_mib"),
    ],
)
def test_refused_pictures_have_a_name_of_their_own(
    seen: Make, traffic: Make, bucket: Make, failed: dict[str, int], expected: Severity | None, remedy: str
) -> None:
    busy = traffic()
    silent = [bucket(start, 0) for start in starts(busy, 7)]
    bad = bucket(silent[-1].start, 100, answered=100 - sum(failed.values()), failed=failed)
    observed = seen(traffic=ended(busy, *silent[:-1], bad))
    finding = found(observed, "images_refused")
    assert (finding.severity if finding else None) == expected
    assert found(observed, "requests_failing") is found(observed, "latency_near_deadline") is None
    if finding:
        assert remedy in finding.remedy
        assert diagnose(observed).cause is Cause.REFUSING_IMAGES


@pytest.mark.parametrize(
    ("router", "failing"),
    [
        ({}, False),
        ({"sure": 70, "asked": 30}, False),
        ({"sure": 70, "asked": 21, "failed": 9}, False),
        ({"sure": 500, "asked": 95, "failed": 10}, False),
        ({"sure": 70, "asked": 20, "failed": 10, "no_time": 5}, True),
        ({"failed": 30}, True),
    ],
)
def test_a_failing_second_model_is_told_although_every_request_is_answered(
    seen: Make, traffic: Make, bucket: Make, router: dict[str, int], failing: bool
) -> None:
    busy = traffic()
    silent = [bucket(start, 0) for start in starts(busy, 7)]
    observed = seen(traffic=ended(busy, *silent[:-1], bucket(silent[-1].start, 100, router=router)))
    finding = found(observed, "second_model_failing")
    assert (finding is not None) == failing
    assert found(observed, "requests_failing") is None
    if finding:
        assert finding.data["failed"] == router["failed"]


BACKEND = BackendView("ray", "open", 0.0, "no_memory", "a replica was killed for its memory", 900, 40)


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [("open", 121.0, True), ("half_open", 121.0, True), ("open", 119.0, False), ("closed", 9_000.0, False)],
)
def test_a_backend_that_does_not_answer_is_told_of(seen: Make, state: Any, seconds: float, expected: bool) -> None:
    observed = seen()
    away = replace(BACKEND, state=state, since=observed.now - seconds)
    finding = found(replace(observed, backend=away), "backend_away")
    assert (finding is not None) is expected
    assert found(observed, "backend_away") is None
    if finding:
        assert "a replica was killed for its memory" in finding.evidence[0]
        assert "more memory" in finding.remedy


@pytest.mark.parametrize(("name", "command"), [("ray", "cluster"), ("modal", "modal")])
def test_the_remedy_names_the_backends_own_commands(seen: Make, name: str, command: str) -> None:
    observed = seen()
    away = replace(BACKEND, name=name, trouble="unknown_version", since=observed.now - 121.0)
    finding = found(replace(observed, backend=away), "backend_away")
    assert finding is not None
    assert f"streetvision {command} deploy" in finding.remedy


def test_every_trouble_of_a_backend_has_a_remedy() -> None:
    assert set(REMEDIES) == {trouble.value for trouble in RemoteTrouble}


def _headroom(tight: int, roomy: int, late: int = 0) -> tuple[int, ...]:
    return (late, 0, 0, 0, tight, *([0] * 8), roomy, 0)


@pytest.mark.parametrize(
    ("tight", "roomy", "late", "expected"),
    [
        (0, 100, 0, None),
        (1, 99, 0, None),  # one slow answer is no percentile
        (2, 98, 0, Severity.WARNING),
        (2, 298, 0, None),
        (3, 297, 0, Severity.WARNING),
        (2, 27, 0, None),  # too few to say
        (0, 96, 4, Severity.WARNING),
        (0, 95, 5, Severity.CRITICAL),
    ],
)
def test_near_the_deadline(
    seen: Make, traffic: Make, bucket: Make, tight: int, roomy: int, late: int, expected: Severity | None
) -> None:
    busy, total = traffic(), tight + roomy + late
    silent = [bucket(start, 0) for start in starts(busy, 7)]
    hour = bucket(silent[-1].start, total, headroom=_headroom(tight, roomy, late))
    finding = found(seen(traffic=ended(busy, *silent[:-1], hour)), "latency_near_deadline")
    assert (finding.severity if finding else None) == expected


def test_refusals_for_want_of_time_are_late(seen: Make, traffic: Make, bucket: Make) -> None:
    busy = traffic()
    late = [bucket(start, 30, answered=25, failed={"overloaded": 5}) for start in starts(busy, 7)]
    finding = found(seen(traffic=ended(busy, *late)), "latency_near_deadline")
    assert finding is not None
    assert finding.severity is Severity.CRITICAL


# -- one validator -----------------------------------------------------------------------------------------------------


def test_a_validator_that_never_asks(seen: Make) -> None:
    validators = (*seen().validators, ValidatorView(9, "v9", 500.0, 6_999_990))
    findings = [f for f in judge(seen(validators=validators)) if f.code == "validator_silent"]
    assert [(f.subject, f.severity) for f in findings] == [("v9", Severity.WARNING)]
    assert findings[0].key == "validator_silent:v9"


@pytest.mark.parametrize(
    ("stake", "last_update", "hotkey"), [(2.9, 6_999_990, "v9"), (500.0, 6_999_279, "v9"), (500.0, 6_999_990, "own")]
)
def test_validators_that_do_not_matter(seen: Make, stake: float, last_update: int, hotkey: str) -> None:
    validators = (*seen().validators, ValidatorView(9, hotkey, stake, last_update))
    assert found(seen(validators=validators), "validator_silent") is None


@pytest.mark.parametrize(("buckets", "expected"), [(1, False), (2, True)])
def test_a_validator_that_has_stopped(seen: Make, traffic: Make, buckets: int, expected: bool) -> None:
    """It sent a third of all; 15 of its requests are missing once the others have sent 30."""
    busy = traffic()
    quiet = [replace(b, requests=20, answered=20, validators={"v1": 10, "v2": 10}) for b in busy.buckets[-buckets:]]
    finding = found(seen(traffic=ended(busy, *quiet)), "validator_silent")
    assert (finding is not None) is expected


def test_a_new_validator_has_a_day_to_begin(seen: Make) -> None:
    def with_age(blocks: int) -> Observation:
        newcomer = ValidatorView(9, "v9", 500.0, 6_999_990, registered_at=7_000_000 - blocks)
        made: Observation = seen(validators=(*seen().validators, newcomer))
        return made

    assert found(with_age(7_199), "validator_silent") is None
    assert found(with_age(7_200), "validator_silent") is not None


def test_listening_for_less_than_a_day_proves_no_never(seen: Make, traffic: Make) -> None:
    validators = (*seen().validators, ValidatorView(9, "v9", 500.0, 6_999_990))
    assert found(seen(validators=validators, traffic=traffic(days=0.9)), "validator_silent") is None


# -- scores ------------------------------------------------------------------------------------------------------------


def _stuck(bucket: Make, start: float, requests: int = 30) -> TrafficBucket:
    scores = [0] * SCORE_BINS
    scores[6] = requests
    made: TrafficBucket = bucket(start, requests, positive=0, scores=tuple(scores))
    return made


@pytest.mark.parametrize(("answers", "expected"), [(26, False), (39, False), (40, True)])
def test_one_class(seen: Make, traffic: Make, bucket: Make, answers: int, expected: bool) -> None:
    busy = traffic()
    finding = found(seen(traffic=ended(busy, _stuck(bucket, starts(busy, 1)[0], answers))), "one_class")
    assert (finding is not None) is expected
    if finding:
        assert finding.title == "the last 40 answers all say no roadwork"


def test_one_class_is_judged_by_the_usual_mix(seen: Make, traffic: Make, bucket: Make) -> None:
    rare = traffic(positive=2)  # 2 of 30: a run of 60 happens
    assert found(seen(traffic=ended(rare, *(_stuck(bucket, s) for s in starts(rare, 2)))), "one_class") is None
    assert found(seen(traffic=ended(rare, *(_stuck(bucket, s) for s in starts(rare, 8)))), "one_class") is not None


def test_a_model_that_was_always_stuck_is_found_without_a_past(seen: Make, traffic: Make) -> None:
    assert found(seen(traffic=traffic(days=0.05, positive=30)), "one_class") is not None
    assert found(seen(traffic=traffic(days=0.015, positive=30)), "one_class") is None


def test_drift_needs_a_shift_and_a_past(seen: Make, traffic: Make, bucket: Make) -> None:
    busy = traffic()
    shifted = [0] * SCORE_BINS
    shifted[8], shifted[11] = 15, 15
    odd = [bucket(s, 30, positive=15, scores=tuple(shifted), models={"2.0.0": 30}) for s in starts(busy, 5)]
    finding = found(seen(traffic=ended(busy, *odd)), "score_drift")
    assert finding is not None
    assert "2.0.0" in finding.evidence[-1]
    mild = [bucket(s, 30, positive=16, scores=(0, 0, 14, *([0] * 14), 16, 0, 0)) for s in starts(busy, 5)]
    assert found(seen(traffic=ended(busy, *mild)), "score_drift") is None
    assert found(seen(traffic=Traffic(tuple(odd), busy.listening_since)), "score_drift") is None


def test_the_index_is_zero_for_equal_and_symmetric_in_its_arguments() -> None:
    mix, other = tuple(range(1, 21)), tuple(range(20, 0, -1))
    assert stability_index(mix, mix) == pytest.approx(0.0)
    assert stability_index(mix, other) == pytest.approx(stability_index(other, mix))
    assert stability_index(mix, other) > 0.25


# -- model and machine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "window", "expected"),
    [
        (34.9, PayWindow(), None),
        (35.0, PayWindow(), Severity.WARNING),
        (45.0, PayWindow(), Severity.WARNING),
        (89.9, PayWindow(), Severity.WARNING),
        (90.0, PayWindow(), Severity.CRITICAL),
        (79.9, PayWindow(90.0, 90.0), None),
        (80.0, PayWindow(90.0, 90.0), Severity.WARNING),
        (90.0, PayWindow(90.0, 90.0), Severity.CRITICAL),
        (2.9, PayWindow(4.0, 5.0), None),
        (3.0, PayWindow(4.0, 5.0), Severity.WARNING),
    ],
)
def test_model_old(seen: Make, now: float, days: float, window: PayWindow, expected: Severity | None) -> None:
    view = seen(model=ModelView("street", "1.0.0", now - days * 86_400, window=window))
    finding = found(view, "model_old")
    assert (finding.severity if finding else None) == expected
    if finding:
        assert f"for {window.full_days:g} days (--model.full_pay_days)" in finding.evidence[1]


@pytest.mark.parametrize(("card", "expected"), [("own", False), (None, False), ("Own", True), ("other", True)])
def test_card_foreign(seen: Make, card: str | None, expected: bool) -> None:
    finding = found(seen(model=ModelView("street", "1.0.0", None, card, "hub")), "card_foreign")
    assert (finding is not None) is expected


@pytest.mark.parametrize(("state", "expected"), [("idle", False), ("canary", False), ("rolled_back", True)])
def test_rolled_back(seen: Make, state: Any, expected: bool) -> None:
    finding = found(seen(rollout=RolloutView(state, "2.0.0", "It was slower.")), "model_rolled_back")
    assert (finding is not None) is expected


@pytest.mark.parametrize(
    ("free", "total", "expected"),
    [
        (2 * GIB, 500 * GIB, None),
        (2 * GIB - 1, 500 * GIB, Severity.WARNING),
        (1 * GIB, 10 * GIB, None),  # a tenth of a small disk
        (GIB // 4 - 1, 1 * GIB, Severity.CRITICAL),
        (GIB // 4, 500 * GIB, Severity.WARNING),
        (None, None, None),
    ],
)
def test_disk(seen: Make, free: int | None, total: int | None, expected: Severity | None) -> None:
    finding = found(seen(machine=MachineView(disk_free=free, disk_total=total)), "disk_low")
    assert (finding.severity if finding else None) == expected


@pytest.mark.parametrize(
    ("free", "expected"), [(100, None), (99, Severity.WARNING), (30, Severity.WARNING), (29, Severity.CRITICAL)]
)
def test_memory(seen: Make, free: int, expected: Severity | None) -> None:
    machine = MachineView(memory_available=free, memory_total=1_000, process_bytes=3)
    finding = found(seen(machine=machine), "memory_low")
    assert (finding.severity if finding else None) == expected


@pytest.mark.parametrize(
    ("free", "celsius", "expected"), [(30, 86.9, False), (29, None, True), (30, 87.0, True), (None, None, False)]
)
def test_gpu(seen: Make, free: int | None, celsius: float | None, expected: bool) -> None:
    machine = MachineView(gpu_free=free, gpu_total=1_000, gpu_celsius=celsius, gpu_others=500)
    assert (found(seen(machine=machine), "gpu_pressure") is not None) is expected


@pytest.mark.parametrize("cause", sorted(CAUSES))
@pytest.mark.parametrize(("field", "code"), [("log", "log_degraded"), ("history", "history_degraded")])
def test_stores(seen: Make, field: str, code: str, cause: str) -> None:
    assert found(seen(**{field: StoreView(None, 9)}), code) is None
    finding = found(seen(**{field: StoreView(cause, 9)}), code)
    assert finding is not None
    assert "9 rows lost" in finding.evidence[0]
    assert CAUSES[cause] in finding.remedy
