"""Thresholds for a share, a stack that beats the mean where it should, and what a router's answers are made of."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision.errors import OperatorError
from streetvision.evaluation.figures import Sample
from streetvision.evaluation.router_fit import (
    FittedRouter,
    PairAnswers,
    Thresholds,
    fit_router,
    fit_stack,
    fit_thresholds,
)
from streetvision.models.router import RULES, Rule

RNG = np.random.default_rng(5)
LABELS = RNG.random(2000) < 0.5
TRUTH = np.where(LABELS, 1.0, -1.0)
FIRST = TRUTH + RNG.normal(size=2000)
SECOND = 3 * TRUTH + RNG.normal(size=2000)
DISTANCES = RNG.random(2000)


def sample(logits: np.ndarray, labels: np.ndarray = LABELS) -> Sample:
    return Sample(logits, labels, np.arange(len(logits)).astype(np.str_))


PAIR = PairAnswers(sample(FIRST), sample(SECOND), np.zeros((2000, 1), np.float32))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_share_that_was_asked_for_goes_to_the_second_model(rule: Rule, share: float) -> None:
    found = fit_thresholds(rule, FIRST, DISTANCES, share)
    assert found.asked(FIRST, DISTANCES).mean() == pytest.approx(share, abs=0.002)
    assert (found.band is None, found.distance is None) == (rule == "far", rule == "unsure")


def test_both_rules_ask_for_as_many_pictures_each() -> None:
    found = fit_thresholds("both", FIRST, DISTANCES, 0.3)
    unsure = Thresholds(found.band, None).asked(FIRST, DISTANCES)
    far = Thresholds(None, found.distance).asked(FIRST, DISTANCES)
    assert unsure.sum() == pytest.approx(far.sum(), abs=2)
    assert (unsure | far).mean() == pytest.approx(0.3, abs=0.002)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(OperatorError, match=r"at least 50 pictures in the split `val`, and there are 49"):
        fit_thresholds("unsure", FIRST[:49], DISTANCES[:49], 0.3)
    with pytest.raises(OperatorError, match="at least 30 pictures of each class"):
        fit_stack(FIRST[:40], SECOND[:40], LABELS[:40])


def test_a_stack_follows_the_model_that_knows_more() -> None:
    weak, strong = (scale * TRUTH + RNG.normal(size=2000) for scale in (0.3, 0.8))
    stack = fit_stack(weak, strong, LABELS)
    # With unit noise the log odds are 2 * scale * value of each.
    assert [stack.first, stack.second] == pytest.approx([0.6, 1.6], abs=0.2)
    assert stack.bias == pytest.approx(0, abs=0.2)


def test_a_stack_of_models_that_know_nothing_stays_near_nothing() -> None:
    noise = RNG.normal(size=(2, 2000))
    stack = fit_stack(noise[0], noise[1], LABELS)
    assert max(abs(stack.first), abs(stack.second), abs(stack.bias)) < 0.2


def test_a_router_answers_with_both_where_it_asks_and_with_the_first_elsewhere() -> None:
    fitted = fit_router("unsure", PAIR, DISTANCES, 0.3, weights=(1.0, 3.0))
    asked = fitted.asked(PAIR, DISTANCES)
    logits = fitted.answers(PAIR, asked).logits
    np.testing.assert_allclose(logits[asked], (FIRST + 3 * SECOND)[asked] / 4)
    np.testing.assert_array_equal(logits[~asked], FIRST[~asked])


def test_the_stack_is_fitted_to_the_pictures_that_are_asked_about() -> None:
    fitted = fit_router("unsure", PAIR, DISTANCES, 0.3, stacked=True)
    asked = fitted.asked(PAIR, DISTANCES)
    assert fitted.stack == fit_stack(FIRST[asked], SECOND[asked], LABELS[asked])
    config = fitted.config("")
    assert (config.band, config.distance, config.stack) == (fitted.thresholds.band, None, fitted.stack)


def test_a_description_names_the_file_only_where_distances_are_measured() -> None:
    far = FittedRouter(Thresholds(None, 1.5), None, (1.0, 1.0))
    assert far.config("ab" * 32).sha256 == "ab" * 32
    assert FittedRouter(Thresholds(1.0, None), None, (1.0, 1.0)).config("ab" * 32).sha256 == ""
