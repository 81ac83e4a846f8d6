"""Pictures without their end: how much of one the bytes really determine, and a stream that decodes to just that.

JPEG and WebP: the decoder gets the bytes twice, once with nothing after them and once with noise. Where the two
pictures differ first, the bytes had ended: libjpeg and libwebp decode in rows of units, so what lies behind is lost.
PNG: the rows are inflated here, and what is missing becomes zero.

A progressive JPEG that was cut in a pass which only refines has all its pixels, as if saved at a lower quality, and
counts as decoded. One that lacks a first pass over any coefficient is blurred everywhere and counts as not decoded.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable

from PIL import Image, ImageChops

from streetvision.engine.header import CORRUPT, PNG_SIGNATURE, Header, png_chunks
from streetvision.engine.types import BadImage

MIN_DECODED = 0.95
"""Share of the pixels that must be there for an answer."""
_NOISE = bytes((place * 73 + 41) % 251 for place in range(251))
"""No byte of it is 0xFF, which would begin a marker."""
_END_OF_JPEG = b"\xff\xd9"
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row of each pass of an interlaced PNG, and its steps (PNG specification, 8.2)."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def check_decoded(share: float) -> float:
    """The share, if it is enough to answer; raises BadImage otherwise."""
    if share < MIN_DECODED:
        raise BadImage(CORRUPT)
    return share


def load_determined(header: Header, load: Callable[[bytes], Image.Image], scale: int) -> tuple[Image.Image, float]:
    """A JPEG or WebP file without its end at 1/`scale`, and the share of its pixels that the bytes determine."""
    if header.cut == "early":
        raise BadImage(CORRUPT)
    quiet, noisy = _jpeg_endings(header) if header.format == "JPEG" else _webp_endings(header)
    image = load(quiet)
    share = _share_alike(image, load(noisy), -(-header.unit // scale))
    if header.cut == "detail" and share < 1.0:
        # libjpeg blurs what a refining pass has not reached more than what has had none.
        return load(header.stream[: header.last_scan] + _END_OF_JPEG), 1.0
    return image, share


def _jpeg_endings(header: Header) -> tuple[bytes, bytes]:
    """With noise after the next restart marker too: at the end of an interval libjpeg looks for nothing else."""
    stream = header.stream.rstrip(b"\xff")
    found = re.findall(rb"\xff([\xd0-\xd7])", stream[header.last_scan :])
    restart = bytes((0xFF, 0xD0 | (found[-1][0] + 1 & 7 if found else 0)))
    return stream + _END_OF_JPEG, stream + _NOISE + restart + _NOISE + _END_OF_JPEG


def _webp_endings(header: Header) -> tuple[bytes, bytes]:
    """Up to the size that the file declares; a file of which most is missing is not worth the memory."""
    (size,) = struct.unpack_from("<I", header.stream, 4)
    missing = 8 + size - len(header.stream)
    if missing > len(header.stream):
        raise BadImage(CORRUPT)
    return header.stream + bytes(missing), header.stream + (_NOISE * (missing // len(_NOISE) + 1))[:missing]


def _share_alike(left: Image.Image, right: Image.Image, unit: int) -> float:
    """The share before the first difference, in rows of units that are `unit` pixels high."""
    difference = ImageChops.difference(left, right)
    box = difference.getbbox(alpha_only=False)
    if box is None:
        return 1.0
    width, height = left.size
    top = box[1]
    row = difference.crop((0, top, width, min(top + unit, height)))
    inside = row.getbbox(alpha_only=False)
    assert inside is not None  # noqa: S101 - it holds the first difference
    lost = (width - inside[0]) * row.height + width * (height - top - row.height)
    return 1.0 - lost / (width * height)


def completed_png(stream: bytes) -> tuple[bytes, float]:
    """A PNG file without its end, completed with zeros, and the share of its pixels that were there."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", stream, 16)
    if colour not in _CHANNELS:
        raise BadImage(CORRUPT)
    packed, others, cut = [], [stream[8:33]], 33
    for kind, start, end in png_chunks(stream, 33):
        cut = end
        if kind == b"IDAT":
            packed.append(stream[start + 8 : end - 4])
        else:
            others.append(stream[start:end])
    packed.append(stream[cut + 8 :])
    expected = _raw_bytes(width, height, depth * _CHANNELS[colour], bool(interlaced))
    raw = zlib.decompressobj().decompress(b"".join(packed), expected)
    share = check_decoded(len(raw) / expected)
    pixels = _chunk(b"IDAT", zlib.compress(raw.ljust(expected, b"\0"), 0))
    return PNG_SIGNATURE + b"".join([*others, pixels, _chunk(b"IEND", b"")]), share


def _raw_bytes(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Of all inflated rows, each with the byte that names its filter."""
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - left) // across), -(-(height - top) // down)) for left, top, across, down in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
