"""Surfaces of things: colour, transparency, retroreflection and glow as one small texture; how they shine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Linear = tuple[float, float, float]
RGB = tuple[int, int, int]
Texture = NDArray[np.float32]
"""Float32 [6, h, w]: linear red, green and blue, alpha, retroreflection, glow; row 0 is the top."""


def linear(colour: Sequence[float]) -> Linear:
    """A colour of sRGB levels (0 to 255) as linear light (0 to 1)."""
    red, green, blue = (
        (level / 255 / 12.92) if level <= 10.3 else ((level / 255 + 0.055) / 1.055) ** 2.4 for level in colour[:3]
    )
    return (red, green, blue)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A texture and how it shines; `gloss` 0 is matt and 1 a window, `bump` roughness of the normals, `wear` dirt."""

    texture: Texture
    gloss: float = 0.08
    bump: float = 0.0
    wear: float = 1.0

    def sample(self, u: Texture, v: Texture) -> Texture:
        """Texels [6, M] at coordinates [M] in 0..1, the nearest ones; v grows downwards."""
        _, height, width = self.texture.shape
        if height == width == 1:
            return np.broadcast_to(self.texture[:, :, 0], (6, len(u)))
        column = np.clip(u * width, 0, width - 1).astype(np.int32)
        row = np.clip(v * height, 0, height - 1).astype(np.int32)
        found: Texture = self.texture[:, row, column]
        return found


def plain(
    colour: Sequence[float],
    *,
    gloss: float = 0.08,
    bump: float = 0.0,
    wear: float = 1.0,
    retro: float = 0.0,
    glow: float = 0.0,
    alpha: float = 1.0,
) -> Surface:
    """One sRGB colour (0 to 255) all over."""
    texel = np.array([*linear(colour), alpha, retro, glow], np.float32)
    return Surface(texel.reshape(6, 1, 1), gloss, bump, wear)


def bands(*rows: tuple[float, Surface], gloss: float = 0.08, bump: float = 0.0) -> Surface:
    """Rings from top to bottom, each with its share of the height and a plain surface."""
    total, parts, steps = sum(share for share, _ in rows), [], 64
    edges = np.cumsum([0.0, *(share / total * steps for share, _ in rows)]).round().astype(int)
    for (_, surface), low, high in zip(rows, edges, edges[1:], strict=False):
        parts.append(np.repeat(surface.texture[:, :, :1], high - low, axis=1))
    return Surface(np.concatenate(parts, axis=1), gloss, bump)


def painted(picture: Image.Image, *, gloss: float = 0.1, retro: float = 0.0, glow: float = 0.0) -> Surface:
    """An RGBA picture as a surface; `retro` and `glow` hold wherever it is opaque."""
    levels = np.asarray(picture.convert("RGBA"), np.float32) / 255
    texture = np.empty((6, *levels.shape[:2]), np.float32)
    texture[:3] = np.where(levels <= 0.04, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)[..., :3].transpose(
        2, 0, 1
    )
    texture[3], texture[4], texture[5] = levels[..., 3], retro, glow
    return Surface(texture, gloss)


def stripes(
    first: Surface, second: Surface, count: float, slope: float, aspect: float, *, gloss: float = 0.1
) -> Surface:
    """Diagonal stripes, `count` pairs along the width; `slope` 1 rises to the right; `aspect` is width over height."""
    height = max(32, round(32 / min(1.0, aspect)))
    width = max(8, min(240, round(height * aspect)))
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = (column + slope * row) / width * count
    inside = (phase % 1.0 < 0.5)[None]
    texture = np.where(inside, first.texture[:, :1, :1], second.texture[:, :1, :1]).astype(np.float32)
    return Surface(texture, gloss)


def glowing(surface: Surface, glow: float) -> Surface:
    """The same surface, giving light of its own."""
    texture = surface.texture.copy()
    texture[5] = glow
    return replace(surface, texture=texture, wear=0.0)
