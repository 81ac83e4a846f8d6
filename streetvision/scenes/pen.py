"""Drawing of one object in unit coordinates, antialiased, onto a transparent sprite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


def shade(rng: Random, colour: Colour, spread: int = 25) -> Colour:
    """A colour near the given one: paint fades, dirt and brands differ."""
    light = rng.uniform(-spread, spread)
    return _clip(*(c + light + rng.uniform(-spread, spread) * 0.4 for c in colour))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour that lies `share` of the way from a to b."""
    return _clip(*(x + (y - x) * share for x, y in zip(a, b, strict=True)))


def _clip(red: float, green: float, blue: float) -> Colour:
    return (max(0, min(255, int(red))), max(0, min(255, int(green))), max(0, min(255, int(blue))))


@dataclass(frozen=True, slots=True)
class Glow:
    """A light on an object, in unit coordinates: centre, radius (of the object's height) and colour."""

    x: float
    y: float
    radius: float
    colour: Colour


class Pen:
    """Draws in unit coordinates (0, 0 top left to 1, 1 bottom right) on a sprite of width x height pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._factor = 4 if height < 24 else 3 if height < 64 else 2 if height < 400 else 1
        self._w, self._h = width * self._factor, height * self._factor
        self._image = Image.new("RGBA", (self._w, self._h), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)
        self.glows: list[Glow] = []

    def poly(self, colour: Colour, *points: Point) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * self._w, y * self._h) for x, y in points], fill=(*colour, 255))

    def rect(self, colour: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
        """A filled rectangle."""
        self._draw.rectangle(self._box(x0, y0, x1, y1), fill=(*colour, 255))

    def round(self, colour: Colour, x0: float, y0: float, x1: float, y1: float, radius: float = 0.1) -> None:  # noqa: PLR0917  # a box reads best as four numbers in a row
        """A filled rectangle with round corners; the radius is a share of the sprite's height."""
        box = self._box(x0, y0, x1, y1)
        limit = 0.5 * min(box[2] - box[0], box[3] - box[1])
        self._draw.rounded_rectangle(box, radius=min(radius * self._h, limit), fill=(*colour, 255))

    def oval(self, colour: Colour, x0: float, y0: float, x1: float, y1: float) -> None:
        """A filled ellipse in a box."""
        self._draw.ellipse(self._box(x0, y0, x1, y1), fill=(*colour, 255))

    def disc(self, colour: Colour, x: float, y: float, radius: float) -> None:
        """A filled circle; the radius is a share of the sprite's height."""
        r = radius * self._h
        self._draw.ellipse((x * self._w - r, y * self._h - r, x * self._w + r, y * self._h + r), fill=(*colour, 255))

    def line(self, colour: Colour, thickness: float, *points: Point) -> None:
        """A polyline; the thickness is a share of the sprite's height."""
        width = max(1, round(thickness * self._h))
        self._draw.line([(x * self._w, y * self._h) for x, y in points], fill=(*colour, 255), width=width)

    def glow(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A light that shines in the dark."""
        self.glows.append(Glow(x, y, radius, colour))

    def stripes(
        self, colours: Sequence[Colour], box: tuple[float, float, float, float], count: int, lean: float
    ) -> None:
        """Diagonal stripes that fill a box; `lean` is how far a stripe moves over the box's height, in stripes."""
        x0, y0, x1, y1 = box
        step = (x1 - x0) / count
        for index in range(-abs(int(lean)) - 1, count + abs(int(lean)) + 1):
            left, right, shift = x0 + index * step, x0 + (index + 1) * step, lean * step
            quad = ((left, y1), (right, y1), (right + shift, y0), (left + shift, y0))
            clipped = [(min(max(x, x0), x1), y) for x, y in quad]
            self.poly(colours[index % len(colours)], *clipped)

    def sprite(self) -> Image.Image:
        """The finished RGBA sprite at its final size."""
        return self._image if self._factor == 1 else self._image.reduce(self._factor)

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        left, right = sorted((x0 * self._w, x1 * self._w))
        top, bottom = sorted((y0 * self._h, y1 * self._h))
        return left, top, right, bottom
