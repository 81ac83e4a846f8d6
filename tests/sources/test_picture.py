"""Which bytes may enter a dataset, and the fingerprint that finds near duplicates."""

from __future__ import annotations

import zlib

import pytest
from PIL import Image

from streetvision.engine.types import BadImage
from streetvision.sources.picture import check_picture

from .pictures import encoded, jpeg, pixels


def damaged(data: bytes) -> bytes:
    middle = len(data) * 2 // 3
    return data[:middle] + b"\xff\xd9\x00" * 3 + bytes(60) + data[middle + 69 :]


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""
    data = encoded(Image.new("L", (40, 40)), "PNG")
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + data[24:29]
    return data[:8] + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not a JPEG"),
        (encoded(pixels(1), "GIF"), "not a JPEG"),
        (jpeg(1, side=256)[:-2000], "truncated|early"),
        (jpeg(1, side=512)[:-600], "early"),
        (damaged(jpeg(1, side=256)), "damaged|truncated"),
        (bomb(), "pixels"),
        (encoded(Image.new("RGB", (31, 200))), "smaller than 32"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "corrupt"),
    ],
)
def test_what_is_no_sound_picture_is_refused_with_its_reason(data: bytes, says: str) -> None:
    with pytest.raises(BadImage, match=says):
        check_picture(data)


def test_sound_pictures_of_every_kind_pass_upright() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = Image.new("RGB", (80, 40))
    assert check_picture(encoded(wide, "JPEG", exif=turned)).width == 40
    assert check_picture(encoded(wide.convert("CMYK"), "JPEG")).suffix == ".jpg"
    assert check_picture(encoded(wide.convert("RGBA"), "PNG")).suffix == ".png"
    assert check_picture(encoded(wide, "WEBP")).suffix == ".webp"


def test_the_fingerprint_survives_compression_and_scaling_and_tells_scenes_apart() -> None:
    first = check_picture(jpeg(1, side=256)).fingerprint
    for again in (jpeg(1, quality=40, side=256), encoded(pixels(1, 256).resize((200, 150)))):
        assert (first ^ check_picture(again).fingerprint).bit_count() <= 4
    others = [check_picture(jpeg(seed, side=256)).fingerprint for seed in range(2, 30)]
    assert min((first ^ other).bit_count() for other in others) > 12
