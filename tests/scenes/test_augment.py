from __future__ import annotations

import numpy as np
import pytest
import torch

from streetvision.scenes import augment
from streetvision.scenes.augment import LEVELS, ORDER, STRESS, Recipes, apply_recipe, draw_recipes
from streetvision.scenes.scenes import render_scene
from streetvision.training import augment_torch, distortions


def smooth_picture(width: int = 120, height: int = 90) -> np.ndarray:
    """Broad waves: nearest and bilinear sampling nearly agree on it, and no two places look alike."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [128 + 90 * np.sin(x / 19 + 1), 128 + 90 * np.cos(y / 17), 128 + 90 * np.sin((x + 2 * y) / 43)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def recipes_for(angle: float, flips: tuple[bool, bool], box: tuple[int, int, int, int]) -> Recipes:
    def one(value: float) -> np.ndarray:
        return np.array([value], np.float32)

    left, top, wide, high = box
    severity = {name: np.zeros(1, np.int64) for name in ORDER}
    return Recipes(
        120,
        90,
        one(angle),
        one(left),
        one(top),
        one(wide),
        one(high),
        np.array([flips[0]]),
        np.array([flips[1]]),
        severity,
    )


def distorted(pixels: torch.Tensor, recipes: Recipes) -> torch.Tensor:
    """What the recipes say, by the version for batches."""
    severities = torch.from_numpy(np.stack([recipes.severity[name] for name in ORDER], axis=1))
    return distortions.distort(pixels, severities, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("angle", [0.0, 20.0, -13.0])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("box", [(0, 0, 90, 90), (25, 10, 60, 60), (3, 7, 110, 70)])
def test_both_backends_cut_the_same_picture(
    angle: float, flips: tuple[bool, bool], box: tuple[int, int, int, int]
) -> None:
    recipes = recipes_for(angle, flips, box)
    image = smooth_picture()
    ours = apply_recipe(image, recipes, 0, np.random.default_rng(0), size=64).astype(np.float32)
    theirs = augment_torch.warp(torch.from_numpy(image)[None], torch.from_numpy(recipes.matrices()), 64)
    gap = np.abs(ours - theirs[0].permute(1, 2, 0).numpy())
    assert np.median(gap) < 4.0
    assert (gap > 25.0).mean() < 0.03, "only the edge of the black corners may differ"


@pytest.mark.parametrize("name", ["saturation", "contrast", "resample", "blur"])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_both_backends_distort_alike(name: str, severity: int) -> None:
    image = render_scene(3, size=(96, 96)).image
    ours = augment.distort(image, name, severity, np.random.default_rng(0)).astype(np.float32)
    recipes = draw_recipes(np.random.default_rng(0), np.array([0]), 96, 96)
    recipes.severity[name][0] = severity
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    theirs = distorted(pixels, recipes)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 1.51


@pytest.mark.parametrize("severity", [1, 5])
def test_noise_has_the_same_covariance_in_both_backends(severity: int) -> None:
    grey = np.full((128, 128, 3), 128, np.uint8)
    ours = augment.distort(grey, "noise", severity, np.random.default_rng(0)).reshape(-1, 3).astype(np.float64)
    recipes = draw_recipes(np.random.default_rng(0), np.array([0]), 128, 128)
    recipes.severity["noise"][0] = severity
    pixels = torch.full((1, 3, 128, 128), 128.0)
    theirs = distorted(pixels, recipes)[0].flatten(1).T.double().numpy()
    np.testing.assert_allclose(np.cov(ours.T), np.cov(theirs.T), rtol=0.08, atol=0.03 * np.cov(theirs.T).max())


def test_blocks_cover_the_same_share_in_both_backends() -> None:
    black = np.zeros((224, 224, 3), np.uint8)
    ours = np.mean([(augment.distort(black, "blocks", 5, np.random.default_rng(s)) == 128).mean() for s in range(6)])
    recipes = draw_recipes(np.random.default_rng(0), np.zeros(6, np.int64), 224, 224)
    recipes.severity["blocks"][:] = 5
    theirs = distorted(torch.zeros(6, 3, 224, 224), recipes)
    assert ours == pytest.approx(float((theirs == 128).double().mean()), rel=0.05)
    assert set(np.unique(theirs.numpy())) == {0.0, 128.0}


def test_level_zero_is_the_centre_and_nothing_else() -> None:
    recipes = draw_recipes(np.random.default_rng(1), np.zeros(50, np.int64), 400, 300)
    assert (recipes.angle == 0).all()
    assert (recipes.left == 50).all()
    assert (recipes.top == 0).all()
    assert (recipes.wide == 300).all()
    assert not recipes.flip_x.any()
    assert not recipes.flip_y.any()
    assert all((recipes.severity[name] == 0).all() for name in ORDER)


def test_geometry_is_drawn_as_the_validators_draw_it() -> None:
    recipes = draw_recipes(np.random.default_rng(1), np.ones(4000, np.int64), 300, 300)
    assert 19.5 < np.abs(recipes.angle).max() <= 20.0
    area = recipes.wide * recipes.high / 300**2
    assert area.min() == pytest.approx(0.2, abs=0.01)
    assert area.max() <= 1.0
    assert area.mean() == pytest.approx(0.6, abs=0.02)
    assert (recipes.left + recipes.wide <= 300).all()
    assert (recipes.top + recipes.high <= 300).all()
    assert recipes.flip_x.mean() == pytest.approx(0.5, abs=0.04)
    assert recipes.flip_y.mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("level", "limits"),
    [(1, {}), (2, augment.MAX_SEVERITY[2]), (3, augment.MAX_SEVERITY[3]), (STRESS, augment.MAX_SEVERITY[STRESS])],
)
def test_each_level_uses_its_severities_evenly(level: int, limits: dict[str, int]) -> None:
    recipes = draw_recipes(np.random.default_rng(2), np.full(3000, level), 300, 200)
    for name in ORDER:
        seen, counts = np.unique(recipes.severity[name], return_counts=True)
        assert list(seen) == list(range(limits.get(name, 0) + 1))
        assert counts.max() < 1.25 * counts.min()


def test_augment_is_a_function_of_its_seed() -> None:
    image = render_scene(5, size=(160, 120)).image
    for level in (*LEVELS, STRESS):
        one, two = (augment.augment(image, level, np.random.default_rng(9)) for _ in range(2))
        assert one.shape == (224, 224, 3)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)


def test_an_unknown_distortion_is_named() -> None:
    with pytest.raises(KeyError, match="fog"):
        augment.distort(np.zeros((16, 16, 3), np.uint8), "fog", 1, np.random.default_rng(0))


def test_kept_share_follows_crop_flip_and_rotation() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0], [0.4, 0.4, 0.65, 0.6]]])
    left_half = torch.from_numpy(recipes_for(0.0, (True, False), (0, 0, 60, 90)).matrices())
    torch.testing.assert_close(augment_torch.kept_share(boxes, left_half), torch.tensor([[1.0, 0.0, 0.4]]))
    assert float(augment_torch.zoom(left_half)) == pytest.approx(2.0)
    turned = torch.from_numpy(recipes_for(20.0, (False, False), (0, 0, 120, 90)).matrices())
    assert float(augment_torch.kept_share(boxes, turned)[0, 2]) == 1.0


def test_patch_targets_mark_the_patches_that_show_an_object() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]])
    shown = torch.tensor([[True, False]])
    flipped = torch.from_numpy(recipes_for(0.0, (True, False), (0, 0, 120, 90)).matrices())
    targets = augment_torch.patch_targets(boxes, shown, flipped, 4).view(4, 4)
    expected = torch.zeros(4, 4)
    expected[:2, 2:] = 1.0
    torch.testing.assert_close(targets, expected)
