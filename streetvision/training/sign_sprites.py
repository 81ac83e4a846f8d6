"""Flat pictures of signs as things in the street: on a pole, one below the other, weathered, seen at an angle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.base.process_pool import map_on_cores

OVERSAMPLED = 2
POLES = ((150, 152, 155), (105, 108, 110), (90, 96, 88), (120, 92, 66))
"""Galvanised, grey, green and wooden."""
PLATE_METRES = 0.75


class SignSprite(NamedTuple):
    """RGBA [S, S, 4] of straight alpha with its lower edge on the square's, and the metres that S spans."""

    pixels: NDArray[np.uint8]
    metres: float


def sign_sprites(faces: Sequence[Path], count: int, side: int, seed: int, workers: int = 1) -> list[SignSprite]:
    """`count` sprites of faces drawn by chance, PNG files with transparency around the plate, on so many processes."""
    return list(map_on_cores(partial(_made, tuple(faces), side, seed), range(count), workers))


def _made(faces: Sequence[Path], side: int, seed: int, index: int) -> SignSprite:
    rng = np.random.default_rng((seed, index))
    together = int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))
    return sign_sprite([_plate(faces[at]) for at in rng.integers(len(faces), size=together)], side, rng)


def _plate(file: Path) -> Image.Image:
    with Image.open(file) as image:
        plate = image.convert("RGBA")
    plate.thumbnail((400, 400))
    return plate.crop(plate.getchannel("A").getbbox())


def sign_sprite(plates: Sequence[Image.Image], side: int, rng: np.random.Generator) -> SignSprite:
    """Plates from top to bottom on one pole; how much of the square they fill is drawn too."""
    full = OVERSAMPLED * side
    square = Image.new("RGBA", (full, full))
    reach = float(rng.uniform(0.45, 0.97)) * full
    sizes = _fitting([plate.size for plate in plates], (0.96 * full, reach), rng)
    top = full - reach - rng.uniform(0.0, 1.0) * (full - reach)
    middle = full / 2
    if rng.random() < 0.85:
        _add_pole(square, middle, top, sum(height for _, height in sizes), rng)
    at = top
    for plate, (wide, high) in zip(plates, sizes, strict=True):
        shown = plate.resize((max(2, round(wide)), max(2, round(high))), Image.Resampling.LANCZOS)
        square.alpha_composite(shown, (max(0, round(middle - wide / 2)), max(0, round(at))))
        at += high
    metres = PLATE_METRES * full / max(high for _, high in sizes)
    turned = _turned(_weathered(square, rng), rng).resize((side, side), Image.Resampling.BOX)
    return SignSprite(_on_the_ground(np.asarray(turned)), metres)


def _fitting(
    plates: Sequence[tuple[int, int]], room: tuple[float, float], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Width and height of each plate; the first is the largest, and together they fit the room."""
    shares = [1.0, *rng.uniform(0.5, 1.0, len(plates) - 1)]
    sizes = [(share * wide / max(wide, high), share * high / max(wide, high)) for share, (wide, high) in
             zip(shares, plates, strict=True)]  # fmt: skip
    scale = min(room[0] / max(wide for wide, _ in sizes), room[1] / sum(high for _, high in sizes))
    return [(scale * wide, scale * high) for wide, high in sizes]


def _add_pole(square: Image.Image, middle: float, top: float, plates: float, rng: np.random.Generator) -> None:
    """Behind the plates and down to the lower edge, lit from one side."""
    wide = max(2, round(plates * rng.uniform(0.03, 0.09)))
    colour = np.array(POLES[rng.integers(len(POLES))]) * rng.uniform(0.6, 1.15)
    light = np.linspace(0.65, 1.1, wide)[:: rng.choice([-1, 1]), None]
    high = square.height - round(top + 0.1 * plates)
    if high > 0:
        strip = np.clip(np.broadcast_to(colour * light, (high, wide, 3)), 0, 255).astype(np.uint8)
        square.paste(Image.fromarray(strip), (round(middle - wide / 2), square.height - high))


def _weathered(square: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light from one side, faded colours, dirt."""
    pixels = np.asarray(square).astype(np.float32)
    side = len(pixels)
    slope = rng.uniform(-0.25, 0.25, 2)
    down, right = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    light = 1.0 + slope[0] * down + slope[1] * right
    blots = Image.fromarray(rng.uniform(-1.0, 1.0, (9, 9)).astype(np.float32)).resize(square.size)
    light = (light + rng.uniform(0.0, 0.15) * np.asarray(blots)) * rng.uniform(0.6, 1.05)
    faded = pixels[..., :3] + (205.0 - pixels[..., :3]) * rng.uniform(0.0, 0.3)
    pixels[..., :3] = np.clip(faded * light[..., None], 0.0, 255.0)
    return Image.fromarray(pixels.astype(np.uint8))


def _turned(square: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Seen from the side, the nearer edge a little larger."""
    side = square.width
    narrow, keystone = float(rng.uniform(0.65, 1.0)), float(rng.uniform(-0.12, 0.12))
    u = np.array([-1.0, 1.0, 1.0, -1.0]) * narrow
    v = np.array([-1.0, -1.0, 1.0, 1.0]) * (1.0 + keystone * np.sign(u))
    v = np.where(v > 0, 1.0, v.clip(-1.0))
    source = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    return square.transform(
        square.size,
        Image.Transform.PERSPECTIVE,
        _perspective([((x + 1) * side / 2, (y + 1) * side / 2) for x, y in zip(u, v, strict=True)],
                     [((x + 1) * side / 2, (y + 1) * side / 2) for x, y in source]),
        Image.Resampling.BICUBIC,
    )  # fmt: skip


def _perspective(to: Sequence[tuple[float, float]], of: Sequence[tuple[float, float]]) -> list[float]:
    """The eight coefficients that take four points `to` of the output to the points `of` of the input."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(to, of, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(wanted))]


def _on_the_ground(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Moved down until its lowest row is the square's."""
    shown = np.flatnonzero(pixels[..., 3].any(axis=1))
    return pixels if len(shown) == 0 else np.roll(pixels, len(pixels) - 1 - int(shown[-1]), axis=0)
