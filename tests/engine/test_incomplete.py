"""Pictures without their end: answered when 95 % of the pixels are there, by what was decoded and not by bytes."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from streetvision.engine.decode import DecodedImage, DecodeLimits, decode
from streetvision.engine.types import BadImage

SIDE = 320
LIMITS = DecodeLimits()
NOISE = np.random.default_rng(5)
COARSE = Image.fromarray(NOISE.integers(0, 256, (24, 24, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
PICTURE = Image.fromarray((np.asarray(COARSE) // 2 + NOISE.integers(0, 40, (SIDE, SIDE, 1), np.uint8)).astype(np.uint8))


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def interlaced() -> bytes:
    """An RGB PNG in Adam7's seven passes."""
    pixels, rows = np.asarray(PICTURE), b""
    for left, top, across, down in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::across])
    rows += b"".join(b"\0" + row.tobytes() for row in pixels[1::2])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 1))
    packed = zlib.compress(rows)
    parts = b"".join(chunk(b"IDAT", packed[start : start + 8192]) for start in range(0, len(packed), 8192))
    return b"\x89PNG\r\n\x1a\n" + head + parts + chunk(b"IEND", b"")


def at_model_size(data: bytes) -> DecodedImage:
    return decode(data, size=SIDE, limits=LIMITS, resize="squash")


FILES: dict[str, Callable[[], bytes]] = {
    "4:2:0": lambda: encode(PICTURE, quality=85),
    "4:4:4": lambda: encode(PICTURE, quality=85, subsampling=0),
    "grey": lambda: encode(PICTURE.convert("L"), quality=85),
    "restarts": lambda: encode(PICTURE, quality=85, restart_marker_blocks=7),
    "cmyk": lambda: encode(PICTURE.convert("CMYK"), quality=85),
    "png": lambda: encode(PICTURE, "PNG"),
    "png grey": lambda: encode(PICTURE.convert("L"), "PNG"),
    "png palette": lambda: encode(PICTURE.convert("P"), "PNG"),
    "png alpha": lambda: encode(PICTURE.convert("RGBA"), "PNG"),
    "png interlaced": interlaced,
    "webp": lambda: encode(PICTURE, "WEBP", quality=85),
}


def without_end(name: str) -> bytes:
    """Less its end marker, or IEND."""
    return FILES[name]()[: -12 if name.startswith("png") else -2]


