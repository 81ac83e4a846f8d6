"""From the bytes of a photo to the square uint8 array the model eats, cheaply and without trusting a byte of them.

Choices, each made once for training and serving alike:
- Resizing is Pillow's bicubic, which antialiases when it shrinks.
- A JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that keeps at least `DRAFT_MARGIN` times the model's side; the
  rest of the way is bicubic. On photos of 4032x3024 this stays within `DRAFT_TOLERANCE` of a full decode.
- Transparency is laid over white, as a page would show it. A colour key (tRNS) in a 16-bit PNG is ignored.
- ICC profiles are ignored: the numbers are used as stored, which is how training sets and other miners read them.
- Of an animation the first frame counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, cast, get_args

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from streetvision.engine.header import CORRUPT, Header, ImageFormat, read_header
from streetvision.engine.types import BadImage, ImageArray

ResizeRule = Literal["squash", "crop"]
"""`squash`: the whole picture becomes the square. `crop`: the central square of the short side."""

DRAFT_MARGIN = 1.5
"""Scaled decoding averages blocks; 1.5 times the target leaves bicubic enough to hide that (benchmarks/decode.py)."""
DRAFT_TOLERANCE = (1.0, 12)
"""Mean and largest difference, in levels of 255, from a full decode of a photo."""

_BACKGROUND = (255, 255, 255, 255)
# Called directly: Image.open would try other formats, and its warnings pass through process-wide filters.
_OPENERS: dict[ImageFormat, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}
# What Pillow raises on corrupt bytes; found by fuzzing and by reading its plugins.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What an image may cost. All three are checked before a pixel is decoded."""

    max_bytes: int = 32 * 2**20
    """Encoded size; a 4032x3024 photo is about 25 MB as PNG."""
    max_pixels: int = 2**24
    """Width times height; 4032x3024 is 12.2 million. Decoding takes up to 16 bytes a pixel (WebP)."""
    max_scans: int = 64
    """Scans of a progressive JPEG (encoders write about 10): each one costs a pass over the whole picture."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture ready for the model."""

    array: ImageArray
    """uint8 RGB [size, size, 3], contiguous."""
    width: int
    height: int
    """Size as sent, in pixels, after EXIF orientation."""
    format: ImageFormat


def decode(data: bytes, *, size: int, limits: DecodeLimits, resize: str) -> DecodedImage:
    """Decode JPEG, PNG or WebP bytes to a `size` by `size` RGB array; all other bytes raise BadImage."""
    rule = resize_rule(resize)
    if len(data) > limits.max_bytes:
        raise BadImage(f"the image is larger than {limits.max_bytes} bytes")
    header = read_header(data)
    _check(header, limits)
    try:
        square = _square(header, size, rule)
    except _DECODER_ERRORS as error:
        raise BadImage(CORRUPT) from error
    upright = square.transpose(_TRANSPOSE[header.orientation]) if header.orientation in _TRANSPOSE else square
    width, height = header.width, header.height
    if header.orientation >= 5:
        width, height = height, width
    return DecodedImage(np.ascontiguousarray(upright, dtype=np.uint8), width, height, header.format)


def resize_rule(name: str) -> ResizeRule:
    """The rule of that name, as a checkpoint's json gives it; raises ValueError for any other."""
    if name not in get_args(ResizeRule):
        raise ValueError(f"unknown resize rule {name!r}: use one of {', '.join(get_args(ResizeRule))}")
    return cast(ResizeRule, name)


def _check(header: Header, limits: DecodeLimits) -> None:
    if header.width == 0 or header.height == 0:
        raise BadImage("the image has no pixels")
    if header.width * header.height > limits.max_pixels:
        raise BadImage(f"the image has more than {limits.max_pixels} pixels")
    if header.scans > limits.max_scans:
        raise BadImage(f"the image has more than {limits.max_scans} progressive scans")


def _square(header: Header, size: int, rule: ResizeRule) -> Image.Image:
    """Decode and resize; orientation is left for the small result, where it is cheap."""
    with _OPENERS[header.format](BytesIO(header.stream)) as image:
        if image.size != (header.width, header.height):
            raise BadImage(CORRUPT)
        # One block: the decoder need not suspend and resume.
        image.decodermaxblock = max(len(header.stream), 1)
        box = _draft(image, size)
        image.load()
        source = _resizable(image)
    target = (size, size)
    if source.size != target:
        region = box if rule == "squash" else _central_square(box)
        source = source.resize(target, Image.Resampling.BICUBIC, box=region)
    return _flatten(source)


def _draft(image: ImageFile, size: int) -> tuple[float, float, float, float]:
    """Ask a JPEG for a smaller decode; returns the picture's box in the pixels that will come."""
    least = int(size * DRAFT_MARGIN)
    drafted = image.draft(None, (least, least)) if isinstance(image, JpegImageFile) else None
    return drafted[1] if drafted else (0.0, 0.0, *image.size)


def _central_square(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    _, _, width, height = box
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _resizable(image: Image.Image) -> Image.Image:
    """L, RGB or RGBA with the same picture: modes in which bicubic is right (palette and 1-bit would not be)."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if "transparency" in image.info or image.mode in {"LA", "RGBA", "PA"}:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, _BACKGROUND), image)
    return image if image.mode == "RGB" else image.convert("RGB")
