"""One logistic function for one logit and for many, whatever they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streetvision.models.logits import sigmoid, sigmoids


@pytest.mark.parametrize("logit", [0.0, -0.0, 1.0, -1.0, 36.7, -36.7, 709.0, -709.0, 1e4, -1e4, 1e308, -1e308])
def test_one_and_many_agree_without_overflow(logit: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        many = sigmoids(np.array([logit, 0.0]))
    assert many.dtype == np.float64
    assert many[0] == pytest.approx(sigmoid(logit), rel=1e-15)
    assert many[0] + sigmoids(np.array([-logit]))[0] == pytest.approx(1.0)
    assert many[1] == 0.5


def test_what_is_not_finite_stays_recognisable() -> None:
    answers = sigmoids(np.array([math.inf, -math.inf, math.nan], np.float32))
    assert answers[:2].tolist() == [1.0, 0.0]
    assert math.isnan(answers[2])
