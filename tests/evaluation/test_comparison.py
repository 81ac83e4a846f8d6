from __future__ import annotations

from math import comb

import numpy as np
import pytest

from streetvision.evaluation.comparison import COMPARED, compare, mcnemar
from streetvision.evaluation.figures import Sample
from streetvision.evaluation.reward import Assumptions

QUICK = Assumptions(challenges=100)


def models(count: int, groups: int, *skills: float, seed: int = 0) -> list[Sample]:
    """Models of these skills over the same pictures; a higher skill is right more often."""
    rng = np.random.default_rng(seed)
    labels, names = np.arange(count) % 2 == 0, np.array([f"g{i // 2 % groups}" for i in range(count)])
    shared = rng.normal(0.0, 1.0, count)
    return [
        Sample((skill + shared + 0.3 * rng.normal(0.0, 1.0, count)) * np.where(labels, 1, -1), labels, names)
        for skill in skills
    ]


@pytest.mark.parametrize("split", [(0, 0), (0, 1), (3, 3), (1, 7), (12, 4), (0, 30)])
def test_mcnemar_is_the_binomial(split: tuple[int, int]) -> None:
    count = sum(split)
    tail = sum(comb(count, k) for k in range(min(split) + 1)) / 2**count
    assert mcnemar(*split) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(*split) == mcnemar(*split[::-1])


def test_many_disagreements_stay_finite() -> None:
    assert 0.0 <= mcnemar(9_000, 11_000) < 1e-40
    assert mcnemar(10_000, 10_000) == 1.0


def test_a_clearly_better_model_is_called_better_and_its_rival_worse() -> None:
    good, poor = models(400, 20, 1.6, 0.4)
    found = compare(good, poor, QUICK, draws=200)
    assert found.verdict == "better"
    assert found.only_first > found.only_second
    assert all(found.differences[name].value > 0 for name in COMPARED)  # type: ignore[operator]
    assert compare(poor, good, QUICK, draws=200).verdict == "worse"


def test_swapping_the_models_turns_every_figure_round() -> None:
    first, second = models(120, 10, 1.0, 0.8)
    there, back = compare(first, second, QUICK, draws=100), compare(second, first, QUICK, draws=100)
    for name in COMPARED:
        one, other = there.differences[name], back.differences[name]
        assert one.value == pytest.approx(-(other.value or 0.0), abs=1e-12)
        assert one.low == pytest.approx(-(other.high or 0.0), abs=1e-12)


def test_a_model_is_not_better_than_itself() -> None:
    (one,) = models(60, 10, 1.0)
    found = compare(one, one, QUICK, draws=100)
    assert (found.verdict, found.p_value) == ("undecided", 1.0)
    assert all((d.value, d.low, d.high) == (0.0, 0.0, 0.0) for d in found.differences.values())


def test_models_of_one_skill_are_hardly_ever_told_apart() -> None:
    verdicts = [compare(*models(100, 20, 0.8, 0.8, seed=seed), QUICK, draws=100).verdict for seed in range(30)]
    assert verdicts.count("undecided") >= 28


def test_few_groups_decide_nothing_however_clear_it_looks() -> None:
    good, poor = models(400, 4, 1.6, 0.2)
    found = compare(good, poor, QUICK, draws=50)
    assert found.verdict == "undecided"
    assert "groups" in found.why
    assert all(one.low is None for one in found.differences.values())


def test_an_advantage_in_one_group_alone_decides_nothing() -> None:
    """McNemar takes pictures for independent and is sure; whole groups show that it was one place."""
    labels, groups = np.arange(300) % 2 == 0, np.array([f"g{i // 30}" for i in range(300)])
    right = np.where(labels, 1.0, -1.0)
    worse = np.where(groups == "g0", -right, right)
    found = compare(Sample(right, labels, groups), Sample(worse, labels, groups), QUICK, draws=200)
    assert found.p_value < 1e-6
    assert found.verdict == "undecided"


def test_one_class_is_compared_by_accuracy() -> None:
    groups, labels = np.array([f"g{i % 20}" for i in range(200)]), np.zeros(200, bool)
    good, poor = -np.ones(200), np.where(np.arange(200) % 3 == 0, 1.0, -1.0)
    found = compare(Sample(good, labels, groups), Sample(poor, labels, groups), QUICK, draws=100)
    assert found.verdict == "better"
    assert found.differences["mcc"].value is None
    assert found.differences["reward"].value is None


def test_other_pictures_are_refused() -> None:
    first, second = models(40, 10, 1.0, 1.0)
    with pytest.raises(ValueError, match="same pictures"):
        compare(first, second.part(np.arange(40) < 39))
