"""How much memory decoding a picture takes, from its header alone and before a pixel is decoded.

Counted as the libraries allocate: libjpeg keeps all DCT coefficients of a JPEG in several scans (16 bits each, T.81
and jdcoefct.c) and nothing of one in a single scan; Pillow keeps 1, 2 or 4 bytes a pixel, converts palettes and
transparency into copies, and scales in two passes with a strip between them; libwebp's animation decoder keeps two
canvases. A process really takes 0.65 to 0.95 times the estimate, less up to 1.5 MiB that small pictures need not
(tests/engine/test_decode_memory.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from streetvision.engine.header import Header
from streetvision.engine.views import Frame

OVERHEAD = 2**20
"""Bytes of tables, line buffers and objects, whatever the picture."""
LINE_BYTES = 128
"""Of libjpeg's and zlib's line buffers, for each pixel of a line."""
_COEFFICIENT = 2
_WEBP_CANVASES = 8
"""Bytes a pixel: two RGBA canvases, which live as long as their picture."""
_WEBP_FRAME = 6
"""Bytes a pixel of the frame that is handed out, and of what lossless decoding works on."""


def decoding_bytes(header: Header, frames: Sequence[Frame], scale: int) -> int:
    """Bytes at the peak of one decode at 1/`scale` that all `frames` are cut from, without the arrays they become."""
    width, height = -(-header.width // scale), -(-header.height // scale)
    pixels = width * height
    stored, copies = _pixel_bytes(header)
    decoding = pixels * stored + _library_bytes(header)
    scaling = pixels * (stored + copies) + max(_cutting_bytes(header, frame, height) for frame in frames)
    if header.format == "WEBP":
        scaling += pixels * _WEBP_CANVASES
    file = len(header.stream) * (2 if header.format == "WEBP" else 1)
    return OVERHEAD + LINE_BYTES * header.width + file + max(decoding, scaling)


def _library_bytes(header: Header) -> int:
    """What the format's library holds beside the pixels that it hands out."""
    if header.format == "WEBP":
        return (_WEBP_CANVASES + _WEBP_FRAME) * header.width * header.height
    return _COEFFICIENT * header.coefficients


def _pixel_bytes(header: Header) -> tuple[int, int]:
    """Of one pixel: as decoded, and of the copies that are made of the whole picture before it is scaled."""
    if header.alpha:
        return 1 if header.palette else 4, 8  # to RGBA, and to premultiplied RGBA for scaling
    if header.palette:
        return 1, 4
    if header.components == 1:
        return (2, 4) if header.depth == 16 else (1, 1 if header.depth == 1 else 0)
    return 4, 4 if header.components == 4 else 0


def _cutting_bytes(header: Header, frame: Frame, height: int) -> int:
    """Of one frame: the strip between the two passes and its result, or the copies that end in an array."""
    pixels = frame.inner**2
    bands = 1 if header.components == 1 and not (header.alpha or header.palette) else 4
    copies = (15 if header.alpha else 8) + (4 if header.orientation > 1 else 0)
    return max(bands * (frame.inner * height + pixels), copies * pixels)
