"""Whether variations pay: found where they do, never where they are noise, and told where nothing can be told."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision.synthesis.ablation import Part, ablate, quantile

RNG = np.random.default_rng(5)


def part(count: int, seed: int, *, signal: float, groups: int, weight: float = 1.0) -> Part:
    """Two clouds whose means differ by `signal` in the first of 6 dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2 == 0
    vectors = rng.normal(size=(count, 6)).astype(np.float32)
    vectors[:, 0] += signal * labels
    return Part(vectors, labels, np.arange(count) % groups, np.full(count, weight))


def test_variations_that_teach_what_few_pictures_do_not_pay_off() -> None:
    real = part(60, 1, signal=1.6, groups=60)
    helpful = part(600, 2, signal=1.6, groups=60)
    noise = part(200, 3, signal=0.0, groups=60, weight=0.05)
    made = Part(
        np.concatenate([helpful.vectors, noise.vectors]),
        np.concatenate([helpful.labels, noise.labels]),
        np.concatenate([helpful.groups, noise.groups]),
        np.concatenate([helpful.weights, noise.weights]),
    )
    found = ablate(real, made, ["night"] * 600 + ["fog"] * 200)
    assert found.kinds["night"].balanced > 0.0
    assert not found.kinds["fog"].pays
    assert found.kinds["night"].count == 600


def test_noise_hardly_ever_pays() -> None:
    paid = 0
    for seed in range(20):
        real = part(80, 100 + seed, signal=1.5, groups=80)
        made = part(30, 200 + seed, signal=1.5, groups=80)
        paid += bool(ablate(real, made, ["night"] * 30, seeds=6).kept)
    assert paid <= 2


def test_wrong_labels_lose_and_the_class_is_told() -> None:
    real = part(120, 7, signal=2.5, groups=120)
    wrong = Part(real.vectors[real.labels], np.zeros(60, np.bool_), real.groups[real.labels], np.ones(60))
    found = ablate(real, wrong, ["works"] * 60)
    assert found.kinds["works"].roadwork < -0.1 < found.kinds["works"].none
    assert found.kept == ()


def test_a_variation_is_learned_from_only_where_its_parent_is() -> None:
    """Else copies of what is judged on would pay, and they must not."""
    real = part(60, 11, signal=0.0, groups=60)
    found = ablate(real, Part(real.vectors, real.labels, real.groups, real.weights), ["night"] * 60)
    assert abs(found.kinds["night"].balanced) < 0.05


def test_too_few_places_tell_nothing() -> None:
    found = ablate(part(60, 1, signal=1.0, groups=8), part(10, 2, signal=1.0, groups=8), ["night"] * 10)
    assert "fewer than" in found.why
    assert found.kept == ()


@pytest.mark.parametrize(
    ("freedom", "risk", "value"), [(9, 0.05, 1.833), (9, 0.01, 2.821), (5, 0.05, 2.015), (30, 0.025, 2.042)]
)
def test_the_quantiles_are_students(freedom: int, risk: float, value: float) -> None:
    assert quantile(freedom, risk) == pytest.approx(value, rel=0.02)
