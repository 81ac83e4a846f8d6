"""Pictures with structure, encoded as a validator's."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def photos(count: int, *, size: tuple[int, int] = (320, 240), seed: int = 9) -> list[bytes]:
    """So many different JPEGs, the same in every run."""
    rng = np.random.default_rng(seed)
    encoded = []
    for _ in range(count):
        out = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG")
        encoded.append(out.getvalue())
    return encoded
