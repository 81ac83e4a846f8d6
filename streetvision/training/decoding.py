"""From the bytes of a picture to a square canvas for training: as safe as in service, and at a fraction of its cost.

A plain JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that still covers the canvas. All other pictures take the
way that challenges take. Where service answers from what could be decoded, training refuses: a picture without its end
is reported and never trained on. The canvas is twice as fine as what a model is shown, so a bilinear filter will do:
torch's, which is Pillow's to one level of 255 and takes a quarter of its time. Pillow also copies into and out of its
pictures under Python's lock, which keeps many threads at the rate of a few (benchmarks/training.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.header import CORRUPT, Header, read_header
from streetvision.engine.types import BadImage, ImageTooLarge

LIMITS = DecodeLimits()


class Canvas(NamedTuple):
    """A whole picture, squashed."""

    pixels: NDArray[np.uint8]
    """uint8 RGB [C, C, 3]."""
    width: int
    height: int
    """True size in pixels, upright."""


def read_canvas(path: Path, side: int) -> Canvas:
    """Decode a file; as `decode_canvas`, and OSError."""
    return decode_canvas(read_picture(path), side)


def read_picture(path: Path) -> bytes:
    """The file's bytes, one more than the limit at most: the decoder then refuses them."""
    with path.open("rb") as file:
        return file.read(LIMITS.max_bytes + 1)


def decode_canvas(data: bytes, side: int) -> Canvas:
    """Decode JPEG, PNG or WebP bytes to a canvas of that side; BadImage with a clause that says why not."""
    if len(data) > LIMITS.max_bytes:
        raise ImageTooLarge(f"the image is larger than {LIMITS.max_bytes} bytes")
    header = read_header(data)
    scaled = _scaled(header, side) if is_plain(header) else None
    if scaled is not None:
        return Canvas(_squashed(scaled, side), header.width, header.height)
    decoded = decode(data, size=side, limits=LIMITS, resize="squash")
    if decoded.decoded is not None:
        raise BadImage(CORRUPT)
    return Canvas(decoded.array, decoded.width, decoded.height)


def is_plain(header: Header) -> bool:
    """An upright JPEG in one scan, whole, of one component or three, within the limits."""
    whole = header.format == "JPEG" and header.scans == 1 and not header.coefficients and not header.cut
    pixels = header.width * header.height
    return whole and header.orientation == 1 and header.components in (1, 3) and 0 < pixels <= LIMITS.max_pixels


def _scaled(header: Header, side: int) -> NDArray[np.uint8] | None:
    """RGB that covers `side` both ways where the picture does; None where libjpeg-turbo so much as warns."""
    scale = next((scale for scale in (8, 4, 2) if min(header.width, header.height) >= scale * side), 1)
    height, width = -(-header.height // scale), -(-header.width // scale)
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(header.stream, "RGB", min_height=height, min_width=width)
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


def _squashed(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (side, side):
        return pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    squashed = F.interpolate(planes, size=(side, side), mode="bilinear", antialias=True)
    return np.ascontiguousarray(squashed[0].permute(1, 2, 0).numpy())  # torch would copy on every core at once
