"""Pictures that a model is calibrated and judged on where nobody has given better ones: drawn scenes, varied.

A few dozen scenes are stored, drawn by `make pictures`, and each is varied as validators vary theirs: a crop, flips,
contrast, brightness and noise.
"""

from __future__ import annotations

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


def calibration_images(size: int, *, scenes: int = SCENES, count: int = IMAGES) -> NDArray[np.uint8]:
    """`count` pictures of the first `scenes`, uint8 [count, size, size, 3], the same in every process."""
    paths = sorted(FOLDER.glob("*.jpg"))[:scenes]
    drawn = np.stack([np.asarray(Image.open(path).convert("RGB").resize((size, size))) for path in paths])
    generator = torch.Generator().manual_seed(7)
    source = torch.from_numpy(drawn).permute(0, 3, 1, 2).float()
    pictures = np.empty((count, size, size, 3), np.uint8)  # one copy: at 768 pixels a thousand take 1.8 GB
    for index in range(count):
        look = _vary(source[index % scenes], generator) if index >= scenes else source[index].round().to(torch.uint8)
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
