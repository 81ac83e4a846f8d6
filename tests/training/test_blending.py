from __future__ import annotations

import pytest
import torch

from streetvision.training.batch import Batch
from streetvision.training.blending import blended


def batch(count: int = 12) -> Batch:
    """Picture n is n everywhere, and so is what its patches are said to show."""
    values = torch.arange(float(count))
    return Batch(
        values.view(-1, 1, 1, 1).expand(-1, 3, 32, 32).clone(),
        torch.ones(count),
        torch.ones(count),
        values[:, None].expand(-1, 4).clone(),
    )


def test_every_other_of_the_first_is_blended_and_loses_its_label() -> None:
    before = batch()
    after = blended(before, 3, torch.Generator().manual_seed(1))
    assert after.weights.tolist() == [0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1]
    untouched = [1, 3, 5, *range(6, 12)]
    assert torch.equal(after.pixels[untouched], before.pixels[untouched])
    assert not torch.equal(after.pixels[:5:2], before.pixels[:5:2])
    assert torch.equal(before.weights, torch.ones(12))


def test_patches_are_blended_as_the_pixels_are() -> None:
    after = blended(batch(64), 32, torch.Generator().manual_seed(2))
    assert after.patches is not None
    seen = after.pixels[:, 0].unfold(1, 16, 16).unfold(2, 16, 16)
    assert torch.allclose(seen.mean(dim=(3, 4)).flatten(1), after.patches, atol=1e-4)


def test_half_show_the_other_everywhere_and_half_in_whole_patches() -> None:
    after = blended(batch(64), 32, torch.Generator().manual_seed(3))
    constant, cut = after.pixels[0:64:4], after.pixels[2:64:4]
    assert (constant.amax(dim=(1, 2, 3)) - constant.amin(dim=(1, 2, 3))).max() < 1e-4
    assert (cut == cut.round()).all()
    assert (cut.amax(dim=(1, 2, 3)) != cut.amin(dim=(1, 2, 3))).any()


def test_it_asks_for_patch_targets() -> None:
    nothing = torch.zeros(2)
    with pytest.raises(ValueError, match="patch targets"):
        blended(Batch(torch.zeros(2, 3, 32, 32), nothing, nothing), 1, torch.Generator())
