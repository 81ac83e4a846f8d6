"""From the bytes of a photo to the square uint8 array the model eats, cheaply and without trusting a byte of them.

Choices, each made once for training and serving alike:
- Resizing is Pillow's bicubic, which antialiases when it shrinks, unless a converted model says another filter.
- A JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that keeps at least `DRAFT_MARGIN` times the model's side; the
  rest of the way is bicubic. On photos of 4032x3024 this stays within `DRAFT_TOLERANCE` of a full decode.
- A JPEG of exactly the model's size goes straight into an array (through simplejpeg), with the same pixels.
- Each look at a picture (test-time views) is decoded at the scale that it needs by itself, so that its pixels do not
  depend on what else is asked for. Looks of one scale share a decode, and one decoded picture is held at a time.
- Transparency is laid over white, as a page would show it. A colour key (tRNS) in a 16-bit PNG is ignored.
- ICC profiles are ignored: the numbers are used as stored, which is how training sets and other miners read them.
- Of an animation the first frame counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import groupby

import numpy as np
import simplejpeg
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from streetvision.base.defaults import DECODE_MEMORY_MIB, MAX_BODY_MIB, MAX_MEGAPIXELS, MIB
from streetvision.engine.decode_memory import decoding_bytes
from streetvision.engine.header import CORRUPT, Header, ImageFormat, read_header
from streetvision.engine.incomplete import check_decoded, completed_png, load_determined
from streetvision.engine.types import BadImage, ImageArray, ImageTooLarge
from streetvision.engine.views import Box, Eye, Frame, Look, ViewPass, plain_look, resize_rule
from streetvision.models.views import Flip


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


DRAFT_MARGIN = 1.5
"""Scaled decoding averages blocks; 1.5 times the target leaves bicubic enough to hide that (benchmarks/decode.py)."""
DRAFT_TOLERANCE = (1.0, 12)
"""Mean and largest difference, in levels of 255, from a full decode of a photo."""
Hold = Callable[[int], AbstractContextManager[None]]
"""Holds so many bytes of memory while it is entered, or raises because they are not free."""

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
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation."""
_QUARTER_TURNS: dict[Flip, int] = {"rot90": 1, "rot180": 2, "rot270": 3}
_MIRRORED_AXIS: dict[Flip, int] = {"vflip": 0, "hflip": 1}


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What an image may cost. All are checked before a pixel is decoded."""

    max_bytes: int = MAX_BODY_MIB * MIB
    """Encoded size; a 4032x3024 photo is about 25 MB as PNG, one of 50 megapixels 12 to 25 MB as JPEG."""
    max_pixels: int = MAX_MEGAPIXELS * 1_000_000
    """Width times height: a bound on time. Phones take photos of 12, 24, 50 and 64 million."""
    max_memory: int = DECODE_MEMORY_MIB * MIB
    """Bytes that decoding may take at the scale that is needed (decode_memory.py): for 50 megapixels 6 MiB and the file
    as a plain JPEG at 1/8, 148 MiB as a progressive one, 198 MiB as PNG."""
    max_scans: int = 64
    """Scans of a progressive JPEG (encoders write about 10): each one costs a pass over the whole picture."""
    max_work: int = 2**30
    """Scans times pixels; 16 scans are always let through."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture ready for the model."""

    array: ImageArray
    """uint8 RGB [size, size, 3], contiguous: the first look."""
    width: int
    height: int
    """Size as sent, in pixels, after EXIF orientation."""
    format: ImageFormat
    others: tuple[ImageArray, ...] = ()
    """The further looks, in order; flipped ones share memory with what they mirror."""
    passes: tuple[ViewPass, ...] = ()
    """What each look is for, the first included; empty where nobody asked for views."""
    decoded: float | None = None
    """Share of the pixels that could be decoded of a file without its end; None for a whole file."""


