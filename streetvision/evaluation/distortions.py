"""The conditions under which a model is asked again: what validators do or did to a picture, and what networks do.

Until April 2026 validators sent 224 x 224 pixels, distorted; since then pictures come at native size, and photos that
were taken upright may arrive on their side. `level` is the validators' whole chain of that time, whose crop may cut the
works out: no model can answer all of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from streetvision.scenes.augment import LEVELS, ORDER, SIZE, augment, distort
from streetvision.scenes.photographic import encode_jpeg

Pixels = NDArray[np.uint8]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]

QUALITY = 92
"""Of the JPEGs that are sent where their quality is not the condition."""
FORMATS = ("JPEG", "PNG", "WEBP")
"""Those that the engine answers."""
QUALITIES = (75, 50, 25, 10)
ANGLES = (10, 20)
SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Condition:
    """One way in which a picture may arrive."""

    kind: str
    step: str
    """How much, or which way."""
    change: Change
    quality: int = QUALITY


@dataclass(frozen=True, slots=True)
class Arrived:
    """One picture under one condition."""

    condition: Condition
    jpeg: bytes


def upright(data: bytes, least: int | None = None) -> Image.Image:
    """RGB pixels as a viewer shows them; `least` pixels a side are enough, where they save decoding more."""
    with Image.open(BytesIO(data), formats=FORMATS) as opened:
        if least is not None:
            opened.draft("RGB", (least, least))
        return ImageOps.exif_transpose(opened).convert("RGB")


def squashed(image: Image.Image, _: np.random.Generator | None = None) -> Image.Image:
    """The whole picture at the validators' size, as they sent it, so that nothing is cut out."""
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _same(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image


def _transposed(image: Image.Image, _: np.random.Generator, *, how: Image.Transpose) -> Image.Image:
    return image.transpose(how)


def _rotated(image: Image.Image, _: np.random.Generator, *, angle: int) -> Image.Image:
    return squashed(image).rotate(angle, Image.Resampling.NEAREST)


def _distorted(image: Image.Image, rng: np.random.Generator, *, name: str, severity: int) -> Image.Image:
    return Image.fromarray(distort(np.asarray(squashed(image)), name, severity, rng))


def _at_level(image: Image.Image, rng: np.random.Generator, *, level: int) -> Image.Image:
    return Image.fromarray(augment(np.asarray(image), level, rng))


_TURNS: Mapping[tuple[str, str], Image.Transpose] = {
    ("sideways", "left"): Image.Transpose.ROTATE_90,
    ("sideways", "right"): Image.Transpose.ROTATE_270,
    ("flipped", "mirrored"): Image.Transpose.FLIP_LEFT_RIGHT,
    ("flipped", "upside down"): Image.Transpose.FLIP_TOP_BOTTOM,
}
CONDITIONS: tuple[Condition, ...] = (
    *(Condition("JPEG quality", str(quality), _same, quality) for quality in QUALITIES),
    *(Condition(kind, step, partial(_transposed, how=how)) for (kind, step), how in _TURNS.items()),
    Condition("small", f"{SIZE} px", squashed),
    *(Condition("rotation", f"{angle}°", partial(_rotated, angle=angle)) for angle in ANGLES),
    *(
        Condition(name, str(severity), partial(_distorted, name=name, severity=severity))
        for name in ORDER
        for severity in SEVERITIES
    ),
    *(Condition("level", str(level), partial(_at_level, level=level)) for level in LEVELS),
)


def arrivals(data: bytes, seed: int, conditions: tuple[Condition, ...] = CONDITIONS) -> Iterator[Arrived]:
    """The picture in `data` under each condition; `data` is one that was decoded within the engine's limits before."""
    image = upright(data)
    for place, condition in enumerate(conditions):
        changed = condition.change(image, np.random.default_rng((41, seed, place)))
        yield Arrived(condition, encode_jpeg(changed, condition.quality))
