"""Is this a picture to learn from? Decoded once, within the miner's own limits, before it may enter a dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.header import read_header
from streetvision.engine.types import BadImage

SMALLEST_SIDE = 32
_SIDE, _KEPT = 32, 8
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_DAMAGED = "the image is damaged within"


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is kept of a picture's pixels."""

    width: int
    height: int
    """Upright, in pixels."""
    suffix: str
    """That its file should have."""
    fingerprint: int
    """64 bits, see `fingerprint`."""


def check_picture(data: bytes) -> PictureFacts:
    """Decode it whole; raises BadImage for what the miner could not answer, and for what is incomplete or damaged.

    Stricter than serving: a validator's picture that lacks its last rows gets an answer, but teaches nothing.
    """
    decoded = decode(data, size=_SIDE, limits=DecodeLimits(), resize="squash")
    if decoded.decoded is not None and decoded.decoded < 1.0:
        raise BadImage("the image ends too early")
    if min(decoded.width, decoded.height) < SMALLEST_SIDE:
        raise BadImage(f"the image is smaller than {SMALLEST_SIDE} pixels")
    if decoded.format == "JPEG":
        _check_jpeg(data)
    return PictureFacts(decoded.width, decoded.height, _SUFFIX[decoded.format], fingerprint(decoded.array))


def _check_jpeg(data: bytes) -> None:
    """Pillow hides libjpeg's warnings: of bytes lost in the middle, only libjpeg-turbo's strict reading tells."""
    header = read_header(data)
    if header.components not in (1, 3):
        return
    try:
        simplejpeg.decode_jpeg(header.stream, "GRAY", fastdct=True, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        if "Corrupt JPEG data" in str(error):
            raise BadImage(_DAMAGED) from error


def fingerprint(pixels: NDArray[np.uint8]) -> int:
    """The 64-bit perceptual hash of an RGB picture [32, 32, 3]: signs of its lowest DCT terms about their median.

    The usual pHash (Zauner 2010): scaling, compression and brightness change a few bits, another scene about half.
    """
    luma = pixels.astype(np.float32) @ _LUMA
    lowest = (_COSINES @ luma @ _COSINES.T).ravel()
    bits = lowest > np.median(lowest[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _cosines() -> NDArray[np.float32]:
    """[8, 32]: the first rows of the DCT-II, unscaled, since only signs about a median count."""
    k, n = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None, :]
    return np.asarray(np.cos(np.pi * k * (2 * n + 1) / (2 * _SIDE)), np.float32)


_COSINES = _cosines()