def decode(data: bytes, *, size: int, limits: DecodeLimits, resize: str) -> DecodedImage:
    """Decode JPEG, PNG or WebP bytes to a `size` by `size` RGB array; all other bytes raise BadImage."""
    eye = Eye(size, resize_rule(resize))
    return decode_looks(data, lambda width, height: (plain_look(width, height, eye),), limits=limits)


def decode_looks(
    data: bytes,
    looks: Callable[[int, int], Sequence[Look]],
    *,
    limits: DecodeLimits,
    hold: Hold = lambda _: nullcontext(),
) -> DecodedImage:
    """Decode to all that `looks` asks for, given the upright width and height; bytes of no picture raise BadImage.

    The pixels are decoded within `hold` of the bytes that this takes.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"the image is larger than {limits.max_bytes} bytes")
    header = read_header(data)
    _check(header, limits)
    turned = header.orientation >= 5
    width, height = (header.height, header.width) if turned else (header.width, header.height)
    wanted = looks(width, height)
    decodes = _decodes(header, list(dict.fromkeys(look.frame for look in wanted)))
    memory = _memory(header, decodes)
    if memory > limits.max_memory:
        raise ImageTooLarge(f"the image takes {memory >> 20} MiB to decode, more than {limits.max_memory >> 20}")
    try:
        with hold(memory):
            frames, share = _frames(header, decodes)
    except _DECODER_ERRORS as error:
        raise BadImage(CORRUPT) from error
    first, *others = (_flipped(frames[look.frame], look.flip) for look in wanted)
    return DecodedImage(np.ascontiguousarray(first), width, height, header.format, tuple(others), decoded=share)


def _check(header: Header, limits: DecodeLimits) -> None:
    if header.width == 0 or header.height == 0:
        raise BadImage("the image has no pixels")
    if header.width * header.height > limits.max_pixels:
        raise ImageTooLarge(f"the image has more than {limits.max_pixels} pixels")
    scans = min(limits.max_scans, max(16, limits.max_work // (header.width * header.height)))
    if header.scans > scans:
        raise BadImage(f"the image has more than {scans} progressive scans")


def _decodes(header: Header, frames: list[Frame]) -> list[tuple[int, list[Frame]]]:
    """The scales that are needed, each with its frames: one decode each."""
    if len(frames) == 1:
        return [(_draft_scale(header, frames[0]), frames)]
    scale_of = partial(_draft_scale, header)
    return [(scale, list(alike)) for scale, alike in groupby(sorted(frames, key=scale_of), key=scale_of)]


def _memory(header: Header, decodes: list[tuple[int, list[Frame]]]) -> int:
    """Bytes for all decodes: one picture is held at a time, their arrays together."""
    arrays = sum(3 * frame.size**2 for _, frames in decodes for frame in frames)
    return arrays + max(decoding_bytes(header, frames, scale) for scale, frames in decodes)


def _frames(header: Header, decodes: list[tuple[int, list[Frame]]]) -> tuple[dict[Frame, ImageArray], float | None]:
    """Decode once for each scale that is needed; with the share that could be decoded of a file without its end."""
    (_, first), *_ = decodes
    if len(decodes) == len(first) == 1 and _is_stored_as(first[0], header):
        pixels = decode_plain(header)
        if pixels is not None:
            return {first[0]: pixels}, None
    made: dict[Frame, ImageArray] = {}
    shares: list[float] = []
    for scale, frames in decodes:
        source, extent, share = _source(header, _least(header, frames[0]), scale)
        made |= {frame: _cut(source, extent, header.orientation, frame) for frame in frames}
        shares.append(share)
    return made, min(shares) if header.cut else None


def _is_stored_as(frame: Frame, header: Header) -> bool:
    """Whether a JPEG holds exactly what the frame shows: whole, upright, of its size."""
    if header.format != "JPEG" or header.cut or header.orientation != 1 or frame.box != (0.0, 0.0, 1.0, 1.0):
        return False
    return header.width == header.height == frame.inner == frame.size


def _source(header: Header, least: tuple[int, int], scale: int) -> tuple[Image.Image, tuple[float, float], float]:
    """The picture as stored, at least that large, its size in its own pixels, and the share that could be decoded."""
    load = partial(_load, header, least)
    if not header.cut:
        image, share = load(header.stream), 1.0
    elif header.format == "PNG":
        stream, share = completed_png(header.stream)
        image = load(stream)
    else:
        image, share = load_determined(header, load, scale)
        check_decoded(share)
    width, height = header.width / scale, header.height / scale
    return _resizable(image), (width, height), share


def _load(header: Header, least: tuple[int, int], stream: bytes) -> Image.Image:
    """Decode; orientation is left for the small results, where it is cheap."""
    with _OPENERS[header.format](BytesIO(stream)) as image:
        if image.size != (header.width, header.height):
            raise BadImage(CORRUPT)
        # One block: the decoder need not suspend and resume.
        image.decodermaxblock = max(len(stream), 1)
        if isinstance(image, JpegImageFile):
            image.draft(None, least)
        image.load()
        # The copy leaves the decoder's canvases behind.
        return image.copy() if header.format == "WEBP" else image


def _cut(source: Image.Image, extent: tuple[float, float], orientation: int, frame: Frame) -> ImageArray:
    """The upright frame, uint8 RGB [size, size, 3]."""
    (width, height), (left, top, right, bottom) = extent, _stored(frame.box, orientation)
    box = (left * width, top * height, min(right * width, source.width), min(bottom * height, source.height))
    target = (frame.inner, frame.inner)
    if source.size != target or frame.box != (0.0, 0.0, 1.0, 1.0):
        source = source.resize(target, Image.Resampling[frame.resample.upper()], box=box)
    square = _flatten(source)
    upright = square.transpose(TRANSPOSE[orientation]) if orientation in TRANSPOSE else square
    array: ImageArray = np.ascontiguousarray(upright, dtype=np.uint8)
    border = frame.size - frame.inner
    before = border // 2
    edges = (before, border - before)
    return np.pad(array, (edges, edges, (0, 0)), mode="symmetric") if border else array


def _flipped(square: ImageArray, flip: Flip) -> ImageArray:
    """A look at the same memory."""
    if flip in _MIRRORED_AXIS:
        return np.flip(square, _MIRRORED_AXIS[flip])
    return np.rot90(square, _QUARTER_TURNS.get(flip, 0))


def _stored(box: Box, orientation: int) -> Box:
    """Where a box of the upright picture lies in the picture as stored."""
    left, top, right, bottom = box
    if orientation >= 5:
        left, top, right, bottom = top, left, bottom, right
    if orientation in (2, 3, 7, 8):
        left, right = 1.0 - right, 1.0 - left
    if orientation in (3, 4, 6, 7):
        top, bottom = 1.0 - bottom, 1.0 - top
    return left, top, right, bottom


def _least(header: Header, frame: Frame) -> tuple[int, int]:
    """The smallest decode of the whole picture, in pixels as stored, that leaves the frame sharp."""
    left, top, right, bottom = _stored(frame.box, header.orientation)
    if (right - left, bottom - top) == (1.0, 1.0):
        return int(frame.size * DRAFT_MARGIN), int(frame.size * DRAFT_MARGIN)
    return int(frame.size * DRAFT_MARGIN / (right - left)), int(frame.size * DRAFT_MARGIN / (bottom - top))


def _draft_scale(header: Header, frame: Frame) -> int:
    """The scale that Pillow's draft will take for this frame; 1 for what is no JPEG."""
    if header.format != "JPEG":
        return 1
    least = _least(header, frame)
    room = min(header.width // least[0], header.height // least[1])
    return next((scale for scale in (8, 4, 2) if room >= scale), 1)


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
