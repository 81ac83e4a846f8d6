from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision.evaluation.calibration import expected_calibration_error, negative_log_likelihood
from streetvision.evaluation.figures import (
    NAMES,
    Sample,
    estimates,
    group_weights,
    resampled_figures,
    undefined_words,
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
def test_one_class_leaves_figures_undefined_and_says_so(labels: bool, gone: set[str]) -> None:
    one = sample(*[(float(i) - 3.0, labels, f"g{i}") for i in range(8)])
    found = estimates(one)
    assert {name for name in NAMES if found[name].value is None} == gone
    (words,) = undefined_words(found, one)
    assert all(name in words for name in gone)
    assert ("`no roadwork`" in words) is labels


def test_nothing_answered_gives_nothing() -> None:
    found = estimates(sample())
    assert all(one.value is None for one in found.values())
    assert undefined_words(found, sample()) == ["no picture was answered"]
