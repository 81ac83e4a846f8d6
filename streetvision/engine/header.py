"""Size and orientation of an image read from its header alone, so that limits bite before a pixel is decoded.

The walk also drops everything the pixels do not need (metadata, profiles, thumbnails, later animation frames): what is
left takes only the plain paths of the decoder, which neither warn nor inflate text.
Sources: ITU T.81 (JPEG), the PNG specification, the WebP container specification.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from streetvision.engine.exif import EXIF_PREFIX, read_orientation
from streetvision.engine.types import BadImage

ImageFormat = Literal["JPEG", "PNG", "WEBP"]
Cut = Literal["", "pixels", "detail", "early"]
"""Where a file ends before its end: among its pixels (or behind them), in a pass over a progressive JPEG that only
refines them, or before every coefficient of one has had its first pass. Empty: it is whole."""

CORRUPT = "the image is truncated or corrupt"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Stuffed bytes, restarts and padding are no segments.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_ONE_PASS = _SEQUENTIAL | {0xC9}
_MANY_SCANS = 1000
"""More are not counted: no limit allows them."""
_COMPRESSED = 0x00
"""Stands for the data of a scan, which has no marker."""
_END = b"\xff\xd9"
_SOS, _EOI, _APP0, _APP1, _APP14, _COMMENT = 0xDA, 0xD9, 0xE0, 0xE1, 0xEE, 0xFE
_METADATA_MARKERS = frozenset({*range(0xE0, 0xF0), _COMMENT}) - {_APP0, _APP14}
_WEBP_ALPHA = 0x10


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes say, and the stream that a decoder needs."""

    format: ImageFormat
    width: int
    height: int
    """Stored size in pixels, before orientation."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 when absent or malformed."""
    scans: int
    """Passes over the picture: more than one only for a progressive JPEG."""
    stream: bytes
    """The file without metadata."""
    components: int = 3
    """1 for grey, 3 for colours, 4 for inks; transparency is not counted."""
    depth: int = 8
    """Bits of a component."""
    palette: bool = False
    alpha: bool = False
    """Whether pixels may be transparent."""
    coefficients: int = 0
    """Of a JPEG in several scans, all of which are kept until the last one."""
    unit: int = 16
    """Height in pixels of the rows in which the picture is decoded."""
    cut: Cut = ""
    last_scan: int = 0
    """Where the last scan of a JPEG begins in the stream."""


def read_header(data: bytes) -> Header:
    """Read the header of a JPEG, PNG or WebP file; raises BadImage when it is none of these or is cut short."""
    if not data:
        raise BadImage("the image is empty")
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _read_jpeg(data)
        if data.startswith(PNG_SIGNATURE):
            return _read_png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _read_webp(data)
    except (struct.error, IndexError) as error:
        raise BadImage(CORRUPT) from error
    raise BadImage("the image is not a JPEG, PNG or WebP file")


def _read_jpeg(data: bytes) -> Header:
    size: tuple[int, int] | None = None
    exif = components = b""
    kept = [b"\xff\xd8"]
    buffered = True
    coding = _COMPRESSED
    last_scan = 0
    scans: list[_Scan] = []
    ended = False
    for marker, start, end in _jpeg_segments(data):
        if marker in _METADATA_MARKERS:
            if marker == _APP1 and not exif and data.startswith(EXIF_PREFIX, start + 4):
                exif = data[start + 4 : end]
            continue
        if marker in _SOF_MARKERS and size is None:
            height, width, count = struct.unpack_from(">HHB", data, start + 5)
            size, coding, components = (width, height), marker, data[start + 10 : start + 10 + 3 * count]
        if marker == _SOS:
            if len(scans) == _MANY_SCANS:
                break
            scans.append(_read_scan(data, start, sequential=coding in _ONE_PASS))
            last_scan = sum(map(len, kept))
            whole = len(scans) == 1 and 3 * len(scans[0].components) == len(components)
            if whole and coding in _ONE_PASS:
                buffered = False
            if whole and coding in _SEQUENTIAL:
                # The decoder will stop after this scan, so megabytes need not be searched for the next.
                kept.append(data[start:])
                ended = data.rfind(_END, start) >= 0
                break
        ended = marker == _EOI
        kept.append(data[start:end])
    if size is None or not scans:
        raise BadImage(CORRUPT)
    return Header(
        "JPEG",
        *size,
        read_orientation(exif),
        len(scans),
        b"".join(kept),
        components=len(components) // 3,
        coefficients=_coefficients(*size, components) if buffered else 0,
        unit=16 if ended else 8 * max([1, *(sampling & 15 for sampling in components[1::3])]),
        cut="" if ended else _cut_of(components[::3], scans),
        last_scan=last_scan,
    )


class _Scan(NamedTuple):
    """Which coefficients of which components a scan brings, and whether for the first time."""

    components: bytes
    first: int
    last: int
    refines: bool


