from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streetvision.evaluation.ranking import areas, roc_curve

SCORED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=40)


def by_pairs(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The definition: over all pairs, a win 1, a tie one half."""
    positive, negative = scores[labels][:, None], scores[~labels][None, :]
    wins = (positive > negative) + 0.5 * (positive == negative)
    return float(wins.mean()) if wins.size else float("nan")


@given(SCORED)
def test_the_area_counts_pairs_and_halves_ties(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([float(s) for s, _ in pairs]), np.array([t for _, t in pairs])
    area = areas(scores, labels, np.ones((1, len(pairs))))[0]
    assert area == pytest.approx(by_pairs(scores, labels), nan_ok=True)


@given(SCORED, st.integers(0, 2**32 - 1))
def test_a_weight_is_so_many_pictures(pairs: list[tuple[int, bool]], seed: int) -> None:
    scores, labels = np.array([float(s) for s, _ in pairs]), np.array([t for _, t in pairs])
    weights = np.random.default_rng(seed).integers(0, 3, (2, len(pairs)))
    repeated = [by_pairs(np.repeat(scores, row), np.repeat(labels, row)) for row in weights]
    assert areas(scores, labels, weights.astype(float)) == pytest.approx(repeated, nan_ok=True)


def test_the_curve_by_hand() -> None:
    curve = roc_curve(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
    assert curve is not None
    assert curve.recall.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve.false_alarms.tolist() == [0.0, 0.0, 0.5, 1.0], "the tie is one slanted piece"


@pytest.mark.parametrize("labels", [[], [True], [False, False]])
def test_one_class_has_no_curve(labels: list[bool]) -> None:
    assert roc_curve(np.arange(len(labels), dtype=float), np.array(labels, bool)) is None
