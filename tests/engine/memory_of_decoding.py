"""A program: prints by how many bytes each of some decodes raises the peak of this process, as JSON."""

from __future__ import annotations

import gc
import io
import json
import struct
import zlib
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from streetvision.engine.decode import DecodeLimits, decode, decode_looks
from streetvision.engine.views import Eye, Look, plain_look

WIDTH, HEIGHT = 1603, 1204  # no multiple of a block
SIDES = (140, 900)
"""Decoded at 1/4 and at full size."""
CASES = (
    *("jpeg 4:2:0", "jpeg 4:4:4", "jpeg grey", "jpeg cmyk"),
    *("progressive 4:2:0", "progressive 4:2:2", "progressive 4:4:4", "progressive grey", "progressive cmyk"),
    *("png rgb", "png rgba", "png grey", "png grey alpha", "png palette", "png palette alpha", "png 1-bit"),
    *("png 16-bit grey", "png 16-bit rgb", "png 16-bit rgba"),
    *("webp", "webp alpha", "webp lossless", "webp lossless alpha"),
    *("jpeg cut", "progressive cut", "png cut", "png 16-bit cut", "webp cut"),
)


class Asked(Exception):
    """So many bytes were to be held."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def photo() -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).resize((WIDTH, HEIGHT))
    return Image.fromarray(np.asarray(coarse) // 2 + rng.integers(0, 9, (HEIGHT, WIDTH, 1), np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_of_16_bits(channels: int, colour: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour, 0, 0, 0))
    rows = (b"\0" + bytes(range(200)) * (WIDTH * channels * 2 // 200 + 1))[: 1 + WIDTH * channels * 2] * HEIGHT
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


@cache
def pictures() -> dict[str, bytes]:
    """A file for each case."""
    colour = photo()
    grey, inks, clear = colour.convert("L"), colour.convert("CMYK"), colour.copy()
    clear.putalpha(grey)
    files = {}
    for name, options in (("jpeg", {}), ("progressive", {"progressive": True})):
        for sampling, text in enumerate(("4:4:4", "4:2:2", "4:2:0")):
            files[f"{name} {text}"] = encode(colour, "JPEG", subsampling=sampling, quality=85, **options)
        files[f"{name} grey"] = encode(grey, "JPEG", **options)
        files[f"{name} cmyk"] = encode(inks, "JPEG", **options)
    plain = {"rgb": colour, "rgba": clear, "grey": grey, "grey alpha": clear.convert("LA"), "1-bit": grey.convert("1")}
    for name, image in {**plain, "palette": grey.convert("P")}.items():
        files[f"png {name}"] = encode(image, "PNG", compress_level=1)
    files["png palette alpha"] = encode(grey.convert("P"), "PNG", compress_level=1, transparency=3)
    for name, (channels, kind) in {"grey": (1, 0), "rgb": (3, 2), "rgba": (4, 6)}.items():
        files[f"png 16-bit {name}"] = png_of_16_bits(channels, kind)
    for name, image in {"": colour, " alpha": clear}.items():
        files["webp" + name] = encode(image, "WEBP", method=0)
        files["webp lossless" + name] = encode(image, "WEBP", lossless=True, quality=0, method=0)
    cut = {"jpeg": "jpeg 4:2:0", "progressive": "progressive 4:4:4", "png": "png rgb", "png 16-bit": "png 16-bit rgba"}
    for name, source in {**cut, "webp": "webp"}.items():
        files[f"{name} cut"] = files[source][: -12 if "png" in name else -2]
    return files


def estimate(data: bytes, side: int) -> int:
    """What decoding to that side asks to hold."""

    def hold(size: int) -> AbstractContextManager[None]:
        raise Asked(size)

    def looks(width: int, height: int) -> tuple[Look, ...]:
        return (plain_look(width, height, Eye(side, "squash")),)

    try:
        decode_looks(data, looks, limits=DecodeLimits(), hold=hold)
    except Asked as asked:
        return asked.size
    raise AssertionError("nothing was held")


def peak(data: bytes, side: int) -> int:
    decode(data, size=side, limits=DecodeLimits(), resize="squash")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmRSS")
    decode(data, size=side, limits=DecodeLimits(), resize="squash")
    return (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    print(json.dumps({f"{name} {side}": peak(pictures()[name], side) for name in CASES for side in SIDES}))