def _read_scan(data: bytes, start: int, *, sequential: bool) -> _Scan:
    count = data[start + 4]
    components = data[start + 5 : start + 5 + 2 * count : 2]
    if sequential:
        return _Scan(components, 0, 63, refines=False)
    first, last, precision = struct.unpack_from("BBB", data, start + 5 + 2 * count)
    return _Scan(components, first, last, refines=precision >= 16)


def _cut_of(components: bytes, scans: list[_Scan]) -> Cut:
    """Where a JPEG without an end was cut, the last scan being the one that it was cut in."""
    for component in components:
        seen: set[int] = set()
        for scan in scans:
            if component in scan.components and not scan.refines:
                seen.update(range(scan.first, scan.last + 1))
        if not seen.issuperset(range(64)):
            return "early"
    return "detail" if scans[-1].refines else "pixels"


def _coefficients(width: int, height: int, components: bytes) -> int:
    """How many DCT coefficients a frame of that size has; `components` is its specification, three bytes each."""
    factors = [(sampling >> 4, sampling & 15) for sampling in components[1::3]]
    if not factors or not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in factors):
        raise BadImage(CORRUPT)
    widest, highest = max(across for across, _ in factors), max(down for _, down in factors)
    units = -(-width // (8 * widest)) * -(-height // (8 * highest))
    return 64 * units * sum(across * down for across, down in factors)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment up to the end of image, compressed data under a marker of its own.

    What follows the end of image (a second picture, a video) is never seen. Where the end is missing the last scan
    takes the rest, or a segment that was cut short is left out.
    """
    scanned = False
    found = _JPEG_MARKER.search(data, 2)
    while found:
        marker, start = found[1][0], found.end() - 2
        if marker == _EOI:
            yield marker, start, start + 2
            return
        if scanned and len(data) < start + 4:
            return
        (length,) = struct.unpack_from(">H", data, start + 2)
        end = start + 2 + length
        if scanned and end > len(data):
            return
        if length < 2 or end > len(data):
            raise BadImage(CORRUPT)
        yield marker, start, end
        scanned |= marker == _SOS
        found = _JPEG_MARKER.search(data, end)
        if marker == _SOS:
            yield _COMPRESSED, end, found.start() if found else len(data)


def _read_png(data: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR":
        raise BadImage(CORRUPT)
    # A colour key of 16 bits cannot be compared with the 8 bits that are decoded.
    wanted = {b"PLTE", b"IDAT", b"IEND"} | ({b"tRNS"} if depth <= 8 else set())
    exif = b""
    kept = [data[:33]]
    kind = b""
    transparent = False
    end = 33
    for kind, start, end in png_chunks(data, 33):
        if kind == b"eXIf":
            exif = data[start + 8 : end - 4]
        if kind in wanted:
            kept.append(data[start:end])
            transparent |= kind == b"tRNS"
    if kind != b"IEND" and data[end + 4 : end + 8] == b"IDAT":
        kept.append(data[end:])
    return Header(
        "PNG",
        width,
        height,
        read_orientation(exif),
        1,
        b"".join(kept),
        components=1 if colour in (0, 4) else 3,
        depth=depth,
        palette=colour == 3,
        alpha=colour in (4, 6) or transparent,
        cut="" if kind == b"IEND" else "pixels",
    )


def png_chunks(data: bytes, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of each whole chunk up to and including IEND."""
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            return
        kind = data[position + 4 : position + 8]
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end


def _read_webp(data: bytes) -> Header:
    exif = b""
    size: tuple[int, int] | None = None
    alpha = False
    for kind, start, end in _webp_chunks(data):
        if size is None:
            size, alpha = _webp_size(kind, data[start:end])
        if kind == b"EXIF":
            exif = data[start:end]
    if size is None:
        raise BadImage(CORRUPT)
    cut: Cut = "pixels" if 8 + struct.unpack_from("<I", data, 4)[0] > len(data) else ""
    return Header("WEBP", *size, read_orientation(exif), 1, data, alpha=alpha, cut=cut)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the payload of each chunk; the last one may be cut short."""
    position = 12
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        start = position + 8
        yield data[position : position + 4], start, min(start + length, len(data))
        position = start + length + (length & 1)


def _webp_size(kind: bytes, payload: bytes) -> tuple[tuple[int, int], bool]:
    """Canvas size, and whether it has transparency, from the first chunk: extended, lossy or lossless."""
    if kind == b"VP8X":
        low = struct.unpack_from("<HBHB", payload, 4)
        return ((low[0] | low[1] << 16) + 1, (low[2] | low[3] << 16) + 1), bool(payload[0] & _WEBP_ALPHA)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", payload, 6)
        return (width & 0x3FFF, height & 0x3FFF), False
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", payload, 1)
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)
    raise BadImage(CORRUPT)
