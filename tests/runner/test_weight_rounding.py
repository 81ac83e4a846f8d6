"""Weights in int8 by the rows that meet them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streetvision.runner.weight_rounding import BLOCK, MOST, round_weights


def alike_rows(count: int, channels: int) -> NDArray[np.float32]:
    """Rows whose channels depend on each other, as those of a network do."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(count, channels // 4)) @ rng.normal(size=(channels // 4, channels))
    return (few + 0.3 * rng.normal(size=(count, channels))).astype(np.float32)


def nearest(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    step = np.abs(weight).max(axis=1, keepdims=True) / MOST
    return np.asarray(np.round(weight / step) * step, np.float32)


@pytest.mark.parametrize("channels", [24, BLOCK, 2 * BLOCK + 8])
def test_answers_move_less_than_by_the_nearest_weights_on_rows_never_seen(channels: int) -> None:
    rows = alike_rows(4096, channels)
    weight = np.random.default_rng(1).normal(size=(20, channels)).astype(np.float32)
    made, _ = round_weights(weight, rows[:2048])
    moved, by_nearest = (np.square(rows[2048:] @ (one - weight).T).mean() for one in (made, nearest(weight)))
    assert moved < 0.75 * by_nearest


def test_every_weight_is_a_whole_number_of_steps_within_int8() -> None:
    weight = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    made, most = round_weights(weight, alike_rows(256, 40))
    steps = made / (most / MOST)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(steps).max() <= MOST + 1e-3
    np.testing.assert_array_equal(most[:, 0], np.abs(weight).max(axis=1))


def test_fewer_rows_than_channels_and_empty_ones_will_do() -> None:
    rows = alike_rows(8, 40)
    rows[:, 3] = 0.0
    weight = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32)
    weight[2] = 0.0
    made, _ = round_weights(weight, rows)
    assert np.isfinite(made).all()
    assert not made[2].any()
    np.testing.assert_allclose(round_weights(weight, np.zeros_like(rows))[0], nearest_or_zero(weight), atol=1e-6)


def nearest_or_zero(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows that say nothing leave each weight to its nearest step."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(nearest(weight))
