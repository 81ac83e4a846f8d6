"""A JPEG that already has the model's size, as challenges often have: straight into an array.

Pillow decodes by the same library, libjpeg-turbo, to the same bits. But around that it holds the interpreter's lock for
a third of the time and copies the pixels three times, and that lock is what bounds how many images one miner answers
(docs/benchmarks.md, "From JPEG bytes to probability").
"""

from __future__ import annotations

import numpy as np
import simplejpeg

from streetvision.engine.header import Header
from streetvision.engine.types import ImageArray


def decode_plain(header: Header) -> ImageArray | None:
    """uint8 RGB [height, width, 3] as stored, upright or not; None where Pillow has to say what the bytes are worth.

    That is where libjpeg-turbo so much as warns, and for inks, which it mixes in another way. Memory is taken by our
    reading of the header, whose limits were checked, and never by the library's.
    """
    if header.components not in (1, 3):
        return None
    pixels = np.empty((header.height, header.width, 3), np.uint8)
    try:
        decoded = simplejpeg.decode_jpeg(header.stream, "RGB", buffer=pixels)
    except ValueError:
        return None
    return pixels if decoded.shape == pixels.shape else None
