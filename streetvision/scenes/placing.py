"""Puts sprites into the picture: size by distance, light, haze, shadow, and a count of what stays visible."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from streetvision.scenes import noise
from streetvision.scenes.camera import Camera
from streetvision.scenes.parts import Part
from streetvision.scenes.pen import Colour, Glow, Pen
from streetvision.scenes.street import Light

MAP_WIDTH = 256
"""Width of the map on which visibility is counted, in pixels: enough for areas of a thousandth of the picture."""
_SOLID = [255 if level >= 128 else 0 for level in range(256)]


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A part at a place: x, z in metres, height in metres, mirrored or not, tilted by degrees."""

    part: Part
    x: float
    z: float
    height: float
    mirror: bool = False
    tilt: float = 0.0


@dataclass(slots=True)
class Placed:
    """Where an item landed, in pixels, and how many cells of the visibility map it covers in all."""

    item: PlacedPart
    box: tuple[int, int, int, int]
    cells: int


@dataclass
class Scenery:
    """The canvas with its visibility map; items are placed from far to near."""

    canvas: Image.Image
    camera: Camera
    light: Light
    placed: list[Placed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shrink = max(1.0, self.camera.width / MAP_WIDTH)
        size = (round(self.camera.width / self._shrink), round(self.camera.height / self._shrink))
        self._map = Image.new("L", size, 0)

    def place(self, item: PlacedPart, rng: Random) -> None:
        """Paint one item, unless it lies outside the picture or is too small or too large to draw."""
        height = item.height * self.camera.scale(item.z)
        width = height * item.part.aspect
        if height < 3.0 or width < 1.5 or max(width / self.camera.width, height / self.camera.height) > 3.5:
            return
        column, row = self.camera.project(item.x, 0.0, item.z)
        box = (round(column - width / 2), round(row - height), round(column + width / 2), round(row))
        if box[2] <= 0 or box[0] >= self.camera.width or box[1] >= self.camera.height or box[3] <= 0:
            return
        pen = Pen(max(2, box[2] - box[0]), max(3, box[3] - box[1]))
        item.part.paint(pen, rng)
        sprite = self._lit(pen.sprite(), item, rng)
        sprite, box = _turned(sprite, item, box)
        self._shadow(box)
        self.canvas.paste(sprite.convert("RGB"), box[:2], sprite.getchannel("A"))
        self._mark(sprite.getchannel("A"), item, box)
        for glow in pen.glows:
            self._shine(glow, box, item.mirror)

    def visible(self) -> list[tuple[Placed, float, float]]:
        """Each roadwork item with its visible share of itself and its share of the picture, both in [0, 1]."""
        counts = self._map.histogram()
        total = self._map.width * self._map.height
        return [(one, counts[index + 1] / max(one.cells, 1), counts[index + 1] / total) for index, one in self._ours()]

    def _ours(self) -> list[tuple[int, Placed]]:
        return list(enumerate(self.placed))

    def _lit(self, sprite: Image.Image, item: PlacedPart, rng: Random) -> Image.Image:
        light = self.light
        *planes, alpha = sprite.split()
        width, height = sprite.size
        ambient = np.asarray(light.ambient, np.float32)
        if item.part.reflective and light.name == "night":
            ambient = np.maximum(ambient, light.reflective)
        side = np.linspace(-0.16, 0.16, width, dtype=np.float32) * np.float32(light.sun_side)
        body = 1.0 + side + np.float32(rng.uniform(0.02, 0.08)) * noise.patch(noise.cloudy(), rng, height, width)
        veil = np.float32(1.0 - np.exp(-item.z * light.haze))
        body *= 1.0 - veil
        lit = []
        for plane, gain, sky in zip(planes, ambient, light.skyline, strict=True):
            colour = np.asarray(plane) * (body * gain) + veil * np.float32(sky)
            lit.append(Image.fromarray(np.clip(colour, 0.0, 255.0).astype(np.uint8)))
        return Image.merge("RGBA", (*lit, alpha))

    def _shadow(self, box: tuple[int, int, int, int]) -> None:
        """A soft dark spot where the object meets the ground."""
        width = box[2] - box[0]
        depth = max(2, int(0.1 * width))
        if width < 4 or width > 2 * self.camera.width:
            return
        spot = Image.new("L", (width + 2 * depth, 2 * depth), 0)
        strength = 110 if self.light.name == "sunny" else 70
        ImageDraw.Draw(spot).ellipse((depth // 2, depth // 2, width + depth, 2 * depth - depth // 2), fill=strength)
        spot = spot.filter(ImageFilter.BoxBlur(max(1, depth // 3)))
        self.canvas.paste((18, 18, 20), (box[0] - depth, box[3] - depth), spot)

    def _mark(self, alpha: Image.Image, item: PlacedPart, box: tuple[int, int, int, int]) -> None:
        ours = item.part.roadwork and len(self.placed) < 250
        solid = alpha
        at = (box[0], box[1])
        if self._shrink > 1.0:
            size = (max(1, round(alpha.width / self._shrink)), max(1, round(alpha.height / self._shrink)))
            solid = alpha.resize(size, Image.Resampling.BOX)
            at = (round(box[0] / self._shrink), round(box[1] / self._shrink))
        solid = solid.point(_SOLID)
        if ours:
            self.placed.append(Placed(item, box, solid.histogram()[255]))
        self._map.paste(len(self.placed) if ours else 0, at, solid)

    def _shine(self, glow: Glow, box: tuple[int, int, int, int], mirror: bool) -> None:
        strength = self.light.glow
        radius = int(glow.radius * (box[3] - box[1]))
        if strength <= 0.05 or radius < 2 or radius > self.camera.width // 2:
            return
        x = 1.0 - glow.x if mirror else glow.x
        centre = (int(box[0] + x * (box[2] - box[0])), int(box[1] + glow.y * (box[3] - box[1])))
        add_glow(self.canvas, centre, radius, glow.colour, strength)


def add_glow(canvas: Image.Image, centre: tuple[int, int], radius: int, colour: Colour, strength: float) -> None:
    """Add a lamp's halo to the canvas around a pixel."""
    box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
    mask = _halo(strength).resize((2 * radius, 2 * radius), Image.Resampling.BILINEAR)
    halo = Image.merge("RGB", [mask.point(_times(level)) for level in colour])
    canvas.paste(ImageChops.add(canvas.crop(box), halo), box[:2])


@lru_cache(maxsize=16)
def _halo(strength: float) -> Image.Image:
    table = [int(255 * strength * max(0.0, 1.0 - level / 180.0) ** 3) for level in range(256)]
    return Image.radial_gradient("L").point(table).reduce(4)


@lru_cache(maxsize=256)
def _times(level: int) -> list[int]:
    return [level * share // 255 for share in range(256)]


def _turned(
    sprite: Image.Image, item: PlacedPart, box: tuple[int, int, int, int]
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Mirror and tilt a sprite; its foot stays where it was."""
    if item.mirror:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if abs(item.tilt) < 1.0:
        return sprite, box
    sprite = sprite.rotate(item.tilt, Image.Resampling.BILINEAR, expand=True)
    middle = (box[0] + box[2]) // 2
    left, top = middle - sprite.width // 2, box[3] - sprite.height
    return sprite, (left, top, left + sprite.width, top + sprite.height)
