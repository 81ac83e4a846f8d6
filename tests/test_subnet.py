"""The reward rule, against the formula written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.subnet import RewardTracker, matthews


def test_matthews_by_hand() -> None:
    truth = [True] * 6 + [False] * 4
    predicted = [True] * 4 + [False] * 2 + [True] + [False] * 3
    # tp 4, fn 2, fp 1, tn 3
    assert matthews(truth, predicted) == pytest.approx((4 * 3 - 1 * 2) / (5 * 6 * 4 * 5) ** 0.5)


def test_one_class_only_has_no_correlation() -> None:
    tracker = RewardTracker()
    for _ in range(20):
        reward = tracker.score(False, 0.1)
    assert reward == pytest.approx(0.5**3)


def test_perfect_answers_earn_everything() -> None:
    tracker = RewardTracker()
    for i in range(40):
        reward = tracker.score(i % 2 == 0, 0.9 if i % 2 == 0 else 0.1)
    assert reward == pytest.approx(1.0)


@pytest.mark.parametrize("answer", [None, -1.0, 1.5, float("nan")])
def test_silence_scores_zero_and_leaves_the_windows_alone(answer: float | None) -> None:
    tracker = RewardTracker()
    tracker.score(True, 0.9)
    tracker.score(False, 0.1)
    before = tracker.reward
    assert tracker.score(True, answer) == 0.0
    assert tracker.reward == before


def test_a_wrong_answer_costs_for_the_whole_long_window() -> None:
    tracker = RewardTracker()
    tracker.score(True, 0.2)
    for i in range(99):
        reward = tracker.score(i % 2 == 0, float(i % 2 == 0))
    assert reward < 1.0
    for i in range(2):
        reward = tracker.score(i % 2 == 0, float(i % 2 == 0))
    assert reward == pytest.approx(1.0)


def test_exactly_one_half_is_negative() -> None:
    tracker = RewardTracker()
    tracker.score(False, 0.5)
    assert tracker.accuracy == 1.0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1) | st.none()), max_size=150))
def test_reward_stays_in_bounds(challenges: list[tuple[bool, float | None]]) -> None:
    tracker = RewardTracker()
    for truth, answer in challenges:
        assert 0.0 <= tracker.score(truth, answer) <= 1.0
