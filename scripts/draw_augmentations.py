"""Draw the picture of docs/augmentations.md: one drawn street as training shows it. Part of `make docs`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from streetvision.scenes.augment import LEVELS, ORDER, STRESS
from streetvision.scenes.scenes import render_scene
from streetvision.training.augmenting import Augmentation, GpuAugment, plain_batch
from streetvision.training.batch import RawBatch
from streetvision.training.distortions import distorted

SEED, SIZE = 71_000_102, (1280, 720)
TARGET = Path(__file__).parents[1] / "docs" / "images" / "augmentations.jpg"
SHOWN = (1, 3, 5)
"""Severities of each distortion."""
SIDE, GAP, CAPTION = 168, 6, 18
COLUMNS = 6
INK, PAPER = (40, 40, 40), (255, 255, 255)

Tile = tuple[str, torch.Tensor]
"""A caption and uint8 [S, S, 3]."""


def picture() -> RawBatch:
    """The street as the loader gives it."""
    canvas = Image.fromarray(render_scene(SEED, roadwork=True, size=SIZE).image).resize((448, 448))
    one = torch.ones(1)
    return RawBatch(torch.from_numpy(np.array(canvas))[None], torch.tensor([SIZE]), one, one, torch.zeros(1).long())


def tiles() -> list[Tile]:
    """All that the page speaks of: whole pictures, the validators' levels, each distortion by itself."""
    raw, plain = picture(), Augmentation(size=224, camera=0.0)
    served = plain_batch(raw, 224).pixels
    found = [("as served", _pixels(served))]
    for caption, how, seed in (
        ("sideways", Augmentation(224, validators=0.0, sideways=1.0, camera=0.0), 3),
        ("reframed, camera", Augmentation(224, validators=0.0, sideways=0.0), 4),
        ("another camera", Augmentation(224, validators=0.0, sideways=0.0), 11),
    ):
        found.append((caption, _augmented(raw, how, seed)))
    for level in (*LEVELS, STRESS):
        how = Augmentation(224, validators=1.0, levels={level: 1.0}, camera=plain.camera)
        name = "beyond theirs" if level == STRESS else f"level {level}"
        found += [(name, _augmented(raw, how, seed)) for seed in ((5, 6) if level != STRESS else range(5, 11))]
    image = served.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    for name in ORDER:
        for severity in SHOWN:
            generator = torch.Generator().manual_seed(severity)
            found.append((f"{name} {severity}", distorted(image, name, severity, generator)[0]))
    return found


def _augmented(raw: RawBatch, how: Augmentation, seed: int) -> torch.Tensor:
    return _pixels(GpuAugment(how)(raw, torch.Generator().manual_seed(seed)).pixels)


def _pixels(batch: torch.Tensor) -> torch.Tensor:
    return batch[0].clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def sheet(shown: list[Tile]) -> Image.Image:
    """The tiles in rows, each under its caption."""
    rows = -(-len(shown) // COLUMNS)
    wide, high = SIDE + GAP, SIDE + CAPTION + GAP
    image = Image.new("RGB", (COLUMNS * wide + GAP, rows * high + GAP), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for number, (caption, pixels) in enumerate(shown):
        left, top = GAP + number % COLUMNS * wide, GAP + number // COLUMNS * high
        draw.text((left, top), caption, INK, font=font)
        tile = Image.fromarray(pixels.numpy()).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        image.paste(tile, (left, top + CAPTION))
    return image


def main() -> None:
    """Write the picture."""
    torch.set_num_threads(1)
    sheet(tiles()).save(TARGET, quality=85, optimize=True)


if __name__ == "__main__":
    main()
