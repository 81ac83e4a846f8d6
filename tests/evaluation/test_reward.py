"""The simulation against the tracker, the hand-worked windows and the rule's known values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.evaluation.reward import Assumptions, mean_rewards, rewards
from streetvision.subnet import RewardTracker, reads_as

from ..reward_windows import WINDOWS, Challenge


def simulated(challenges: list[Challenge]) -> list[float]:
    read = [reads_as(answer) for _, answer in challenges]
    truth = np.array([truth for truth, _ in challenges], bool)
    found = rewards(
        truth, np.array([one is True for one in read], bool), np.array([one is not None for one in read], bool)
    )
    return list(found)


@pytest.mark.parametrize(("challenges", "reward"), [case[1:] for case in WINDOWS], ids=[case[0] for case in WINDOWS])
def test_the_windows_by_hand(challenges: list[Challenge], reward: float) -> None:
    """A silence itself earns 0, so the windows are read by the answers before it where they still hold."""
    if not challenges or challenges[-1][1] is None:
        assert not challenges or simulated(challenges)[-1] == 0.0
    else:
        assert simulated(challenges)[-1] == pytest.approx(reward, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1) | st.none()), max_size=260))
def test_the_simulation_is_the_tracker(challenges: list[Challenge]) -> None:
    tracker = RewardTracker()
    assert simulated(challenges) == pytest.approx([tracker.score(*one) for one in challenges], abs=1e-12)


def test_long_runs_of_the_simulation_are_the_tracker_too() -> None:
    rng, tracker = np.random.default_rng(72), RewardTracker()
    asked = [(bool(rng.random() < 0.4), None if rng.random() < 0.15 else float(rng.random())) for _ in range(1000)]
    assert simulated(asked) == pytest.approx([tracker.score(*one) for one in asked], abs=1e-12)


def rates(*values: float) -> np.ndarray:
    return np.array(values, float)


def test_a_perfect_model_earns_everything_and_a_coin_next_to_nothing() -> None:
    perfect, coin = mean_rewards(rates(1.0, 0.5), rates(0.0, 0.5), Assumptions())
    assert perfect == 1.0
    assert 0.01 < coin < 0.05


def test_one_answer_to_all_earns_by_its_accuracy_alone() -> None:
    """No correlation: (0.5 * accuracy)^3, whose mean over Binomial(10, 1/2) is 0.125 * E[a^3] = 0.125 * 0.1625."""
    always = mean_rewards(np.ones(40), np.ones(40), Assumptions(challenges=2000))
    assert always.mean() == pytest.approx(0.125 * 0.1625, rel=0.05)


def test_silence_costs_its_own_share_of_a_perfect_model() -> None:
    found = mean_rewards(np.ones(20), np.zeros(20), Assumptions(silent=0.1, late=0.2, challenges=2000))
    assert Assumptions(silent=0.1, late=0.2).unanswered == pytest.approx(0.28)
    assert found.mean() == pytest.approx(0.72, abs=0.01)


def test_a_model_is_asked_the_same_challenges_as_its_rival() -> None:
    first, second = (mean_rewards(rates(0.9, 0.9), rates(0.1, 0.1), Assumptions(), seed=5) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert first[0] != first[1], "each draw has challenges of its own"


def test_a_rate_that_is_undefined_has_no_reward() -> None:
    assert np.isnan(mean_rewards(rates(np.nan, 0.9), rates(0.1, np.nan), Assumptions())).all()
