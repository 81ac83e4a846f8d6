"""From bytes that nobody may trust to pixels and back, by the decoder that challenges go through."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.header import read_header
from streetvision.engine.types import BadImage

LONGEST = 1024
"""Pixels of a variation's longer side at most: far more than a model is shown."""
QUALITY = 92
Pixels = NDArray[np.float32]
"""[H, W, 3] in [0, 1]."""


def read_pixels(data: bytes, longest: int = LONGEST) -> Pixels:
    """Decode a JPEG, PNG or WebP upright; raises BadImage for anything else and for what is incomplete.

    The decoder gives squares: the picture is squashed to one as long as it is to be, then its short side is put right.
    """
    header = read_header(data)
    side = max(1, min(longest, max(header.width, header.height)))
    decoded = decode(data, size=side, limits=DecodeLimits(), resize="squash")
    if decoded.decoded is not None:
        raise BadImage("the image ends too early")
    scale = side / max(decoded.width, decoded.height)
    size = (max(1, round(decoded.width * scale)), max(1, round(decoded.height * scale)))
    image = Image.fromarray(decoded.array).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) / np.float32(255.0)


def write_pixels(pixels: Pixels, quality: int = QUALITY) -> bytes:
    """As a JPEG."""
    buffer = BytesIO()
    levels = (np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
