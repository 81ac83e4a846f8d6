"""What an oracle is shown of a picture: the whole, and large parts of it in which small things are larger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from streetvision.engine.decode import TRANSPOSE, DecodeLimits
from streetvision.engine.header import CORRUPT, read_header
from streetvision.engine.types import BadImage, ImageTooLarge
from streetvision.errors import reason

VIEWS: tuple[tuple[float, float, float, float], ...] = (
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.7, 1.0),
    (0.3, 0.0, 1.0, 1.0),
    (0.0, 0.3, 1.0, 1.0),
    (0.15, 0.15, 0.85, 0.85),
)
"""Left, top, right and bottom as shares of width and height: whole, left, right, lower, middle. Each part holds half of
the picture or more, so that what it shows is nearly the scene, and each thing is in most of them."""
QUALITY = 88


def read_checked(path: Path, sha256: str) -> bytes:
    """The bytes of a picture; raises BadImage where they are gone, too many, or no longer those."""
    try:
        if path.stat().st_size > DecodeLimits().max_bytes:
            raise ImageTooLarge("the file is too large")
        data = path.read_bytes()
    except OSError as error:
        raise BadImage(f"the file cannot be read ({reason(error)})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BadImage("the file is not the picture that it was")
    return data


def make_views(data: bytes, views: Sequence[int], pixels: int) -> list[bytes]:
    """JPEGs of these views, upright, their longest side at most `pixels`; raises BadImage."""
    picture = _upright(data, pixels)
    return [_jpeg(_part(picture, VIEWS[view]), pixels) for view in views]


def _upright(data: bytes, pixels: int) -> Image.Image:
    """Decoded within the miner's own limits, at no more than the detail that the smallest part needs."""
    header, limits = read_header(data), DecodeLimits()
    if header.width * header.height > limits.max_pixels or header.scans > limits.max_scans:
        raise ImageTooLarge("the image is too large to decode")
    try:
        with Image.open(BytesIO(header.stream), formats=[header.format]) as image:
            if image.size != (header.width, header.height):
                raise BadImage(CORRUPT)
            image.draft("RGB", (2 * pixels, 2 * pixels))
            picture = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(CORRUPT) from error
    turn = TRANSPOSE.get(header.orientation)
    return picture if turn is None else picture.transpose(turn)


def _part(picture: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    width, height = picture.size
    left, top, right, bottom = box
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def _jpeg(picture: Image.Image, pixels: int) -> bytes:
    picture.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    out = BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
