from __future__ import annotations

import numpy as np
import pytest
import torch

from streetvision.scenes import augment
from streetvision.scenes.augment import ORDER
from streetvision.scenes.scenes import render_scene
from streetvision.training import distortions

EXACT = ("saturation", "contrast", "resample", "blur")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", EXACT)
def test_each_picture_of_a_batch_has_a_severity_of_its_own(name: str) -> None:
    image = render_scene(3, size=(96, 64)).image
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float().expand(6, 3, 64, 96)
    severity = torch.zeros(6, len(ORDER), dtype=torch.int64)
    severity[:, ORDER.index(name)] = torch.arange(6)
    ours = distortions.distort(pixels, severity, generator()).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours[0], image, atol=1e-3)
    for step in range(1, 6):
        theirs = augment.distort(image, name, step, np.random.default_rng(0)).astype(np.float32)
        assert np.abs(ours[step] - theirs).max() <= 1.51


def test_they_follow_each_other_in_the_validators_order() -> None:
    image = render_scene(3, size=(96, 96)).image
    steps = {"saturation": 1, "contrast": 2, "resample": 2, "blur": 1}
    theirs = image
    for name in ORDER:
        if name in steps:
            theirs = augment.distort(theirs, name, steps[name], np.random.default_rng(0))
    severity = torch.tensor([[steps.get(name, 0) for name in ORDER]])
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    ours = distortions.distort(pixels, severity, generator())[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 4.0, "each of four rounds down"
    assert abs(float((ours - theirs).mean())) < 2.0


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("severity", [1, 5])
def test_a_table_of_robustness_gets_what_the_numpy_version_gives(name: str, severity: int) -> None:
    images = np.stack([render_scene(seed, size=(96, 96)).image for seed in (1, 2)])
    theirs = np.stack([augment.distort(one, name, severity, np.random.default_rng(0)) for one in images]).astype(float)
    ours = distortions.distorted(torch.from_numpy(images), name, severity, generator())
    assert ours.dtype == torch.uint8
    assert ours.shape == images.shape
    if name in EXACT:
        assert np.abs(ours.numpy() - theirs).max() <= 1
    else:
        assert float(ours.float().std()) == pytest.approx(theirs.std(), rel=0.1)
        assert float(ours.float().mean()) == pytest.approx(theirs.mean(), rel=0.1)


def test_blocks_lie_only_where_they_were_drawn() -> None:
    severity = torch.tensor([0, 1, 5])
    grey = (distortions.apply(torch.zeros(3, 3, 224, 224), "blocks", severity, generator()) == 128).double()
    shares = grey.mean(dim=(1, 2, 3)).tolist()
    assert shares[0] == 0
    assert 0.01 < shares[1] < 16 * 64 / 224**2 + 1e-6
    assert shares[2] > 3 * shares[1]


def test_an_unknown_distortion_is_named() -> None:
    with pytest.raises(KeyError, match="fog"):
        distortions.apply(torch.zeros(1, 3, 16, 16), "fog", torch.ones(1, dtype=torch.int64), generator())
