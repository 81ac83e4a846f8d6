"""What judges besides drawings: street photographs that never trained, and composites over them with new sprites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from streetvision.models.architectures.timm_dinov3 import PATCH
from streetvision.scenes.augment import LEVELS, augment
from streetvision.training.batch import Batch
from streetvision.training.compositor import Compositor, Style
from streetvision.training.evaluation import EvaluationPicture, squash
from streetvision.training.photographs import cutouts_in, held_out, load_photographs, photograph_files
from streetvision.training.pool import ScenePool
from streetvision.training.sources import SourceSettings, camera
from streetvision.training.sprite_bank import sprite_bank

COMPOSITE_VIEW, CLOSE_VIEW = "composites", "close-ups"
SPRITE_SEEDS = 600_000_000
"""First seed of the sprites that judge; training starts at 1,000,000,000."""
AT_ONCE = 64
CROPS_PER_LEVEL = 4


def composite_views(
    photos: Sequence[Path], count: int, size: int, device: torch.device, *, workers: int, style: Style
) -> list[EvaluationPicture]:
    """About `count` composites of that style, half of them with works, those left out in which works hardly show.

    Their label is what they show, since no validator ever saw more of them.
    """
    cutouts = replace(cutouts_in(photos, judging=True), things=())
    bank = sprite_bank(
        count, SPRITE_SEEDS, device, workers=workers, cutouts=cutouts, side=style.side, signs=style.signs
    )
    compositor = Compositor(bank, load_photographs(photos, device, judging=True), SourceSettings().size, style)
    pool = ScenePool(AT_ONCE, compositor.size, device, look=camera, mixture=style.mixture)
    generator = torch.Generator(device).manual_seed(19)
    views: list[EvaluationPicture] = []
    for _ in range(0, count, AT_ONCE):
        pool.add(compositor.compose(torch.arange(AT_ONCE, device=device) % 2 == 0, generator))
        views += _clear_ones(pool.batch(AT_ONCE, size, PATCH, generator))
    return views


def _clear_ones(batch: Batch) -> list[EvaluationPicture]:
    pixels = batch.pixels.clamp(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    labelled = zip(pixels, (batch.targets > 0.5).tolist(), batch.weights.tolist(), strict=True)
    return [EvaluationPicture(picture, label, label) for picture, label, weight in labelled if weight > 0]


def street_views(photos: Sequence[Path], size: int) -> tuple[list[EvaluationPicture], list[EvaluationPicture]]:
    """The held-out street photographs, none with works: whole, and cut as validators of each level cut them."""
    whole, cut, rng = [], [], np.random.default_rng(17)
    for file in (one for one in photograph_files(photos, "street") if held_out(one)):
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        whole.append(EvaluationPicture(squash(image, size), False, False))
        for level in LEVELS:
            crops = [augment(np.asarray(image), level, rng, size=size) for _ in range(CROPS_PER_LEVEL)]
            cut += [EvaluationPicture(crop, False, False) for crop in crops]
    return whole, cut
