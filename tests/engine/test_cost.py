"""The cost model finds the line, shrugs off outliers, follows drift and forgets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.engine.cost import CostModel


@settings(max_examples=50, deadline=None)
@given(a=st.floats(1e-4, 1.0), b=st.floats(0.0, 1.0))
def test_the_line_is_found(a: float, b: float) -> None:
    cost = CostModel((1, 2, 4, 8))
    for size in cost.buckets:
        cost.observe(size, a * size + b)
    assert cost.line == pytest.approx((a, b), abs=1e-9)
    assert cost.predict(3) == cost.predict(4) == pytest.approx(4 * a + b)


def test_nothing_known_costs_nothing_and_one_bucket_says_each_image_costs_the_same() -> None:
    cost = CostModel((1, 4))
    assert cost.predict(4) == cost.fastest(4) == 0.0
    cost.observe(1, 0.1)
    assert cost.predict(4) == pytest.approx(0.4)


def test_an_unseen_bucket_lies_on_the_line_of_the_seen_ones() -> None:
    cost = CostModel((1, 2, 4, 8))
    cost.observe(1, 0.03)
    cost.observe(4, 0.06)
    assert cost.predict(8) == pytest.approx(0.10)


def test_outliers_do_not_move_it() -> None:
    cost, rng = CostModel((1, 2, 4, 8)), random.Random(1)
    for step in range(400):
        size = rng.choice(cost.buckets)
        cost.observe(size, (0.01 * size + 0.02) * (100.0 if step % 7 == 0 else rng.uniform(0.97, 1.03)))
    for size in cost.buckets:
        assert cost.predict(size) == pytest.approx(0.01 * size + 0.02, rel=0.05)


def test_drift_is_followed_also_by_buckets_that_do_not_run() -> None:
    cost = CostModel((1, 2, 4, 8), fresh=32)
    for size in cost.buckets:
        cost.seed(size, 0.01 * size + 0.02)
    for _ in range(40):
        cost.observe(4, 3 * 0.06)
    assert cost.predict(4) == pytest.approx(0.18)
    assert cost.predict(8) == pytest.approx(0.30)
    assert cost.fastest(8) == pytest.approx(0.10)


def test_a_bucket_that_was_slow_is_forgotten_and_remeasured() -> None:
    cost = CostModel((1, 2, 4), fresh=16)
    for size, seconds in ((1, 0.03), (2, 0.04), (4, 9.0)):
        cost.observe(size, seconds)
    for _ in range(20):
        cost.observe(1, 0.03)
        cost.observe(2, 0.04)
    assert cost.predict(4) == pytest.approx(0.06)
    cost.observe(4, 0.07)
    assert cost.predict(4) == pytest.approx(0.07)


@pytest.mark.parametrize("buckets", [(), (2, 1), (1, 1), (0, 1)])
def test_buckets_must_ascend(buckets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="buckets"):
        CostModel(buckets)
