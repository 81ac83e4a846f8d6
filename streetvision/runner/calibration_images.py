"""Pictures that a model is calibrated and judged on where nobody has given better ones: drawn scenes, varied.

A few dozen scenes are stored, drawn by `make pictures`, and each is varied as validators vary theirs: a crop, flips,
contrast, brightness and noise. Weights are rounded by other scenes, so that the gate judges by what rounding never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

SCENES = 32
IMAGES = 1024
FOLDER = Path(__file__).parents[1] / "assets" / "calibration"
"""The scenes, 224 pixels a side, in the order of their names."""
ROUNDING_FOLDER = FOLDER.with_name("rounding")
ROUNDING_IMAGES = 256


def calibration_images(size: int, *, scenes: int = SCENES, count: int = IMAGES) -> NDArray[np.uint8]:
    """`count` pictures of the first `scenes`, uint8 [count, size, size, 3], the same in every process."""
    return _varied(sorted(FOLDER.glob("*.jpg"))[:scenes], size, count, seed=7)


def rounding_images(size: int) -> NDArray[np.uint8]:
    """Pictures of scenes that no gate looks at, uint8 [256, size, size, 3], the same in every process."""
    return _varied(sorted(ROUNDING_FOLDER.glob("*.jpg")), size, ROUNDING_IMAGES, seed=11)


def _varied(paths: Sequence[Path], size: int, count: int, seed: int) -> NDArray[np.uint8]:
    """Each scene as it is, then varied in turn."""
    drawn = np.stack([np.asarray(Image.open(path).convert("RGB").resize((size, size))) for path in paths])
    generator = torch.Generator().manual_seed(seed)
    source = torch.from_numpy(drawn).permute(0, 3, 1, 2).float()
    pictures = np.empty((count, size, size, 3), np.uint8)  # one copy: at 768 pixels a thousand take 1.8 GB
    for index in range(count):
        look = (
            _vary(source[index % len(paths)], generator)
            if index >= len(paths)
            else source[index].round().to(torch.uint8)
        )
        pictures[index] = look.permute(1, 2, 0).numpy()
    return pictures


def _vary(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One of many looks at a picture [3, S, S]."""
    size = image.shape[-1]
    draw = torch.rand(8, generator=generator)
    side = max(16, int(size * (0.45 + 0.55 * float(draw[0]))))
    top, left = (int(float(d) * (size - side)) for d in draw[1:3])
    look = image[:, top : top + side, left : left + side]
    look = F.interpolate(look[None], size=(size, size), mode="bilinear", align_corners=False)[0]
    turned = [axis for axis, value in ((1, draw[3]), (2, draw[4])) if value < 0.5]
    look = look.flip(turned) if turned else look
    mean = look.mean()
    look = (look - mean) * (0.4 + 0.8 * draw[5]) + mean + 40.0 * (draw[6] - 0.5)
    noise = torch.randn(look.shape, generator=generator) * (15.0 * float(draw[7]))
    return (look + noise).clamp(0, 255).round().to(torch.uint8)
