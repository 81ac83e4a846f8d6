from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from streetvision.scenes.scenes import render_scene
from streetvision.training.camera_look import jpeg_like, lose_detail, photograph, tables

CPU = torch.device("cpu")


def picture() -> torch.Tensor:
    """Smooth enough that quantisation decides, not the files' clipping of coloured noise."""
    scene = Image.fromarray(render_scene(1, size=(384, 256)).image).resize((96, 64), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(scene).copy()).permute(2, 0, 1)[None].float()


def test_jpeg_like_comes_close_to_a_jpeg_of_that_quality() -> None:
    pixels = picture()
    image = Image.fromarray(pixels[0].permute(1, 2, 0).byte().numpy())
    for quality in (30, 90):
        stored = BytesIO()
        image.save(stored, "JPEG", quality=quality, subsampling=0)
        with Image.open(stored) as opened:
            real = torch.from_numpy(np.asarray(opened).copy()).permute(2, 0, 1).float()
        made = jpeg_like(pixels, torch.tensor([float(quality)]), tables(CPU))[0]
        loss = (real - pixels[0]).abs().mean()
        assert (made - real).abs().mean() < 0.7 * loss + 1.0, quality


def test_a_lower_quality_loses_more() -> None:
    pixels = picture()
    lost = [
        float((jpeg_like(pixels, torch.tensor([q]), tables(CPU)) - pixels).abs().mean()) for q in (20.0, 60.0, 95.0)
    ]
    assert lost[0] > lost[1] > lost[2] > 0.0


def test_photographs_keep_their_range_and_follow_the_generator() -> None:
    pixels = picture().repeat(16, 1, 1, 1)
    first, second = (photograph(pixels.clone(), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert 0.0 <= float(first.min()) <= float(first.max()) <= 255.0
    assert first.mean(dim=(1, 2, 3)).std() > 3.0


@pytest.mark.parametrize("factor", [1.3, 3.2])
def test_losing_detail_is_resizing_down_and_up(factor: float) -> None:
    pixels = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 255
    size = (round(48 / factor), round(64 / factor))
    small = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    expected = functional.interpolate(small, size=(48, 64), mode="bicubic")
    torch.testing.assert_close(lose_detail(pixels, factor), expected, rtol=0, atol=1e-3)
