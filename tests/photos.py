"""Encoded pictures: plain ones that tell what became of them, and ones with structure like a validator's."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def grey_photo(level: int, side: int = 24) -> bytes:
    """A PNG of one grey, which survives decoding and scaling as it is."""
    out = io.BytesIO()
    Image.new("L", (side, side), level).save(out, "PNG")
    return out.getvalue()


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
