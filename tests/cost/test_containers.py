"""Containers that sleep: the formula against a simulated stream of requests, and its ends."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision.cost.containers import Containers, containers
from streetvision.cost.traffic import Traffic, steady

IDLE, START = 60.0, 20.0


def of(rate: float, warm: int = 0, per_s: float = 100.0) -> Containers:
    return containers(steady(rate), per_s, warm=warm, idle_s=IDLE, start_s=START)


@pytest.mark.parametrize("rate", [0.002, 0.01, 0.05])
def test_the_formula_agrees_with_a_simulated_stream(rate: float) -> None:
    gaps = np.random.default_rng(72).exponential(1 / rate, 200_000)
    whole = gaps.sum()
    cold = gaps > IDLE
    found = of(rate)
    assert found.starts == pytest.approx(cold.sum() / whole * 3600, rel=0.03)
    assert found.mean == pytest.approx((np.minimum(gaps, IDLE).sum() + cold.sum() * START) / whole, rel=0.03)


def test_no_request_costs_nothing() -> None:
    silent = containers(Traffic((0.0,), 0.0, ""), 100.0, warm=0, idle_s=IDLE, start_s=START)
    assert (silent.mean, silent.starts, silent.cold) == (0.0, 0.0, 0.0)


def test_a_rare_request_is_always_cold_and_a_frequent_one_never() -> None:
    assert of(1e-6).cold == pytest.approx(1.0, abs=1e-3)
    assert of(1.0).cold == pytest.approx(0.0, abs=1e-9)
    assert of(1.0).mean == pytest.approx(1.0)


def test_kept_warm_is_paid_for_and_never_cold() -> None:
    assert of(1e-6, warm=3).mean == 3
    assert of(1e-6, warm=3).cold == 0


def test_more_than_one_container_can_do_takes_more() -> None:
    assert of(250.0).mean == 3
    assert of(250.0, warm=1).mean == 3


def test_hours_are_added_up() -> None:
    both = containers(Traffic((0.0, 250.0), 250.0, ""), 100.0, warm=0, idle_s=IDLE, start_s=START)
    assert both.mean == pytest.approx(1.5)
