from __future__ import annotations

import struct
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from streetvision.engine.decode import DecodeLimits
from streetvision.engine.types import BadImage, ImageTooLarge
from streetvision.scenes.scenes import render_scene
from streetvision.training import decoding
from streetvision.training.decoding import decode_canvas


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def street(width: int = 480, height: int = 320) -> Image.Image:
    return Image.fromarray(render_scene(4, size=(240, 160)).image).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(480, 320), (96, 64), (64, 64), (1000, 700)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_canvas_is_the_whole_picture_squashed(size: tuple[int, int], kind: str) -> None:
    image = street(*size)
    canvas = decode_canvas(encoded(image, kind, quality=95), 64)
    expected = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)).astype(float)
    assert (canvas.width, canvas.height) == size
    assert canvas.pixels.shape == (64, 64, 3)
    assert np.abs(canvas.pixels - expected).mean() < 4.0


def test_orientation_is_followed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = street()
    canvas = decode_canvas(encoded(image, exif=exif), 64)
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270).resize((64, 64))).astype(float)
    assert (canvas.width, canvas.height) == (320, 480)
    assert np.abs(canvas.pixels - upright).mean() < 4.0


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_inks_become_colours(mode: str) -> None:
    canvas = decode_canvas(encoded(street().convert(mode)), 32)
    assert canvas.pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.2, 0.9, 0.99])
def test_a_picture_without_its_end_is_refused(kind: str, kept: float) -> None:
    data = encoded(street(), kind)
    with pytest.raises(BadImage):
        decode_canvas(data[: int(len(data) * kept)], 64)


def test_damage_in_the_middle_is_refused_or_survived_but_never_a_crash() -> None:
    data, rng = bytearray(encoded(street())), np.random.default_rng(0)
    for _ in range(60):
        hurt = bytearray(data)
        for place in rng.integers(2, len(hurt), 8):
            hurt[place] = rng.integers(256)
        with suppress(BadImage):
            assert decode_canvas(bytes(hurt), 64).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff", b"no picture at all"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage):
        decode_canvas(data, 64)


def test_a_claim_of_too_many_pixels_is_refused_before_decoding() -> None:
    data = bytearray(encoded(street()))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", 60000, 60000)
    with pytest.raises(ImageTooLarge):
        decode_canvas(bytes(data), 64)


def test_a_file_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LIMITS", DecodeLimits(max_bytes=100))
    with pytest.raises(ImageTooLarge):
        decode_canvas(encoded(street()), 64)
