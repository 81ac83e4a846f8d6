from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from streetvision.scenes.augment import LEVELS
from streetvision.scenes.challenges import NATIVE, NATIVE_SIZES, SEED_LIMIT, challenge
from streetvision.training.train import TRAINING_SEEDS


def opened(data: bytes) -> Image.Image:
    with Image.open(BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.convert("RGB")


def test_augmented_challenges_look_as_before_may() -> None:
    levels, labels = set(), set()
    for seed in range(24):
        one = challenge(seed, native=False)
        assert opened(one.jpeg).size == one.size == (224, 224)
        assert 1_000 < len(one.jpeg) < 60_000
        levels.add(one.level)
        labels.add(one.label)
    assert levels == set(LEVELS)
    assert labels == {True, False}


def test_a_native_challenge_keeps_its_size() -> None:
    one = challenge(5, native=True)
    assert one.level == NATIVE
    assert one.size in NATIVE_SIZES
    assert opened(one.jpeg).size == one.size


def test_a_challenge_is_a_function_of_its_seed() -> None:
    assert challenge(8, native=False) == challenge(8, native=False)
    assert challenge(8, native=False, roadwork=True).label
    assert not challenge(8, native=False, roadwork=False).label


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT, TRAINING_SEEDS])
def test_seeds_of_training_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="challenge seeds"):
        challenge(seed)
