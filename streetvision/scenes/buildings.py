"""Rows of houses along the street, their fronts receding to the vanishing point; guard rails and walls elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from streetvision.scenes.camera import Camera
from streetvision.scenes.pen import Colour, mix, shade
from streetvision.scenes.street import Light, Street

FRONTS: tuple[Colour, ...] = (
    (176, 160, 140), (150, 90, 70), (200, 190, 170), (120, 118, 116), (214, 176, 130), (226, 140, 70),
    (170, 70, 50), (228, 226, 220), (110, 130, 150), (236, 120, 40), (90, 84, 80),
)  # fmt: skip


def lit(light: Light, colour: Colour, z: float, gain: float = 1.0) -> Colour:
    """A surface's colour in this light at distance z, haze included."""
    veil = 1.0 - float(np.exp(-z * light.haze))
    red, green, blue = (min(255, int(c * a * gain)) for c, a in zip(colour, light.ambient, strict=True))
    return mix((red, green, blue), light.skyline, veil)


def draw_buildings(canvas: Image.Image, camera: Camera, street: Street, rng: Random) -> None:
    """Houses on one or both sides, near to far along the road, painted from the far end."""
    draw = ImageDraw.Draw(canvas)
    for side in (-1.0, 1.0):
        if rng.random() < {"urban": 0.9, "suburban": 0.5, "rural": 0.12, "highway": 0.1}[street.kind]:
            edge = street.left if side < 0 else street.right
            x = edge + side * (street.shoulder + rng.uniform(1.0, 9.0))
            _row(_Site(draw, camera, street.light), rng, x, side)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where and in which light houses are drawn."""

    draw: ImageDraw.ImageDraw
    camera: Camera
    light: Light


def _row(site: _Site, rng: Random, x: float, side: float) -> None:
    z = max(site.camera.nearest * 0.6, 2.0)
    houses: list[tuple[float, float, float, Colour]] = []
    while z < 130.0 and len(houses) < 9:
        length = rng.uniform(6.0, 24.0)
        houses.append((z, z + length, rng.uniform(3.5, 22.0), rng.choice(FRONTS)))
        z += length + rng.choice((0.0, 0.0, rng.uniform(1.0, 12.0)))
    for near, far, height, front in reversed(houses):
        _house(site, rng, (x, near, far, height), front, side)


def _house(site: _Site, rng: Random, place: tuple[float, float, float, float], front: Colour, side: float) -> None:
    draw, camera, light = site.draw, site.camera, site.light
    x, near, far, height = place
    tone = shade(rng, front, 20)
    gain = 0.85 + 0.2 * (light.sun_side * -side)
    edge = camera.project(x, 0.0, near), camera.project(x, height, near)
    deep = camera.project(x + side * 25.0, 0.0, near), camera.project(x + side * 25.0, height, near)
    draw.polygon([*edge, deep[1], deep[0]], fill=lit(light, tone, near, gain * 0.8))
    _face(draw, camera, (x, near, far, 0.0, height), lit(light, tone, near, gain))
    floors, bays = max(1, min(6, int(height / 3.2))), max(1, min(7, int((far - near) / 3.0)))
    pane = rng.choice(((60, 70, 84), (80, 96, 110), (44, 48, 56)))
    glowing = light.glow > 0.3
    for floor in range(floors):
        for bay in range(bays):
            z0 = near + (far - near) * (bay + 0.25) / bays
            z1 = near + (far - near) * (bay + 0.75) / bays
            y0 = height * (floor + 0.3) / floors
            colour = lit(light, pane, z0)
            if glowing and rng.random() < 0.3:
                colour = shade(rng, (236, 190, 110), 20)
            _face(draw, camera, (x, z0, z1, y0, y0 + height * 0.45 / floors), colour)
    if rng.random() < 0.25:
        awning = rng.choice(((236, 110, 30), (200, 40, 40), (40, 100, 70), (40, 70, 140), (230, 170, 40)))
        out = x - side * 1.2
        quad = [camera.project(x, 3.2, near), camera.project(x, 3.2, far)]
        quad += [camera.project(out, 2.5, far), camera.project(out, 2.5, near)]
        draw.polygon(quad, fill=lit(light, awning, near))


def _face(
    draw: ImageDraw.ImageDraw, camera: Camera, quad: tuple[float, float, float, float, float], colour: Colour
) -> None:
    x, z0, z1, y0, y1 = quad
    corners = [(z0, y0), (z1, y0), (z1, y1), (z0, y1)]
    draw.polygon([camera.project(x, y, z) for z, y in corners], fill=colour)


def draw_rails(canvas: Image.Image, camera: Camera, street: Street, rng: Random) -> None:
    """Guard rails, concrete walls, hedges or fences beside the road."""
    draw = ImageDraw.Draw(canvas)
    for side in (-1.0, 1.0):
        if rng.random() > {"urban": 0.1, "suburban": 0.3, "rural": 0.4, "highway": 0.65}[street.kind]:
            continue
        edge = street.left if side < 0 else street.right
        x = edge + side * (street.shoulder + rng.uniform(0.1, 1.5))
        kind, light = rng.randrange(4), street.light
        low, high = ((0.45, 0.78), (0.0, rng.uniform(0.8, 3.0)), (0.0, rng.uniform(0.7, 1.6)), (0.5, 1.1))[kind]
        tone = shade(rng, ((170, 172, 174), (176, 174, 168), (66, 94, 48), (130, 110, 90))[kind], 18)
        cuts = [max(camera.nearest * 0.7, 1.0) * 1.35**step for step in range(16)]
        for near, far in zip(reversed(cuts[:-1]), reversed(cuts[1:]), strict=True):
            _face(draw, camera, (x, near, far, low, high), lit(light, shade(rng, tone, 6), near))
            if kind in {0, 3}:
                _face(draw, camera, (x, near, near * 1.02, 0.0, high), lit(light, mix(tone, (40, 40, 40), 0.3), near))