WITHOUT_END: dict[str, Callable[[], bytes]] = {
    **{name: partial(without_end, name) for name in FILES if name != "webp"},
    "progressive": lambda: encode(PICTURE, progressive=True)[:-2],
    "progressive grey": lambda: encode(PICTURE.convert("L"), progressive=True)[:-2],
    "a comment's end": lambda: encode(PICTURE, "WEBP", quality=85, xmp=b"x" * 99)[:-40],
}


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 2}], ids=["rows", "blocks"])
@pytest.mark.parametrize("place", [-1, 0, 1, 2], ids=["before", "at", "within", "after"])
def test_a_cut_beside_a_restart_marker_is_no_end(options: dict[str, Any], place: int) -> None:
    """All that an interval holds is there, and a decoder looks for the next marker instead of complaining."""
    data = encode(PICTURE, quality=85, **options)
    markers = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    for marker in markers[:: max(1, len(markers) // 20)]:
        if marker < markers[int(0.9 * len(markers))]:
            with pytest.raises(BadImage):
                at_model_size(data[: marker + place])
    if len(markers) > 20:  # the last row is a twentieth of the picture
        assert at_model_size(data[: markers[-1] + place]).decoded == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("name", WITHOUT_END)
def test_a_picture_that_lacks_nothing_but_its_end_has_all_its_pixels(name: str) -> None:
    data = WITHOUT_END[name]()
    answer = at_model_size(data)
    assert answer.decoded == 1.0
    end = b"\xff\xd9" if data.startswith(b"\xff\xd8") else chunk(b"IEND", b"")
    whole = at_model_size(data + (b"x" * 40 if data.startswith(b"RIFF") else end))
    assert whole.decoded is None
    np.testing.assert_array_equal(answer.array, whole.array)


def truth(part: NDArray[np.uint8], whole: NDArray[np.uint8]) -> float:
    """The share of pixels that are as in the whole picture."""
    return float((np.abs(part.astype(int) - whole).max(axis=2) <= 2).mean())


@pytest.mark.parametrize("name", FILES)
def test_what_is_answered_is_there(name: str) -> None:
    data = FILES[name]()
    whole, shares = at_model_size(data).array, []
    for lost in range(2, len(data) // 8, len(data) // 90):
        try:
            answer = at_model_size(data[:-lost])
        except BadImage:
            continue
        assert answer.decoded is not None
        shares.append(answer.decoded)
        assert 0.95 <= answer.decoded <= 1.0
        assert truth(answer.array, whole) >= answer.decoded - 0.02
    assert shares == sorted(shares, reverse=True)
    assert 2 <= len(shares) <= 8  # of eleven cuts, up to an eighth of the file


@pytest.mark.parametrize("side", [SIDE, 40])
def test_the_way_to_the_pixels_does_not_change_the_verdict(side: int) -> None:
    data = FILES["4:2:0"]()

    def share(lost: int) -> float | None:
        try:
            return decode(data[:-lost], size=side, limits=LIMITS, resize="squash").decoded
        except BadImage:
            return 0.0

    shares = [share(lost) for lost in range(2, len(data) // 8, len(data) // 60)]
    full = [at_model_size(data[:-lost]).decoded for lost in (2, len(data) // 60 + 2)]
    assert shares[:2] == pytest.approx(full, abs=0.01)
    assert shares[-1] == 0.0


def scans(data: bytes) -> list[int]:
    """Where each scan of a JPEG begins."""
    return [place for place in range(len(data)) if data.startswith(b"\xff\xda", place)]


def test_a_progressive_picture_counts_once_every_coefficient_has_had_its_first_pass() -> None:
    data = encode(COARSE, progressive=True)
    begins = scans(data)
    assert len(begins) == 10
    last_first_pass = begins[4]  # luma 6 to 63; refinements follow
    whole = at_model_size(data).array
    for cut in (begins[1] + 50, begins[3] + 50, last_first_pass - 2):
        with pytest.raises(BadImage):
            at_model_size(data[:cut])
    for cut in (begins[5] - 1, begins[5] + 30, begins[5] + 800, begins[7], begins[9] + 5, len(data) - 2):
        answer = at_model_size(data[:cut])
        assert answer.decoded is not None
        assert answer.decoded >= 0.95
        assert np.abs(answer.array.astype(int) - whole).mean() < 4.0


def test_a_grey_end_that_looks_like_what_the_decoder_fills_in_counts_as_decoded() -> None:
    picture = PICTURE.copy()
    picture.paste((128, 128, 128), (0, SIDE // 2, SIDE, SIDE))
    assert at_model_size(encode(picture)[:-2]).decoded == 1.0


def test_a_cut_through_a_stuffed_byte_is_measured_all_the_same() -> None:
    data = FILES["4:4:4"]()
    at = data.index(b"\xff\x00", len(data) // 2) + 1
    with pytest.raises(BadImage):
        at_model_size(data[:at])


@pytest.mark.parametrize("size", [2**32 - 1, 2**31, 10**8])
def test_a_size_that_a_file_only_claims_takes_no_memory(size: int) -> None:
    data = bytearray(FILES["webp"]())
    data[4:8] = struct.pack("<I", size)
    with pytest.raises(BadImage):
        at_model_size(bytes(data))


def test_a_bomb_without_its_end_inflates_no_further_than_its_header_says() -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(50_000_000)))
    assert decode(data, size=8, limits=LIMITS, resize="squash").decoded == 1.0


def test_a_jpeg_of_a_million_scans_is_refused_at_once() -> None:
    data = encode(PICTURE, progressive=True)
    scan = data[scans(data)[-1] :][:12]
    with pytest.raises(BadImage, match="scans"):
        at_model_size(data[:-2] + scan * 300_000)
