"""What outcomes become: the report of a trial, and the health of the serving model."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from streetvision.engine.types import OtherAnswer, Outcome, Role
from streetvision.rollout.gates import AgreementCheck
from streetvision.rollout.lane_health import Health
from streetvision.rollout.report import Report, Seen


def key(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def outcome(number: int, role: Role = Role.CANARY, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "role": role,
        "version": "old" if role is Role.ACTIVE else "new",
        "image_key": key(number),
        "probability": 0.8,
        "logit": 1.4 + number / 10,
        "error": None,
        "seconds": 0.02,
        "inference": 0.01,
        "headroom": 5.0,
        "batch_size": 1,
        "views": 1,
    }
    return Outcome(**(fields | changes))


def failure(number: int, error: str, role: Role = Role.CANARY, **changes: Any) -> Outcome:
    return outcome(number, role, probability=None, logit=None, inference=None, error=error, batch_size=0, **changes)


def compared(number: int, probability: float = 0.8, other: float = 0.7, role: Role = Role.CANARY) -> Outcome:
    answer = OtherAnswer("old", other, 0.9 + number / 10, None)
    return outcome(number, role, probability=probability, comparison=True, other=answer, headroom=None)


def report(role: Role = Role.CANARY, first_look: int = 4) -> Report:
    return Report(role, "new", "old", share=0.1, at="2026-01-01T00:00:00+00:00", first_look=first_look)


def test_a_canarys_answers_and_comparisons_are_counted_apart() -> None:
    seen = report()
    for number in range(4):
        seen.feed(outcome(number))
        seen.feed(compared(number, other=0.3 if number == 0 else 0.7))
    stats = seen.stats()
    assert (stats.images, stats.asked, stats.samples, stats.agreed) == (4, 4, 4, 3)
    assert stats.look == AgreementCheck(0, 4, 3)
    assert stats.mean_shift == pytest.approx((0.5 + 3 * 0.1) / 4)
    assert stats.seconds == (0.01,) * 4
    told = seen.to_json()
    assert told["score_shift"] == pytest.approx(0.5)
    assert told["probability_shift"]["p95"] == pytest.approx(0.5)
    assert (told["positive"], told["active_positive"]) == (4, 3)
    assert told["agreement_between"][0] < 0.75 < told["agreement_between"][1]
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_looks_come_when_the_samples_have_doubled() -> None:
    seen, looks = report(), []
    for number in range(40):
        seen.feed(compared(number))
        looks.append(seen.stats().look)
    assert [look.samples for look in dict.fromkeys(looks) if look] == [4, 8, 16, 32]
    assert looks[-1] == AgreementCheck(3, 32, 32)


def test_an_image_counts_once_in_every_tally() -> None:
    seen = report()
    for _ in range(50):
        seen.feed(outcome(1))
        seen.feed(compared(1))
        seen.feed(failure(2, "runner"))
    stats = seen.stats()
    assert (stats.images, stats.failed, stats.samples) == (2, 1, 1)
    assert seen.errors["runner"] == 50


def test_only_the_models_own_faults_are_failures() -> None:
    seen = report()
    for number, reason in enumerate(("bad_image", "closed", "overloaded", "deadline", "runner")):
        seen.feed(failure(number, reason))
    stats = seen.stats()
    assert (stats.images, stats.failed, stats.asked, stats.late) == (1, 1, 2, 2)
    assert sum(seen.errors.values()) == 5


def test_what_concerns_other_models_is_passed_over() -> None:
    seen = report()
    seen.feed(outcome(1, version="newer"))
    seen.feed(outcome(1, Role.SHADOW))
    seen.feed(outcome(1, Role.ACTIVE, version="older"))
    seen.feed(compared(1, role=Role.SHADOW))
    stranger = OtherAnswer("older", 0.5, 0.0, None)
    seen.feed(outcome(2, comparison=True, other=stranger))
    stats = seen.stats()
    assert (stats.images, stats.samples, stats.active_asked) == (0, 0, 0)
    assert stats.active_seconds == ()


def test_the_active_model_is_timed_beside_the_candidate() -> None:
    seen = report()
    seen.feed(outcome(1, Role.ACTIVE, inference=0.03))
    seen.feed(failure(2, "deadline", Role.ACTIVE))
    seen.feed(failure(3, "bad_image", Role.ACTIVE))
    stats = seen.stats()
    assert (stats.active_asked, stats.active_late, stats.active_seconds) == (2, 1, (0.03,))


def test_a_shadow_is_told_by_comparisons_alone() -> None:
    seen = report(Role.SHADOW)
    seen.feed(compared(1, role=Role.SHADOW))
    seen.feed(failure(2, "runner", Role.SHADOW, comparison=True, other=OtherAnswer("old", 0.5, 0.0, None)))
    stats = seen.stats()
    assert (stats.images, stats.failed, stats.samples) == (2, 1, 1)


@pytest.mark.parametrize("logit", [float("nan"), float("inf"), None])
def test_an_answer_that_is_no_number_is_insane_and_spoils_no_mean(logit: float | None) -> None:
    seen = report()
    seen.feed(outcome(1, logit=logit))
    seen.feed(outcome(1, logit=logit, comparison=True, other=OtherAnswer("old", 0.5, 0.0, None)))
    seen.feed(compared(2))
    stats = seen.stats()
    assert (stats.insane, stats.samples) == (1, 1)
    assert json.dumps(seen.to_json(), allow_nan=False)


def test_a_comparison_without_an_answer_of_the_active_model_is_no_sample() -> None:
    seen = report()
    seen.feed(outcome(1, comparison=True, other=OtherAnswer("old", None, None, "runner")))
    assert seen.stats().samples == 0


def test_a_candidate_that_turns_constant_late_is_seen() -> None:
    seen = report()
    for number in range(100):
        seen.feed(compared(number))
    for number in range(100, 120):
        assert seen.stats().spread > 0
        answer = OtherAnswer("old", 0.7, number / 10, None)
        seen.feed(outcome(number, logit=0.5, comparison=True, other=answer))
    assert seen.stats().spread == 0
    assert seen.stats().active_spread > 1


def test_decisions_are_the_validators_own() -> None:
    """Above a half is roadwork; exactly a half is not."""
    seen = report()
    seen.feed(compared(1, probability=0.5, other=0.499))
    seen.feed(compared(2, probability=0.501, other=0.5))
    assert seen.stats().agreed == 1


def test_memory_of_seen_images_is_bounded() -> None:
    seen = Seen(most=3)
    assert [seen.add(key(number)) for number in (1, 2, 3, 1, 4, 1)] == [True, True, True, False, True, True]
    assert seen.add("")


def health_with(*outcomes: Outcome, every: float = 1.0) -> tuple[Health, float]:
    health, now = Health("old"), 0.0
    for item in outcomes:
        now += every
        health.feed(item, now)
    return health, now


def served(number: int, **changes: Any) -> Outcome:
    return outcome(number, Role.ACTIVE, **changes)


def failed(number: int, error: str = "runner") -> Outcome:
    return failure(number, error, Role.ACTIVE)


def test_a_well_model_is_well() -> None:
    health, now = health_with(*(served(number) for number in range(100)))
    assert health.judge(now) is None
    assert health.to_json() == {"answered": 61, "failed": 0, "late": 0, "p99": 0.01}


def test_five_different_failing_images_among_few_condemn() -> None:
    health, now = health_with(*(served(number) for number in range(10)), *(failed(number) for number in range(5)))
    sickness = health.judge(now)
    assert sickness is not None
    assert sickness.certain
    assert "failed on 5 different images" in sickness.reason


@pytest.mark.parametrize("count", [1, 4])
def test_fewer_failures_are_a_suspicion(count: int) -> None:
    health, now = health_with(*(failed(number) for number in range(count)))
    sickness = health.judge(now)
    assert sickness is not None
    assert not sickness.certain


def test_five_failures_among_very_many_are_a_suspicion() -> None:
    health, now = health_with(
        *(served(number) for number in range(1000)), *(failed(number) for number in range(5)), every=0.01
    )
    assert not getattr(health.judge(now), "certain", True)


def test_a_suspicion_that_was_settled_stays_settled_until_something_new_happens() -> None:
    health, now = health_with(failed(1))
    health.absolve(now)
    assert health.judge(now) is None
    health.feed(served(2), now + 1)
    assert health.judge(now + 1) is None
    health.feed(failed(3), now + 2)
    assert health.judge(now + 2) is not None


def test_failures_are_forgotten_after_a_minute_of_traffic() -> None:
    health, now = health_with(failed(1), *(served(number) for number in range(2, 80)))
    assert health.judge(now) is None


def test_the_last_requests_stay_in_view_where_a_minute_holds_few() -> None:
    health, now = health_with(*(failed(number) for number in range(5)), every=100.0)
    assert getattr(health.judge(now), "certain", False)
    assert health.judge(now + 4000) is None


def test_the_same_answer_to_ten_different_images_is_suspicious() -> None:
    varied = [served(number) for number in range(20)]
    health, now = health_with(*varied, *(served(100 + number, logit=0.5) for number in range(9)))
    assert health.judge(now) is None
    health.feed(served(200, logit=0.5), now)
    assert "the same answer" in str(health.judge(now))


def test_one_image_repeated_is_no_constant_model() -> None:
    health, now = health_with(*(served(1, logit=0.5) for _ in range(50)))
    assert health.judge(now) is None


def test_answers_near_the_deadline_are_suspicious() -> None:
    late = [served(number, seconds=4.5, headroom=0.5) for number in range(20)]
    health, now = health_with(*late)
    assert "more than 80%" in str(health.judge(now))
    ample = [served(number, seconds=3.5, headroom=1.5) for number in range(20)]
    health, now = health_with(*ample)
    assert health.judge(now) is None


@pytest.mark.parametrize(
    ("reason", "suspicious"), [("overloaded", True), ("deadline", True), ("bad_image", False), ("closed", False)]
)
def test_lateness_is_suspicious_and_bad_images_are_not(reason: str, suspicious: bool) -> None:
    health, now = health_with(*(failed(number, reason) for number in range(50)))
    sickness = health.judge(now)
    assert (sickness is not None) == suspicious
    assert not getattr(sickness, "certain", False)


def test_other_lanes_do_not_count() -> None:
    others = [failure(number, "runner") for number in range(9)]
    strangers = [failure(number, "runner", Role.ACTIVE, version="older") for number in range(9)]
    health, now = health_with(*others, *strangers)
    assert health.judge(now) is None
