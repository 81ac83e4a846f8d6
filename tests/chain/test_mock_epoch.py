"""Properties of the mocked chain's epoch formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streetvision.chain.mock.epoch import MINER_SHARE, VALIDATOR_SHARE, run_epoch, weighted_median

WEIGHTS = arrays(np.float64, (3, 8), elements=st.integers(0, 64).map(lambda n: n / 64))
STAKES = st.lists(st.integers(1, 1000).map(float), min_size=3, max_size=3)


@given(WEIGHTS, STAKES)
@settings(deadline=None, max_examples=200)
def test_shares_sum_to_one_and_stay_in_range(weights: np.ndarray, stakes: list[float]) -> None:
    result = run_epoch(weights, [0, 1, 2], stakes, 0, 360.0)
    for vector in (result.rank, result.trust, result.consensus, result.incentive, result.dividends):
        assert np.all(vector >= 0.0)
        assert np.all(vector <= 1.0 + 1e-9)
    if result.rank.sum() > 0:
        assert result.incentive.sum() == pytest.approx(1.0)
        assert result.dividends.sum() == pytest.approx(1.0)
        assert result.emission.sum() == pytest.approx(360.0 * (MINER_SHARE + VALIDATOR_SHARE))
        assert result.pruning_score.max() == pytest.approx(1.0)
    else:
        assert result.incentive.sum() == result.emission.sum() == 0.0


@given(WEIGHTS, STAKES, st.sampled_from([0.25, 0.5, 2.0, 64.0]))
@settings(deadline=None, max_examples=100)
def test_only_proportions_of_weights_and_stake_matter(weights: np.ndarray, stakes: list[float], scale: float) -> None:
    once = run_epoch(weights, [0, 1, 2], stakes, 0, 1.0)
    again = run_epoch(weights * scale, [0, 1, 2], [scale * stake for stake in stakes], 0, 1.0)
    assert np.allclose(once.incentive, again.incentive, atol=1e-6)


def test_the_median_needs_half_of_the_stake() -> None:
    column = np.array([0.9, 0.5, 0.1])
    assert weighted_median(np.array([0.5, 0.3, 0.2]), column) == 0.9
    assert weighted_median(np.array([0.4, 0.4, 0.2]), column) == 0.5
    assert weighted_median(np.array([0.1, 0.1, 0.8]), column) == 0.1


def test_a_minority_cannot_lift_its_favourite() -> None:
    weights = np.array([[0, 0, 0, 1.0, 1.0], [0, 0, 0, 1.0, 1.0], [0, 0, 0, 0.0, 1.0]])
    result = run_epoch(weights, [0, 1, 2], [40.0, 40.0, 20.0], 0, 1.0)
    assert result.incentive[4] == pytest.approx(result.rank[4] / result.rank.sum())
    assert result.consensus[4] == pytest.approx(0.5)
    assert result.trust[4] < 1.0


def test_a_worked_example() -> None:
    """Two validators of equal stake, two miners: all figures by hand."""
    weights = np.array([[0, 0, 3.0, 1.0], [0, 0, 1.0, 1.0]])
    result = run_epoch(weights, [0, 1], [10.0, 10.0], 0, 100.0)
    assert result.consensus == pytest.approx([0, 0, 0.75, 0.5])
    assert result.rank == pytest.approx([0, 0, 0.625, 0.375])
    assert result.incentive == pytest.approx([0, 0, 0.625, 0.375])
    assert result.dividends[0] == pytest.approx(0.625 * 0.6 + 0.375 / 3)
    assert result.emission[2] == pytest.approx(41.0 * 0.625)


def test_only_the_owner_may_weigh_itself() -> None:
    weights = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    result = run_epoch(weights, [0, 1], [10.0, 10.0], 0, 1.0)
    assert result.incentive == pytest.approx([1.0, 0.0, 0.0])


def test_no_weights_give_nothing() -> None:
    result = run_epoch(np.zeros((2, 4)), [0, 1], [1.0, 1.0], 0, 1.0)
    assert not result.emission.any()
