"""Every kind of picture is answered, limits bite before the pixels, the cheap way stays close to the plain one."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from streetvision.engine.decode import DRAFT_TOLERANCE, DecodedImage, DecodeLimits, decode
from streetvision.engine.exif import read_orientation
from streetvision.engine.types import BadImage
from streetvision.engine.views import resize_rule

LIMITS = DecodeLimits()
ORIENTATION = 0x0112


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def squash(data: bytes, size: int = 224, limits: DecodeLimits = LIMITS) -> DecodedImage:
    return decode(data, size=size, limits=limits, resize="squash")


def plain(data: bytes, size: int = 224) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def difference(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> tuple[float, int]:
    gap = np.abs(left.astype(int) - right.astype(int))
    return float(gap.mean()), int(gap.max())


@cache
def texture(width: int, height: int) -> Image.Image:
    """Photo-like: detail at every scale, falling off as in nature, with sensor noise."""
    rng = np.random.default_rng(width * height)
    light = np.zeros((height, width), np.float32)
    cells, strength = 4, 1.0
    while cells < 2 * width:
        grid = rng.normal(size=(max(2, cells * height // width), cells)).astype(np.float32)
        light += strength * np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR))
        cells, strength = cells * 2, strength * 0.6
    grain = rng.standard_normal((height, width), np.float32)
    luma = (128 + 45 * light / light.std() + 4 * grain).clip(0, 255).astype(np.uint8)
    hues = Image.merge("LA", [Image.fromarray(rng.integers(90, 166, (6, 8), np.uint8)) for _ in range(2)])
    blue, red = hues.resize((width, height)).split()
    return Image.merge("YCbCr", (Image.fromarray(luma), blue, red)).convert("RGB")


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_of_the_model_size_passes_through_bit_identical(kind: str) -> None:
    data = encode(texture(224, 224), kind)
    for rule in ("squash", "crop"):
        decoded = decode(data, size=224, limits=LIMITS, resize=rule)
        assert np.array_equal(decoded.array, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        assert (decoded.width, decoded.height, decoded.format) == (224, 224, kind)


@pytest.mark.parametrize(("width", "height"), [(4032, 3024), (3024, 4032), (1919, 1081), (1024, 640)])
def test_scaled_decoding_stays_within_the_stated_tolerance_of_a_plain_decode(width: int, height: int) -> None:
    data = encode(texture(width, height), quality=90)
    mean, largest = difference(squash(data).array, plain(data))
    assert mean <= DRAFT_TOLERANCE[0]
    assert largest <= DRAFT_TOLERANCE[1]


@pytest.mark.parametrize("side", [384, 768])
def test_a_larger_model_gets_pixels_as_good(side: int) -> None:
    """At 768 a photo of 2400 pixels a side is decoded at half its size, one of 1600 in full."""
    for width, height in ((2400, 2400), (1600, 1200)):
        data = encode(texture(width, height), quality=90)
        mean, largest = difference(squash(data, side).array, plain(data, side))
        assert mean <= DRAFT_TOLERANCE[0]
        assert largest <= DRAFT_TOLERANCE[1]


def test_crop_takes_the_central_square() -> None:
    picture = texture(1200, 800)
    data = encode(picture, "PNG")
    expected = picture.resize((336, 224), Image.Resampling.BICUBIC).crop((56, 0, 280, 224))
    got = decode(data, size=224, limits=LIMITS, resize="crop")
    assert difference(got.array, np.asarray(expected))[1] <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(texture(320, 200), kind, exif=exif)
    decoded = squash(data)
    mean, largest = difference(decoded.array, plain(data))
    assert mean < 0.6
    assert largest <= 12
    assert (decoded.width, decoded.height) == ((200, 320) if orientation >= 5 else (320, 200))


def exif_block(order: str, code: str, count: int, value: int = 6, kind: int | None = None) -> bytes:
    """A TIFF block of one directory with one entry, the orientation, as that integer type."""
    kind = kind or {"B": 1, "H": 3, "I": 4, "b": 6, "h": 8, "i": 9}[code]
    values = struct.pack(f"{order}{code}", value) * count
    where = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(f"{order}I", 30)
    entry = struct.pack(f"{order}HHI", ORIENTATION, kind, count) + where
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, 1)
    return head.ljust(10, b"\0") + entry + b"\0" * 8 + values


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("code", "BHIbhi")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_orientation_is_read_from_every_integer_type_inline_and_elsewhere(order: str, code: str, count: int) -> None:
    assert read_orientation(exif_block(order, code, count)) == 6
    assert read_orientation(b"Exif\0\0" + exif_block(order, code, count)) == 6


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_that_is_no_integer_or_out_of_range_or_elsewhere_counts_as_upright(order: str) -> None:
    assert read_orientation(exif_block(order, "I", 1, value=9)) == 1
    assert read_orientation(exif_block(order, "i", 1, value=-6)) == 1
    assert read_orientation(exif_block(order, "H", 0)) == 1
    assert read_orientation(exif_block(order, "H", 1, kind=2)) == 1
    assert read_orientation(exif_block(order, "I", 2)[:30]) == 1
    assert read_orientation(exif_block(order, "I", 1)[:20]) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_of_type_long_turns_the_picture(kind: str) -> None:
    picture = texture(320, 200)
    turned = squash(encode(picture, kind, exif=b"Exif\0\0" + exif_block(">", "I", 1)))
    assert (turned.width, turned.height) == (200, 320)
    assert np.array_equal(turned.array, np.rot90(squash(encode(picture, kind)).array, -1))


def test_an_upright_rotation_is_exact_at_the_model_size() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encode(texture(224, 224), exif=exif)
    assert np.array_equal(squash(data).array, plain(data))


MODES: dict[str, Callable[[], bytes]] = {
    "grey jpeg": lambda: encode(texture(300, 200).convert("L")),
    "cmyk jpeg": lambda: encode(texture(300, 200).convert("CMYK")),
    "progressive jpeg": lambda: encode(texture(300, 200), progressive=True),
    "444 jpeg": lambda: encode(texture(300, 200), subsampling=0),
    "grey png": lambda: encode(texture(300, 200).convert("L"), "PNG"),
    "palette png": lambda: encode(texture(300, 200).convert("P"), "PNG"),
    "1-bit png": lambda: encode(texture(300, 200).convert("1"), "PNG"),
    "lossless webp": lambda: encode(texture(300, 200), "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", MODES)
def test_unusual_encodings_are_answered_like_a_plain_decode(name: str) -> None:
    data = MODES[name]()
    mean, largest = difference(squash(data).array, plain(data))
    assert mean < 0.6
    assert largest <= 12


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    got = squash(encode(Image.fromarray(values), "PNG"), size=64).array
    assert np.array_equal(got, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_every_colour_type(colour: int, channels: int) -> None:
    row = b"\0" + struct.pack(">H", 0xC8FF) * channels * 8
    if colour in (4, 6):
        row = b"\0" + (struct.pack(">H", 0xC8FF) * (channels - 1) + b"\xff\xff") * 8
    key = struct.pack(">I", 6) + b"tRNS" + b"\xc8\xff" * 3 + struct.pack(">I", zlib.crc32(b"tRNS" + b"\xc8\xff" * 3))
    for extra in (b"", key):
        assert (squash(png(8, 8, 16, colour, row * 8, extra), size=8).array == 0xC8).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_lies_over_white(kind: str) -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:20] = (200, 40, 10, 255)
    got = squash(encode(Image.fromarray(pixels), kind, **({"lossless": True} if kind == "WEBP" else {})), size=40).array
    assert (got[:20] == (200, 40, 10)).all()
    assert (got[20:] == 255).all()


def test_half_transparent_grey_is_half_white() -> None:
    image = Image.new("LA", (30, 30), (0, 128))
    assert (squash(encode(image, "PNG"), size=10).array == 127).all()


def test_palette_transparency_lies_over_white() -> None:
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.paste(0, (0, 0, 32, 16))
    got = squash(encode(image, "PNG", transparency=0), size=32).array
    assert (got[:16] == 255).all()
    assert (got[16:] == (10, 20, 30)).all()
    several = squash(encode(image, "PNG", transparency=b"\x00\xff"), size=32).array
    assert np.array_equal(got, several)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_with_a_colour_key_is_answered(depth: int) -> None:
    key = b"tRNS\x00\x00"
    extra = struct.pack(">I", 2) + key + struct.pack(">I", zlib.crc32(key))
    data = png(8, 8, depth, 0, (b"\0" + b"\0" * depth) * 8, extra)
    assert (squash(data, size=8).array == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_answers_with_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (50, 40), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert (squash(data, size=20).array == (255, 0, 0)).all()


def test_a_colour_profile_is_ignored() -> None:
    picture = texture(224, 224)
    assert np.array_equal(squash(encode(picture, icc_profile=b"\0" * 400)).array, squash(encode(picture)).array)


def test_what_follows_the_end_of_a_jpeg_is_ignored() -> None:
    data = encode(texture(224, 224))
    assert np.array_equal(squash(data + b"\xff\xda\x00\x08" * 1000).array, squash(data).array)


def bad(data: bytes, limits: DecodeLimits = LIMITS) -> str:
    with pytest.raises(BadImage) as caught:
        squash(data, limits=limits)
    return str(caught.value)


def test_refusals_say_why_and_nothing_of_the_inside() -> None:
    photo = encode(texture(300, 200))
    assert bad(b"") == "the image is empty"
    assert bad(b"hello" * 100) == "the image is not a JPEG, PNG or WebP file"
    assert bad(photo[: len(photo) // 2]) == "the image is truncated or corrupt"
    assert bad(photo, DecodeLimits(max_bytes=1000)) == "the image is larger than 1000 bytes"
    assert bad(photo, DecodeLimits(max_pixels=59_999)) == "the image has more than 59999 pixels"
    assert bad(photo[:2] + b"\xff\xd9") == "the image is truncated or corrupt"


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF"])
def test_other_formats_are_refused(kind: str) -> None:
    assert bad(encode(texture(64, 64), kind)) == "the image is not a JPEG, PNG or WebP file"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = encode(texture(300, 200), kind)
    assert bad(data[: int(len(data) * share)])


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    assert "pixels" in bad(png(13_300, 13_300, 8, 2, b"\0" * 20_000_000))
    assert "pixels" in bad(webp_canvas(16_384, 16_384))


def webp_canvas(width: int, height: int) -> bytes:
    body = (
        b"VP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@pytest.mark.parametrize("at", ["width", "height"])
def test_zero_sized_pictures_are_refused(at: str) -> None:
    width, height = (0, 8) if at == "width" else (8, 0)
    assert bad(png(width, height, 8, 2, b"")) == "the image has no pixels"
    photo = bytearray(encode(texture(16, 16)))
    frame = photo.index(b"\xff\xc0")
    photo[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    assert bad(bytes(photo)) == "the image has no pixels"


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    photo = encode(texture(64, 64), progressive=True)
    start = photo.rindex(b"\xff\xda")
    scan = photo[start:-2]
    assert "scans" in bad(photo[:-2] + scan * 100 + b"\xff\xd9")


def test_a_jpeg_that_declares_two_sizes_is_refused() -> None:
    photo = encode(texture(64, 64))
    frame = photo.index(b"\xff\xc0")
    length = struct.unpack_from(">H", photo, frame + 2)[0] + 2
    second = bytearray(photo[frame : frame + length])
    second[5:9] = struct.pack(">HH", 30_000, 30_000)
    assert bad(photo[:frame] + photo[frame : frame + length] + bytes(second) + photo[frame + length :])


def test_an_unknown_resize_rule_is_the_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="unknown resize rule 'stretch': use one of squash, crop"):
        resize_rule("stretch")


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    mode=st.sampled_from(["RGB", "L", "CMYK", "1", "P", "LA", "RGBA"]),
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    orientation=st.integers(0, 9),
    rule=st.sampled_from(["squash", "crop"]),
    size=st.integers(1, 256),
)
def test_any_picture_gives_a_square_of_the_asked_size(
    width: int, height: int, mode: str, kind: str, orientation: int, rule: str, size: int
) -> None:
    supported = {"JPEG": {"RGB", "L", "CMYK"}, "PNG": {"RGB", "L", "1", "P", "LA", "RGBA"}, "WEBP": {"RGB", "RGBA"}}
    mode = mode if mode in supported[kind] else "RGB"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(Image.effect_noise((width, height), 60).convert(mode), kind, exif=exif)
    decoded = decode(data, size=size, limits=LIMITS, resize=rule)
    assert decoded.array.shape == (size, size, 3)
    assert decoded.array.dtype == np.uint8
    assert decoded.array.flags.c_contiguous
    assert {decoded.width, decoded.height} == {width, height}
    assert ((decoded.width, decoded.height) == (height, width)) or orientation not in (5, 6, 7, 8)
