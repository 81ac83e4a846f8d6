"""The short way of a JPEG into an array gives Pillow's pixels, bit for bit, or leaves the bytes to Pillow."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from streetvision.engine import decode as decoding
from streetvision.engine.decode import DecodeLimits, decode, decode_plain
from streetvision.engine.header import read_header
from streetvision.engine.types import BadImage

LIMITS = DecodeLimits()
SIDE = 61  # no multiple of a block: the edges count


def encode(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def picture(side: int = SIDE, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (11, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


ENCODINGS: dict[str, Callable[[], bytes]] = {
    "4:4:4": lambda: encode(picture(), subsampling=0, quality=95),
    "4:2:2": lambda: encode(picture(), subsampling=1),
    "4:2:0": lambda: encode(picture(), subsampling=2),
    "coarse": lambda: encode(picture(), quality=3),
    "progressive": lambda: encode(picture(), progressive=True),
    "own Huffman tables": lambda: encode(picture(), optimize=True),
    "restarts": lambda: encode(picture(), restart_marker_blocks=3),
    "RGB": lambda: encode(picture(), keep_rgb=True),
    "grey": lambda: encode(picture().convert("L")),
    "challenge": lambda: encode(picture(224), quality=85),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_pixels_are_pillows(name: str) -> None:
    data = ENCODINGS[name]()
    pixels = decode_plain(read_header(data))
    assert pixels is not None
    np.testing.assert_array_equal(pixels, by_pillow(data))
    answer = decode(data, size=len(pixels), limits=LIMITS, resize="crop")
    np.testing.assert_array_equal(answer.array, pixels)
    assert answer.array.flags.c_contiguous


def test_a_picture_of_the_model_size_does_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("Pillow was asked")

    data, turned = ENCODINGS["4:2:0"](), Image.Exif()
    turned[0x0112] = 6
    monkeypatch.setitem(decoding._OPENERS, "JPEG", never)
    decode(data, size=SIDE, limits=LIMITS, resize="squash")
    for other in (encode(picture(), exif=turned), encode(picture(SIDE + 1))):
        with pytest.raises(AssertionError, match="Pillow was asked"):
            decode(other, size=SIDE, limits=LIMITS, resize="squash")


def test_four_inks_are_left_to_pillow() -> None:
    data = encode(picture().convert("CMYK"))
    assert decode_plain(read_header(data)) is None
    np.testing.assert_array_equal(decode(data, size=SIDE, limits=LIMITS, resize="squash").array, by_pillow(data))


def test_what_libjpeg_only_warns_of_is_answered_all_the_same() -> None:
    data = ENCODINGS["restarts"]()
    at = data.index(b"\xff\xd3")
    damaged = data[:at] + data[at + 2 :]
    assert decode_plain(read_header(damaged)) is None
    np.testing.assert_array_equal(decode(damaged, size=SIDE, limits=LIMITS, resize="squash").array, by_pillow(damaged))


def test_a_file_cut_short_is_refused() -> None:
    data = ENCODINGS["4:2:0"]()
    for end in range(len(data) // 2, len(data) * 9 // 10, 97):
        with pytest.raises(BadImage):
            decode(data[:end], size=SIDE, limits=LIMITS, resize="squash")


@pytest.mark.parametrize("side", [SIDE - 8, SIDE + 8, 60_000])
def test_a_frame_of_another_size_than_was_checked_is_never_written(side: int) -> None:
    data = ENCODINGS["4:2:0"]()
    header = read_header(data)
    at = header.stream.index(b"\xff\xc0")
    lied = header.stream[: at + 5] + struct.pack(">HH", side, side) + header.stream[at + 9 :]
    assert decode_plain(replace(header, stream=lied)) is None


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(ENCODINGS)), st.data())
def test_damage_is_pillows_to_judge_or_looks_the_same_to_both(name: str, data: st.DataObject) -> None:
    broken = bytearray(ENCODINGS[name]())
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(2, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(broken))
    except BadImage:
        return
    if header.width * header.height > 250_000:
        return
    pixels = decode_plain(header)
    if pixels is None:
        return
    try:
        expected = by_pillow(header.stream)
    except UnidentifiedImageError:  # its own reading of the header is stricter than libjpeg's, about once in 100,000
        return
    np.testing.assert_array_equal(pixels, expected)
