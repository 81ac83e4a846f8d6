"""The orientation that a camera wrote into a picture (TIFF 6.0, EXIF 2.32), read from hostile bytes."""

from __future__ import annotations

import struct

EXIF_PREFIX = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
"""TIFF's integer types (BYTE, SHORT, LONG and the signed ones) as struct's codes."""


def read_orientation(exif: bytes) -> int:
    """EXIF orientation (1 to 8) from a TIFF block, with or without its Exif prefix; 1 when it holds none.

    The standard says one SHORT; any integer type and count is read, since cameras and editors write them.
    """
    tiff = exif.removeprefix(EXIF_PREFIX)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            (tag,) = struct.unpack_from(f"{order}H", tiff, entry)
            if tag == _ORIENTATION_TAG:
                value = _first_integer(tiff, entry, order)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _first_integer(tiff: bytes, entry: int, order: str) -> int:
    """The first value of a directory entry, inline or elsewhere; 0 when it has none or is no integer."""
    kind, count = struct.unpack_from(f"{order}HI", tiff, entry + 2)
    code = _TIFF_INTEGERS.get(kind)
    if code is None or count == 0:
        return 0
    place = entry + 8
    if count * struct.calcsize(f"{order}{code}") > 4:
        (place,) = struct.unpack_from(f"{order}I", tiff, place)
    return int(struct.unpack_from(f"{order}{code}", tiff, place)[0])
