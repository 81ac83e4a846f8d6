from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision.evaluation.calibration import expected_calibration_error, negative_log_likelihood
from streetvision.evaluation.figures import (
    NAMES,
    Estimate,
    Sample,
    estimates,
    group_weights,
    mean_estimate,
    resampled_figures,
    tail,
    weighted_figures,
)
from streetvision.subnet import matthews


def sample(*told: tuple[float, bool, str]) -> Sample:
    """Logits, labels and groups."""
    logits, labels, groups = zip(*told, strict=True) if told else ((), (), ())
    return Sample(np.array(logits, float), np.array(labels, bool), np.array(groups, str))


def drawn(count: int, groups: int, seed: int = 0, skill: float = 1.5) -> Sample:
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.5
    return Sample(
        rng.normal(0.0, 1.0, count) + np.where(labels, skill, -skill),
        labels,
        np.array([f"g{i % groups}" for i in range(count)]),
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans(), st.sampled_from("abc")), min_size=1, max_size=50))
def test_figures_agree_with_their_definitions(told: list[tuple[float, bool, str]]) -> None:
    one = sample(*told)
    found = {name: values[0] for name, values in weighted_figures(one, np.ones((1, len(told)))).items()}
    said, truth = one.said, one.labels
    both = truth.any() and (~truth).any()
    assert found["accuracy"] == pytest.approx((said == truth).mean())
    assert found["recall"] == pytest.approx(said[truth].mean() if truth.any() else np.nan, nan_ok=True)
    assert found["false_alarms"] == pytest.approx(said[~truth].mean() if (~truth).any() else np.nan, nan_ok=True)
    assert found["mcc"] == pytest.approx(matthews(truth.tolist(), said.tolist()) if both else np.nan, nan_ok=True)
    assert found["ece"] == pytest.approx(expected_calibration_error(one.probabilities, truth))
    assert found["nll"] == pytest.approx(negative_log_likelihood(one.logits, truth))


def test_exactly_one_half_is_no_roadwork() -> None:
    assert sample((0.0, True, "a")).said.tolist() == [False]


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 7))
def test_groups_are_drawn_whole_and_as_many_as_there_are(count: int, groups: int) -> None:
    names = np.array([f"{i % groups}" for i in range(count)])
    weights = np.concatenate(list(group_weights(names, 20, np.random.default_rng(0))))
    assert weights.shape == (20, count)
    for name in np.unique(names):
        assert (np.ptp(weights[:, names == name], axis=1) == 0).all()
    firsts = [np.flatnonzero(names == name)[0] for name in np.unique(names)]
    assert (weights[:, firsts].sum(axis=1) == len(firsts)).all()


def test_the_interval_of_a_share_is_near_the_textbooks() -> None:
    """With a group for each picture the bootstrap must agree with sqrt(p (1 - p) / n)."""
    rng = np.random.default_rng(3)
    right = rng.random(400) < 0.8
    one = Sample(np.where(right, 1.0, -1.0), np.ones(400, bool), np.arange(400).astype(str))
    found = estimates(one, draws=2000)["recall"]
    deviation = (right.mean() * (1 - right.mean()) / 400) ** 0.5
    assert found.value == pytest.approx(right.mean())
    assert found.low == pytest.approx(right.mean() - 1.96 * deviation, abs=0.006)
    assert found.high == pytest.approx(right.mean() + 1.96 * deviation, abs=0.006)


def test_pictures_of_one_group_tell_less_than_as_many_groups() -> None:
    rng = np.random.default_rng(4)
    right = np.repeat(rng.random(20) < 0.7, 20)
    logits, labels = np.where(right, 1.0, -1.0), np.ones(400, bool)
    by_group = estimates(Sample(logits, labels, np.repeat(np.arange(20), 20).astype(str)))["accuracy"]
    apart = estimates(Sample(logits, labels, np.arange(400).astype(str)))["accuracy"]
    assert by_group.value == apart.value
    assert by_group.high is not None
    assert by_group.low is not None
    assert apart.high is not None
    assert apart.low is not None
    assert by_group.high - by_group.low > 3 * (apart.high - apart.low)


def test_a_mean_is_resampled_as_the_figures_are() -> None:
    one = drawn(60, 12)
    right = (one.said == one.labels).astype(float)
    assert mean_estimate(right, one.groups) == estimates(one)["accuracy"]
    assert mean_estimate(right[:4], one.groups[:4]) == Estimate(right[:4].mean())
    assert mean_estimate(np.zeros(0), np.zeros(0, str)) == Estimate(None)


@pytest.mark.parametrize(("groups", "t"), [(5, 2.7764), (7, 2.4469), (11, 2.2281), (31, 2.0423), (1001, 1.9623)])
def test_few_groups_leave_out_as_little_as_students_t_does(groups: int, t: float) -> None:
    """Quantiles of t from the textbooks' table."""
    assert NormalDist().inv_cdf(tail(groups)) == pytest.approx(-t * (groups / (groups - 1)) ** 0.5, rel=0.003)


@pytest.mark.parametrize("groups", [5, 8, 20])
def test_intervals_of_few_groups_hold_the_truth_about_as_often_as_they_say(groups: int) -> None:
    """Pictures of a group share its difficulty; the truth is 0.8."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        hard = np.repeat(rng.normal(0.0, 0.1, groups), 40)
        right = (rng.random(groups * 40) < 0.8 + hard).astype(float)
        one = mean_estimate(right, np.repeat(np.arange(groups), 40).astype(str), draws=400)
        held += (one.low or 0.0) <= 0.8 <= (one.high or 0.0)
    assert 180 <= held <= 199


def test_few_groups_have_no_intervals() -> None:
    found = estimates(drawn(100, 4))
    assert all(one.value is not None and one.low is None for one in found.values())
    assert all(one.low is not None for one in estimates(drawn(100, 5)).values())


def test_the_same_seed_gives_the_same_intervals() -> None:
    one = drawn(60, 10)
    first, second, other = (resampled_figures(one, draws=50, seed=seed)["mcc"] for seed in (1, 1, 2))
    assert first.tolist() == second.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("labels", "gone"), [(True, {"mcc", "auc", "false_alarms"}), (False, {"mcc", "auc", "recall"})]
)
def test_one_class_leaves_figures_undefined(labels: bool, gone: set[str]) -> None:
    one = sample(*[(float(i) - 3.0, labels, f"g{i}") for i in range(8)])
    found = estimates(one)
    assert {name for name in NAMES if found[name].value is None} == gone


def test_nothing_answered_gives_nothing() -> None:
    found = estimates(sample())
    assert all(one.value is None for one in found.values())
