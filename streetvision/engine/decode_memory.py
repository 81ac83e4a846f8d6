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
_WEBP_BYTES = 14
"""Of a pixel: two RGBA canvases, the frame that is handed out, and what lossless decoding works on."""


def decoding_bytes(header: Header, frames: Sequence[Frame], scale: int) -> int:
    """Bytes at the peak of one decode at 1/`scale` that all `frames` are cut from, without the arrays they become."""
    width, height = -(-header.width // scale), -(-header.height // scale)
    pixels = width * height
    stored, converted, premultiplied = _pixel_bytes(header)
    decoding = pixels * stored + max(_library_bytes(header), pixels * converted) + _completing_bytes(header, pixels)
    cutting = max(_cutting_bytes(header, frame, height) for frame in frames)
    scaling = pixels * ((converted or stored) + premultiplied) + cutting
    file = len(header.stream) * (2 if header.format == "WEBP" else 1)
    return OVERHEAD + LINE_BYTES * header.width + file + max(decoding, scaling)


def _completing_bytes(header: Header, pixels: int) -> int:
    """What a file without its end takes besides: a second image and their difference, or the inflated rows."""
    if not header.cut:
        return 0
    if header.format == "PNG":
        samples = 1 if header.palette else header.components + header.alpha
        return 4 * header.width * header.height * samples * max(header.depth, 8) // 8
    return 8 * pixels


def _library_bytes(header: Header) -> int:
    """What the format's library holds beside the pixels that it hands out."""
    if header.format == "WEBP":
        return _WEBP_BYTES * header.width * header.height
    return _COEFFICIENT * header.coefficients


def _pixel_bytes(header: Header) -> tuple[int, int, int]:
    """Of one pixel: as decoded, converted to what can be scaled (0 if it is that), and premultiplied by its alpha."""
    if header.alpha:
        return 1 if header.palette else 4, 4, 4
    if header.palette:
        return 1, 4, 0
    if header.components == 1:
        return (2, 4, 0) if header.depth == 16 else (1, 1 if header.depth == 1 else 0, 0)
    return 4, 4 if header.components == 4 else 0, 0


def _cutting_bytes(header: Header, frame: Frame, height: int) -> int:
    """Of one frame: the strip between the two passes and its result, or the copies that end in an array."""
    pixels = frame.inner**2
    bands = 1 if header.components == 1 and not (header.alpha or header.palette) else 4
    copies = (15 if header.alpha else 8) + (4 if header.orientation > 1 else 0)
    return max(bands * (frame.inner * height + pixels), copies * pixels)
