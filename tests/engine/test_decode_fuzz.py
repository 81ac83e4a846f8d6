"""Whatever the bytes, decode answers or raises BadImage; pytest turns any warning into a failure here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode
from streetvision.engine.exif import read_orientation
from streetvision.engine.types import BadImage

LIMITS = DecodeLimits(max_pixels=200_000)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def seeds() -> list[bytes]:
    """One small file of each kind, with metadata so that corruption reaches its parsers."""
    noise = Image.effect_noise((48, 36), 50)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0
    colour, alpha, frames = noise.convert("RGB"), noise.convert("RGBA"), [noise.convert("RGB")] * 2
    return [
        encode(colour, "JPEG", exif=exif, icc_profile=b"p" * 200, comment=b"c"),
        encode(colour, "JPEG", progressive=True, exif=exif),
        encode(noise.convert("CMYK"), "JPEG", dpi=(72, 72)),
        encode(colour, "MPO", save_all=True, append_images=frames),
        encode(alpha, "PNG", exif=exif, icc_profile=b"p" * 200),
        encode(noise.convert("P"), "PNG", transparency=3),
        encode(Image.fromarray(np.asarray(noise).astype(np.uint16) * 200), "PNG"),
        encode(frames[0], "PNG", save_all=True, append_images=frames),
        encode(colour, "WEBP", exif=exif),
        encode(alpha, "WEBP", lossless=True),
        encode(frames[0], "WEBP", save_all=True, append_images=[alpha.rotate(30).convert("RGB")]),
    ]


SEEDS = seeds()


def survives(data: bytes) -> None:
    try:
        decoded = decode(data, size=32, limits=LIMITS, resize="squash")
    except BadImage as refusal:
        assert str(refusal).startswith("the image")
        assert len(str(refusal)) < 80
    else:
        assert decoded.array.shape == (32, 32, 3)
        assert decoded.decoded is None or 0.95 <= decoded.decoded <= 1.0


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_each_seed_is_a_good_picture(seed: bytes) -> None:
    assert decode(seed, size=32, limits=LIMITS, resize="crop").array.shape == (32, 32, 3)


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_every_truncation_is_answered_or_refused(seed: bytes) -> None:
    for end in range(0, len(seed), max(1, len(seed) // 150)):
        survives(seed[:end])


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_every_broken_header_byte_is_answered_or_refused(seed: bytes) -> None:
    rng = np.random.default_rng(1)
    for position in range(min(len(seed), 700)):
        broken = bytearray(seed)
        broken[position] = rng.integers(256)
        survives(bytes(broken))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_random_damage_is_answered_or_refused(seed: bytes, data: st.DataObject) -> None:
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(broken)))
        end = data.draw(st.integers(start, min(len(broken), start + 8)))
        broken[start:end] = data.draw(st.binary(max_size=8))
    survives(bytes(broken))


def rechecked(data: bytes) -> bytes:
    """The same PNG with every checksum right, so that damage reaches what lies behind it."""
    out, position = bytearray(data[:8]), 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        body = data[position + 4 : position + 8 + length]
        out += data[position : position + 4] + body + struct.pack(">I", zlib.crc32(body))
        position += 12 + length
    return bytes(out)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([seed for seed in SEEDS if seed.startswith(b"\x89PNG")]), st.data())
def test_png_damage_behind_right_checksums_is_answered_or_refused(seed: bytes, data: st.DataObject) -> None:
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(8, len(broken) - 1))] = data.draw(st.integers(0, 255))
    survives(rechecked(bytes(broken)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP"]), st.binary(max_size=200))
def test_random_bytes_are_refused(prefix: bytes, rest: bytes) -> None:
    survives(prefix + rest)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", b"Exif\0\0"]), st.sampled_from([b"II*\0", b"MM\0*", b""]), st.binary(max_size=80))
def test_orientation_of_any_bytes_is_one_of_eight(prefix: bytes, order: bytes, rest: bytes) -> None:
    assert 1 <= read_orientation(prefix + order + rest) <= 8
