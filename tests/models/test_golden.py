"""The golden pictures are fixed and varied, and the check on their answers catches what must not serve."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from streetvision.models.folder import bundled_checkpoint
from streetvision.models.golden import GOLDEN_COUNT, TOLERANCE, golden_images, golden_problem
from streetvision.runner.torch_runner import TorchRunner
from streetvision.scenes.golden import paint_golden

GOOD = np.linspace(-3, 3, GOLDEN_COUNT).astype(np.float32)
RECORDED = [
    6.7395,
    -4.7923,
    6.4702,
    -1.8864,
    6.2483,
    -5.0473,
    5.9769,
    -3.9802,
    6.8476,
    -4.7729,
    5.2251,
    -3.0511,
    6.6561,
    -4.4526,
    6.3276,
    -5.0493,
]
SHA256 = "f0c1d7d2c3f2c6d1626089485fa71276df3de2df3a61d358ba0a7823f86e8e5a"


def test_the_pictures_are_the_same_in_every_release() -> None:
    """A recorded answer is only comparable on the pictures it was recorded on."""
    assert hashlib.sha256(golden_images(224).tobytes()).hexdigest() == SHA256
    assert (golden_images(64) == golden_images(64)).all()


def test_the_painter_still_paints_them() -> None:
    assert (paint_golden() == golden_images(224)).all()


def test_recorded_answers_of_the_bundled_model_still_pass() -> None:
    """Pictures, preparation and forward are as they were when these were written down."""
    torch.set_num_threads(1)
    runner = TorchRunner(bundled_checkpoint(), device="cpu", buckets=(16,), compile=False)
    logits = runner.run(golden_images(runner.input_size)).logits
    assert golden_problem(logits, RECORDED) is None
    assert logits == pytest.approx(RECORDED, abs=1e-3)


@pytest.mark.parametrize("size", [16, 48, 224, 518])
def test_every_size_gives_sixteen_different_pictures(size: int) -> None:
    pictures = golden_images(size)
    assert pictures.shape == (GOLDEN_COUNT, size, size, 3)
    assert pictures.dtype == np.uint8
    assert len({hashlib.sha256(picture.tobytes()).digest() for picture in pictures}) == GOLDEN_COUNT


def test_a_size_below_the_smallest_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels"):
        golden_images(8)


def test_the_bundled_model_tells_them_apart_and_sees_the_works() -> None:
    torch.set_num_threads(1)
    runner = TorchRunner(bundled_checkpoint(), device="cpu", buckets=(16,), compile=False)
    logits = runner.run(golden_images(runner.input_size)).logits
    assert golden_problem(logits, None) is None
    assert golden_problem(logits, logits.tolist()) is None
    streets = [index for index in range(GOLDEN_COUNT) if index % 4 != 3]
    works = [float(logits[index]) for index in streets if index % 2 == 0]
    free = [float(logits[index]) for index in streets if index % 2 == 1]
    assert np.mean(works) > np.mean(free) + 1.0


@pytest.mark.parametrize(
    ("logits", "says"),
    [
        (GOOD[:15], "logits of shape [15]"),
        (GOOD[:, None], "logits of shape [16, 1]"),
        (np.where(GOOD > 2, np.nan, GOOD), "NaN or infinity"),
        (np.where(GOOD > 2, np.inf, GOOD), "NaN or infinity"),
        (np.full(16, 0.25, np.float32), "the same answer (logit 0.250)"),
    ],
)
def test_an_insane_answer_is_named(logits: np.ndarray, says: str) -> None:
    problem = golden_problem(logits, None)
    assert problem is not None
    assert says in problem


def test_answers_within_the_tolerance_pass_and_beyond_it_do_not() -> None:
    step = 4 * TOLERANCE  # at logit 0 a probability moves by a quarter of the logit
    recorded = np.zeros(16) + np.linspace(-0.01, 0.01, 16)
    near, far = recorded.copy(), recorded.copy()
    near[5] += 0.9 * step
    far[5] += 1.1 * step
    assert golden_problem(near.astype(np.float32), recorded.tolist()) is None
    assert "golden picture 5" in str(golden_problem(far.astype(np.float32), recorded.tolist()))


def test_a_recording_of_another_length_or_with_nan_is_a_problem() -> None:
    assert "15 recorded" in str(golden_problem(GOOD, GOOD[:15].tolist()))
    assert golden_problem(GOOD, [*GOOD[:8].tolist(), float("nan"), *GOOD[9:].tolist()]) is not None


def test_the_first_few_pictures_alone_can_be_judged() -> None:
    assert golden_problem(GOOD[:2], GOOD.tolist(), 2) is None
    assert "golden picture 1" in str(golden_problem(np.array([GOOD[0], 9.0], np.float32), GOOD.tolist(), 2))
    assert "shape [2]" in str(golden_problem(GOOD[:2], None))
