"""Faces of signs: shapes, borders, words and pictograms, drawn once each and kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from streetvision.scenes.sprites.surface import RGB

SIDE = 128
"""Height of a face in texels."""
BLACK: RGB = (22, 22, 24)
Points = Sequence[tuple[float, float]]

_ARROW: Points = ((0.5, 0.2), (0.66, 0.42), (0.56, 0.42), (0.56, 0.8), (0.44, 0.8), (0.44, 0.42), (0.34, 0.42))
PICTOGRAMS: dict[str, tuple[Points, ...]] = {
    "worker": (
        (
            (0.5, 0.34),
            (0.6, 0.4),
            (0.56, 0.56),
            (0.66, 0.76),
            (0.58, 0.78),
            (0.49, 0.62),
            (0.4, 0.78),
            (0.32, 0.76),
            (0.43, 0.55),
        ),
        ((0.5, 0.4), (0.36, 0.56), (0.29, 0.69), (0.33, 0.71), (0.42, 0.58), (0.56, 0.45)),
        ((0.2, 0.78), (0.3, 0.62), (0.4, 0.78)),
        ((0.24, 0.74), (0.56, 0.5), (0.57, 0.53), (0.27, 0.77)),
    ),
    "flagger": (
        (
            (0.45, 0.36),
            (0.56, 0.36),
            (0.57, 0.58),
            (0.56, 0.8),
            (0.51, 0.8),
            (0.5, 0.6),
            (0.48, 0.8),
            (0.43, 0.8),
            (0.44, 0.58),
        ),
        ((0.54, 0.38), (0.66, 0.46), (0.65, 0.5), (0.54, 0.46)),
        ((0.66, 0.3), (0.68, 0.3), (0.68, 0.6), (0.66, 0.6)),
        ((0.68, 0.3), (0.82, 0.3), (0.82, 0.44), (0.68, 0.44)),
    ),
    "arrow": (_ARROW,),
    "left": (tuple((y, 1 - x) for x, y in _ARROW),),
    "right": (tuple((1 - y, x) for x, y in _ARROW),),
    "shift": (
        (
            (0.34, 0.8),
            (0.34, 0.6),
            (0.56, 0.44),
            (0.56, 0.36),
            (0.48, 0.36),
            (0.61, 0.2),
            (0.74, 0.36),
            (0.66, 0.36),
            (0.66, 0.5),
            (0.44, 0.66),
            (0.44, 0.8),
        ),
    ),
    "merge": (
        ((0.3, 0.8), (0.3, 0.24), (0.36, 0.24), (0.36, 0.8)),
        ((0.66, 0.8), (0.66, 0.6), (0.5, 0.4), (0.5, 0.24), (0.44, 0.24), (0.44, 0.43), (0.59, 0.63), (0.59, 0.8)),
    ),
    "narrows": (
        ((0.32, 0.8), (0.42, 0.5), (0.42, 0.24), (0.36, 0.24), (0.36, 0.48), (0.25, 0.8)),
        ((0.68, 0.8), (0.58, 0.5), (0.58, 0.24), (0.64, 0.24), (0.64, 0.48), (0.75, 0.8)),
    ),
    "curve": (
        (
            (0.42, 0.8),
            (0.42, 0.5),
            (0.56, 0.38),
            (0.5, 0.32),
            (0.7, 0.26),
            (0.68, 0.46),
            (0.61, 0.42),
            (0.5, 0.53),
            (0.5, 0.8),
        ),
    ),
    "walker": (
        (
            (0.46, 0.34),
            (0.56, 0.34),
            (0.58, 0.54),
            (0.66, 0.78),
            (0.6, 0.8),
            (0.51, 0.6),
            (0.42, 0.8),
            (0.36, 0.78),
            (0.45, 0.54),
        ),
        ((0.46, 0.36), (0.34, 0.52), (0.37, 0.54), (0.5, 0.42)),
        ((0.55, 0.36), (0.66, 0.52), (0.63, 0.54), (0.52, 0.44)),
    ),
    "cross": (
        ((0.44, 0.22), (0.56, 0.22), (0.56, 0.8), (0.44, 0.8)),
        ((0.22, 0.44), (0.78, 0.44), (0.78, 0.56), (0.22, 0.56)),
    ),
    "junction": (
        ((0.46, 0.24), (0.54, 0.24), (0.54, 0.8), (0.46, 0.8)),
        ((0.54, 0.46), (0.76, 0.46), (0.76, 0.55), (0.54, 0.55)),
    ),
    "lamps": (),
    "bicycle": (((0.3, 0.62), (0.44, 0.44), (0.62, 0.44), (0.7, 0.62), (0.66, 0.62), (0.59, 0.48), (0.5, 0.62)),),
    "deer": (
        (
            (0.28, 0.5),
            (0.55, 0.46),
            (0.62, 0.3),
            (0.74, 0.32),
            (0.68, 0.4),
            (0.64, 0.56),
            (0.7, 0.76),
            (0.6, 0.62),
            (0.42, 0.6),
            (0.32, 0.78),
            (0.34, 0.6),
        ),
    ),
    "bump": (((0.2, 0.62), (0.36, 0.6), (0.5, 0.44), (0.64, 0.6), (0.8, 0.62), (0.8, 0.68), (0.2, 0.68)),),
}
_HEADS = {"worker": (0.52, 0.27), "flagger": (0.5, 0.29), "walker": (0.51, 0.27)}
_DISCS = {
    "lamps": ((0.5, 0.32, (190, 20, 24)), (0.5, 0.5, (240, 190, 20)), (0.5, 0.68, (20, 140, 60))),
    "bicycle": ((0.3, 0.62, BLACK), (0.7, 0.62, BLACK)),
}


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


def outline(shape: str) -> Points:
    """The edge of a face in the unit square."""
    if shape == "octagon":
        return _polygon(8, math.pi / 8)
    if shape == "disc":
        return _polygon(32, 0.0)
    return {
        "diamond": ((0.5, 0.01), (0.99, 0.5), (0.5, 0.99), (0.01, 0.5)),
        "triangle": ((0.5, 0.04), (0.99, 0.9), (0.01, 0.9)),
        "yield": ((0.01, 0.06), (0.99, 0.06), (0.5, 0.94)),
        "pentagon": ((0.5, 0.02), (0.98, 0.4), (0.98, 0.98), (0.02, 0.98), (0.02, 0.4)),
        "rectangle": ((0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)),
    }[shape]


def _polygon(count: int, phase: float) -> Points:
    angles = [phase + 2 * math.pi * index / count for index in range(count)]
    return [(0.5 + 0.49 * math.cos(angle), 0.5 + 0.49 * math.sin(angle)) for angle in angles]


@lru_cache(maxsize=512)
def face(
    shape: str,
    ground: RGB,
    border: RGB,
    *,
    edge: float = 0.03,
    inset: float = 0.03,
    pictogram: str = "",
    words: str = "",
    ink: RGB = BLACK,
    aspect: float = 1.0,
) -> Image.Image:
    """A sign's face, RGBA [SIDE, SIDE * aspect]: a border of width `edge` that lies `inset` inside the outline."""
    size = (max(16, round(SIDE * aspect)), SIDE)
    picture = Image.new("RGBA", size, (*ground, 0))
    draw = ImageDraw.Draw(picture)
    points = outline(shape)
    draw.polygon(_scaled(points, size, 1.0), fill=(*(border if inset == 0 else ground), 255))
    if inset:
        draw.polygon(_scaled(points, size, 1 - 2 * inset), fill=(*border, 255))
    draw.polygon(_scaled(points, size, 1 - 2 * inset - 2 * edge), fill=(*ground, 255))
    room = 0.57 if shape in ("diamond", "triangle", "yield") else 0.92
    if pictogram:
        _pictogram(draw, pictogram, size, room=0.95 if shape in ("diamond", "rectangle") else 0.75, ink=ink)
    if words:
        _words(draw, words, size, ink, (room * 0.55, 0.82) if pictogram else (room, 0.5))
    return picture


