"""The reward rule, against the formula written out by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.subnet import RewardTracker, matthews

from .reward_windows import WINDOWS


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


@pytest.mark.parametrize("answer", [None, -1.0, 1.5, float("nan"), float("inf")])
def test_silence_is_rewarded_with_nothing_and_takes_a_place(answer: float | None) -> None:
    tracker = RewardTracker(mcc_window=3, accuracy_window=2)
    tracker.score(True, 0.1)  # wrong
    tracker.score(True, 0.9)
    tracker.score(False, 0.1)
    assert tracker.score(True, answer) == 0.0
    assert tracker.accuracy == 1.0, "one right answer is left in the short window"
    assert tracker.reward == pytest.approx(1.0), "the silence pushed the wrong answer out of the long one"


@pytest.mark.parametrize(("challenges", "reward"), [case[1:] for case in WINDOWS], ids=[case[0] for case in WINDOWS])
def test_the_windows_by_hand(challenges: list[tuple[bool, float | None]], reward: float) -> None:
    tracker = RewardTracker()
    for truth, answer in challenges:
        tracker.score(truth, answer)
    assert tracker.reward == pytest.approx(reward)


def reward_by_the_rule(challenges: list[tuple[bool, float | None]]) -> float:
    """The rule, slowly: cut the windows, drop the silences, count."""
    if not challenges or challenges[-1][1] is None:
        return 0.0
    long, short = ([(t, a > 0.5) for t, a in challenges[-size:] if a is not None] for size in (100, 10))
    tp, tn, fp, fn = (long.count(pair) for pair in ((True, True), (False, False), (False, True), (True, False)))
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    mcc = (tp * tn - fp * fn) / product**0.5 if product else 0.0
    return (0.5 * max(0.0, mcc) + 0.5 * sum(t == p for t, p in short) / len(short)) ** 3


@pytest.mark.parametrize("silent", [0.0, 0.02, 0.3, 0.9])
def test_random_answers_are_rewarded_by_the_rule(silent: float) -> None:
    rng, tracker = random.Random(72), RewardTracker()
    asked: list[tuple[bool, float | None]] = []
    for _ in range(800):
        truth, right = rng.random() < 0.5, rng.random() < 0.9
        asked.append((truth, None if rng.random() < silent else abs((truth == right) - rng.choice((0.1, 0.5, 0.0)))))
        assert tracker.score(*asked[-1]) == pytest.approx(reward_by_the_rule(asked), abs=1e-12)


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
