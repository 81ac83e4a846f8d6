from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.evaluation.calibration import (
    best_threshold,
    expected_calibration_error,
    fit_calibration,
    fit_temperature,
    judge,
    negative_log_likelihood,
)
from streetvision.subnet import matthews


def overconfident(temperature: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from sigmoid(true logits), and those logits blown up by `temperature`."""
    rng = np.random.default_rng(0)
    true = rng.normal(0.0, 2.0, count)
    labels = rng.random(count) < 1.0 / (1.0 + np.exp(-true))
    return true * temperature, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_recovered(temperature: float) -> None:
    logits, labels = overconfident(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_the_fitted_temperature_is_the_best_of_a_grid() -> None:
    logits, labels = overconfident(2.0, 500)
    best = negative_log_likelihood(logits, labels, fit_temperature(logits, labels))
    assert best <= min(negative_log_likelihood(logits, labels, t) for t in np.geomspace(0.06, 19.0, 400)) + 1e-9


def test_calibration_lowers_the_calibration_error() -> None:
    logits, labels = overconfident(3.0)

    def error(scale: float) -> float:
        return expected_calibration_error(1.0 / (1.0 + np.exp(-logits / scale)), labels)

    assert error(fit_temperature(logits, labels)) < 0.02 < 0.05 < error(1.0)


@pytest.mark.parametrize(("logits", "labels"), [([1.0, 2.0], [True, True]), ([], []), ([1.0], [True, False])])
def test_a_temperature_needs_both_classes(logits: list[float], labels: list[bool]) -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_temperature(np.array(logits), np.array(labels))


def test_extreme_logits_stay_finite() -> None:
    logits, labels = np.array([900.0, -900.0, 800.0]), np.array([True, False, False])
    assert np.isfinite(negative_log_likelihood(logits, labels))
    assert np.isfinite(fit_temperature(logits, labels))


def test_the_threshold_follows_the_best_split() -> None:
    probabilities = np.array([0.1, 0.2, 0.55, 0.6, 0.8, 0.9])
    labels = np.array([False, False, False, False, True, True])
    assert 0.6 <= best_threshold(probabilities, labels) < 0.8


def test_a_threshold_moves_where_that_pays_and_stays_where_it_does_not() -> None:
    logits, labels = overconfident(2.0)
    assert fit_calibration(logits, labels).threshold == 0.5
    moved = fit_calibration(logits + 3.0, labels)
    assert moved.threshold > 0.6
    assert moved.threshold == round(moved.threshold, 3)
    weighed = fit_calibration(logits, labels, weights=np.where(labels, 9.0, 1.0))
    assert weighed.threshold < 0.4


@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=1, max_size=60), st.floats(0.1, 0.9))
def test_figures_agree_with_their_definitions(pairs: list[tuple[float, bool]], threshold: float) -> None:
    logits, labels = np.array([p for p, _ in pairs]), np.array([t for _, t in pairs])
    figures = judge(logits, labels, threshold=threshold)
    said = 1.0 / (1.0 + np.exp(-logits)) > threshold
    assert figures.count == len(pairs)
    assert figures.accuracy == pytest.approx((said == labels).mean())
    assert figures.mcc == pytest.approx(matthews(labels.tolist(), said.tolist()), abs=1e-9)
    assert figures.false_positive_rate == pytest.approx(said[~labels].mean() if (~labels).any() else 0.0)
    assert figures.false_negative_rate == pytest.approx((~said[labels]).mean() if labels.any() else 0.0)
    assert 0.0 <= figures.ece <= 1.0
