"""The bound on a month's money: it holds whatever happened since the last bill, and ends with the month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streetvision.serverless.spending import LOOK_S, Bill, SpendingCap, hours_left, last_hour, month_begin

NOON = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_bill_and_the_worst_since_then(clock: Clock) -> None:
    cap = SpendingCap(10.0, worst_per_s=0.001, now=clock)
    cap.learn(Bill(5.0, last_hour(NOON)))
    assert cap.at_most == pytest.approx(5.0 + 1800 * 0.001)
    assert not cap.is_reached
    clock.passes(hours=1)
    assert cap.is_reached  # 5 + 5.4: no newer bill came


def test_without_a_bill_the_worst_since_the_start_counts(clock: Clock) -> None:
    cap = SpendingCap(1.0, worst_per_s=0.001, now=clock)
    assert cap.at_most == 0.0
    clock.passes(seconds=1001)
    assert cap.is_reached


def test_nothing_allowed_is_reached_at_once(clock: Clock) -> None:
    assert SpendingCap(0.0, 0.001, clock).is_reached


def test_a_new_month_begins_with_nothing(clock: Clock) -> None:
    cap = SpendingCap(10.0, worst_per_s=0.001, now=clock)
    cap.learn(Bill(10.0, last_hour(NOON)))
    assert cap.is_reached
    clock.now = datetime(2026, 12, 1, 0, 10, tzinfo=UTC)
    assert cap.at_most == pytest.approx(600 * 0.001)


def test_the_bill_is_looked_up_now_and_then(clock: Clock) -> None:
    cap = SpendingCap(10.0, 0.001, clock)
    assert [cap.take_turn(), cap.take_turn()] == [True, False]
    clock.passes(seconds=LOOK_S + 1)
    assert cap.take_turn()


def test_months_and_hours() -> None:
    assert month_begin(NOON) == datetime(2026, 11, 1, tzinfo=UTC)
    assert last_hour(NOON) == datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert hours_left(NOON) == pytest.approx(11.5)
    assert hours_left(datetime(2026, 12, 31, 23, tzinfo=UTC)) == pytest.approx(1.0)
