"""Challenges as validators send them, made from procedural scenes: JPEG bytes and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from streetvision.scenes.augment import LEVELS, augment
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene

NATIVE = -1
"""In place of an augmentation level: the picture is sent whole at its native size."""
NATIVE_SIZES = ((4032, 3024), (3024, 4032), (1920, 1080), (1280, 720), (2048, 1536), (1600, 1200), (1024, 640))
SOURCE_SIZES = ((640, 480), (800, 600), (768, 432), (600, 600), (480, 640))
"""Sizes of the scenes that are then augmented to 224 x 224."""
SEED_LIMIT = 100_000_000
"""Challenges use seeds below this, which training never sees."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One question with its answer."""

    jpeg: bytes
    label: bool
    """Whether the scene has roadwork; a crop may have cut it out, as it does for the validators."""
    level: int
    """Augmentation level 0 to 3, or NATIVE."""
    size: tuple[int, int]


def challenge(seed: int, *, native: bool | None = None, roadwork: bool | None = None) -> Challenge:
    """The challenge of this seed: half of them augmented to 224 x 224 at a random level, half at native size.

    `native` and `roadwork` fix what the seed would decide. Raises ValueError for a seed that training may have used.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"challenge seeds run from 0 to {SEED_LIMIT - 1}, apart from those of training; got {seed}")
    rng = np.random.default_rng((7, seed))
    whole = bool(rng.random() < 0.5) if native is None else native
    level = NATIVE if whole else int(rng.choice(LEVELS))
    size = (NATIVE_SIZES if whole else SOURCE_SIZES)[rng.integers(len(NATIVE_SIZES if whole else SOURCE_SIZES))]
    scene = render_scene(seed, roadwork=roadwork, size=size)
    pixels = scene.image if whole else augment(scene.image, level, rng)
    jpeg = encode_jpeg(Image.fromarray(pixels), int(rng.integers(80, 96)))
    return Challenge(jpeg, scene.roadwork, level, (pixels.shape[1], pixels.shape[0]))
