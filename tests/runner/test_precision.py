"""The gate that lets float8 serve, and the pictures it judges by."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision.runner.calibration_images import FOLDER, ROUNDING_FOLDER, SCENES, calibration_images, rounding_images
from streetvision.runner.precision import MAX_MOVE, MIN_IMAGES, Moved, compare, judge


def logits(count: int = 2000) -> np.ndarray:
    return np.linspace(-4, 4, count).astype(np.float32)


def test_equal_answers_pass() -> None:
    moved = compare(logits(), logits())
    assert (moved.move, moved.flips, moved.passes) == (0.0, 0, True)
    assert judge(moved).name == "fp8"


def test_one_large_move_in_a_thousand_is_allowed_two_are_not() -> None:
    before = logits(1000) + np.float32(0.01) * np.sign(logits(1000))
    after = before.copy()
    after[-1] = 0.5
    assert compare(before, after).move > MAX_MOVE
    wide = np.concatenate((before, before[before > 0], before[before < 0]))
    worse = wide.copy()
    worse[0] = -0.5
    assert compare(wide, worse).passes
    worse[1:4] = -0.5
    verdict = judge(compare(wide, worse))
    assert verdict.name == "bf16"
    assert "fails its gate: over 2000 pictures" in verdict.reason


@pytest.mark.parametrize(("flips", "passes"), [(0, True), (2, True), (3, False)])
def test_decisions_may_flip_once_in_a_thousand(flips: int, passes: bool) -> None:
    before = np.full(2000, -0.004, np.float32)
    after = before.copy()
    after[:flips] = 0.004
    moved = compare(before, after)
    assert (moved.flips, moved.passes) == (flips, passes)


def test_too_few_pictures_prove_nothing() -> None:
    verdict = judge(compare(logits(MIN_IMAGES - 1), logits(MIN_IMAGES - 1)))
    assert verdict.name == "bf16"
    assert "needs 1000 pictures" in verdict.reason


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_never_passes(bad: float) -> None:
    after = logits()
    after[:5] = bad
    moved = compare(logits(), after)
    assert moved.flips >= 5
    assert not moved.passes


def test_logits_of_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="alike"):
        compare(logits(5), logits(6))
    with pytest.raises(ValueError, match="alike"):
        compare(logits(0), logits(0))


def test_the_share_grows_with_the_set() -> None:
    assert Moved(5000, 0.01, 5).passes
    assert not Moved(5000, 0.01, 6).passes


def test_drawn_pictures_come_from_the_package_and_fit_any_input() -> None:
    files = sorted(FOLDER.glob("*.jpg"))
    assert len(files) == SCENES
    assert sum(file.stat().st_size for file in files) < 500_000
    drawn = calibration_images(48, count=SCENES)
    assert drawn.shape == (SCENES, 48, 48, 3)
    assert len({picture.tobytes() for picture in drawn}) == SCENES


def test_drawn_pictures_are_many_different_and_the_same_every_time() -> None:
    pictures = calibration_images(64, scenes=2, count=9)
    assert pictures.shape == (9, 64, 64, 3) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 9
    np.testing.assert_array_equal(pictures, calibration_images(64, scenes=2, count=9))
    assert pictures.std() > 20


def test_weights_are_rounded_by_scenes_that_no_gate_looks_at() -> None:
    folders = [{file.read_bytes() for file in folder.glob("*.jpg")} for folder in (FOLDER, ROUNDING_FOLDER)]
    assert [len(files) for files in folders] == [SCENES, SCENES]
    assert not folders[0] & folders[1]
    pictures = rounding_images(48)
    assert pictures.shape == (256, 48, 48, 3)
    np.testing.assert_array_equal(pictures, rounding_images(48))