def _scaled(points: Points, size: tuple[int, int], scale: float) -> list[tuple[float, float]]:
    middle_x, middle_y = (sum(p[axis] for p in points) / len(points) for axis in (0, 1))
    width, height = size
    return [
        ((middle_x + (x - middle_x) * scale) * width, (middle_y + (y - middle_y) * scale) * height) for x, y in points
    ]


def _pictogram(draw: ImageDraw.ImageDraw, name: str, size: tuple[int, int], room: float, ink: RGB) -> None:
    width, height = size
    side = min(width, height) * room

    def place(x: float, y: float) -> tuple[float, float]:
        return width / 2 + (x - 0.5) * side, height / 2 + (y - 0.5) * side

    for points in PICTOGRAMS[name]:
        draw.polygon([place(x, y) for x, y in points], fill=(*ink, 255))
    discs = [(*_HEADS[name], ink)] if name in _HEADS else list(_DISCS.get(name, ()))
    for x, y, colour in discs:
        centre, radius = place(x, y), side * (0.055 if name in _HEADS else 0.09)
        draw.ellipse(
            (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius), fill=(*colour, 255)
        )


def _words(draw: ImageDraw.ImageDraw, words: str, size: tuple[int, int], ink: RGB, place: tuple[float, float]) -> None:
    """Lines of words, as large as they fit into a share of the face, about a height: `place`."""
    room, middle = place
    lines = words.split("\n")
    longest = max(lines, key=lambda line: draw.textlength(line, font=font(40)))
    width, height = size[0] * room, size[1] * room * (0.9 if room > 0.6 else 1.0)
    measured = draw.textlength(longest, font=font(40)) / 40
    level = max(6, int(min(width / max(measured, 0.1), height / (1.18 * len(lines)))))
    text, step = font(level), level * 1.16
    top = size[1] * middle - step * len(lines) / 2
    for index, line in enumerate(lines):
        left = (size[0] - draw.textlength(line, font=text)) / 2
        draw.text((left, top + index * step), line, fill=(*ink, 255), font=text, stroke_width=max(0, level // 22))


@lru_cache(maxsize=4)
def ring(colour: RGB) -> Image.Image:
    """A ring, as a bicycle's wheel is from afar."""
    picture = Image.new("RGBA", (96, 96), (*colour, 0))
    ImageDraw.Draw(picture).ellipse((3, 3, 92, 92), outline=(*colour, 255), width=7)
    return picture
