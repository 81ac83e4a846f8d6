"""The picture before objects: sky, skyline and the ground in perspective with its textures and markings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes import noise
from streetvision.scenes.camera import Camera
from streetvision.scenes.pen import Colour
from streetvision.scenes.street import Marking, Street

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of the ground in metres with another surface: repairs, trenches, spilled earth."""

    x0: float
    x1: float
    z0: float
    z1: float
    colour: Colour
    rough: float
    rim: float = 0.0
    """How dark the edge is, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Surface:
    """What lies on this ground beside the street's own markings."""

    patches: tuple[Patch, ...] = ()
    markings: tuple[Marking, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ground:
    """Ground coordinates of each pixel below the horizon: x [rows, width], z [rows, 1], metres per pixel [rows, 1]."""

    top: int
    x: Field
    z: Field
    pixel: Field


def paint_backdrop(camera: Camera, street: Street, rng: Random, surface: Surface) -> Image.Image:
    """The empty street as an RGB image of the camera's size."""
    canvas = np.empty((3, camera.height, camera.width), np.float32)
    ground = _coordinates(camera)
    if ground.top > 0:
        _paint_sky(canvas[:, : ground.top], street, rng)
        _paint_skyline(canvas[:, : ground.top], street, rng)
    if ground.top < camera.height:
        _paint_ground(canvas[:, ground.top :], ground, street, rng, surface)
    np.clip(canvas, 0.0, 255.0, out=canvas)
    return Image.merge("RGB", [Image.fromarray(plane) for plane in canvas.astype(np.uint8)])


def _rgb(colour: Sequence[float]) -> Field:
    """A colour that broadcasts over planes [3, rows, width]: planar arithmetic is several times faster."""
    return np.asarray(colour, np.float32)[:, None, None]


def _coordinates(camera: Camera) -> _Ground:
    top = int(min(max(camera.horizon + 1.0, 0.0), camera.height))
    rows = np.arange(top, camera.height, dtype=np.float32)[:, None] + np.float32(0.5)
    z = np.minimum(camera.focal * camera.eye / np.maximum(rows - camera.horizon, 0.5), 600.0).astype(np.float32)
    columns = np.arange(camera.width, dtype=np.float32)[None, :] + np.float32(0.5 - camera.centre)
    pixel = z / np.float32(camera.focal)
    return _Ground(top=top, x=columns * pixel - np.float32(camera.bend) * z * z, z=z, pixel=pixel)


def _paint_sky(sky: Field, street: Street, rng: Random) -> None:
    height, width = sky.shape[1:]
    ramp = np.linspace(0.0, 1.0, height, dtype=np.float32)[None, :, None] ** np.float32(rng.uniform(0.7, 2.0))
    light = street.light
    sky[:] = _rgb(light.zenith) * (1 - ramp) + _rgb(light.skyline) * ramp
    rows = np.arange(height, dtype=np.float32)[:, None] * np.float32(rng.uniform(0.8, 2.0) * 256 / max(width, 1))
    columns = np.arange(width, dtype=np.float32)[None, :] * np.float32(rng.uniform(0.3, 0.9) * 256 / max(width, 1))
    cloud = noise.lookup(noise.cloudy(), rows + rng.randrange(512), columns + rng.randrange(512))
    tone = np.float32(40.0 if light.name == "night" else 215.0 if light.name != "dusk" else 170.0)
    share = np.clip((cloud + np.float32(light.clouds * 2 - 1.2)) * 0.5, 0.0, 0.8)
    sky += (tone - sky) * share
    if light.name == "dusk" and rng.random() < 0.6:
        _paint_sun(sky, rng)


def _paint_sun(sky: Field, rng: Random) -> None:
    height, width = sky.shape[1:]
    row, column = rng.uniform(0.5, 1.05) * height, rng.uniform(0.0, 1.0) * width
    y = (np.arange(height, dtype=np.float32)[:, None] - row) / width
    x = (np.arange(width, dtype=np.float32)[None, :] - column) / width
    glow = np.exp(-np.sqrt(x * x + y * y) * rng.uniform(5.0, 14.0)).astype(np.float32)
    sky += glow * _rgb((200.0, 120.0, 30.0))


def _paint_skyline(sky: Field, street: Street, rng: Random) -> None:
    """Hills, woods or roofs in front of the sky."""
    height, width = sky.shape[1:]
    for tone in _skyline_tones(street, rng):
        stretch = rng.uniform(0.3, 2.0) * 200 / max(width, 1)
        at = (np.arange(width) * stretch + rng.randrange(512)).astype(np.int32) & (noise.SIDE - 1)
        tall = rng.uniform(0.02, 0.14) * width
        profile = height - tall * (1.0 + 0.5 * noise.cloudy()[rng.randrange(512), at])
        if street.kind == "urban" and rng.random() < 0.7:
            profile = np.repeat(profile[::13], 13)[:width]
        top = int(max(0, profile.min()))
        rows = np.arange(top, height, dtype=np.float32)[:, None]
        inside = np.clip(rows - profile[None, :].astype(np.float32), 0.0, 1.0)
        grain = noise.patch(noise.fine(), rng, height - top, width) * np.float32(rng.uniform(2, 12))
        sky[:, top:] += (tone + grain - sky[:, top:]) * inside


def _skyline_tones(street: Street, rng: Random) -> list[Field]:
    light, tones = street.light, []
    for layer in range(rng.randint(0, 2) + 1):
        base = rng.choice(((60, 84, 48), (74, 90, 60), (104, 100, 80), (96, 98, 104), (130, 126, 120)))
        share = min(0.85, (0.5 - 0.25 * layer) + light.haze * 12)
        lit = _rgb(base) * _rgb(light.ambient)
        tones.append(lit * np.float32(1 - share) + _rgb(light.skyline) * np.float32(share))
    return tones


def _paint_ground(canvas: Field, ground: _Ground, street: Street, rng: Random, surface: Surface) -> None:
    canvas[:] = _rgb(street.verge)
    coarse = _texture(ground, rng, noise.cloudy(), rng.uniform(4.0, 20.0))
    fine = _texture(ground, rng, noise.fine(), rng.uniform(25.0, 90.0))
    on_shoulder = _between(ground, street.left - street.shoulder, street.right + street.shoulder)
    on_road = _between(ground, street.left, street.right)
    _blend(canvas, street.shoulder_colour, on_shoulder)
    _blend(canvas, street.asphalt, on_road)
    rough = np.float32(20.0) - np.float32(14.0) * on_road
    canvas += coarse * rough + fine * np.float32(rng.uniform(3.0, 15.0))
    _wear(canvas, ground, street, rng, on_road)
    if street.kind in {"urban", "suburban"}:
        _kerb(canvas, ground, street)
    for patch in surface.patches:
        _paint_patch(canvas, ground, patch, coarse, fine)
    worn = np.clip(1.2 - street.wear * np.clip(coarse + fine * 0.4 + 0.2, 0.0, 1.2), 0.0, 1.0)
    for marking in (*street.markings, *surface.markings):
        _blend(canvas, marking.colour, (_line(ground, marking) * worn).astype(np.float32))
    if street.leaves:
        _leaves(canvas, ground, street, rng)
    _light_ground(canvas, ground, street, rng)


def _texture(ground: _Ground, rng: Random, tile: Field, per_metre: float) -> Field:
    """Noise fixed to the ground, fading where a pixel covers many of its grains."""
    scale = np.float32(per_metre)
    rows = ground.z * scale + np.float32(rng.randrange(4096))
    value = noise.lookup(tile, rows, ground.x * scale + np.float32(rng.randrange(4096) + 65536))
    faded: Field = value / (1.0 + ground.pixel * scale * np.float32(0.25))
    return faded


def _between(ground: _Ground, left: float, right: float) -> Field:
    """Coverage [rows, width] in [0, 1] of the strip between two x in metres, antialiased."""
    middle, half = np.float32((left + right) / 2), np.float32((right - left) / 2)
    share: Field = np.clip((half - np.abs(ground.x - middle)) / ground.pixel + np.float32(0.5), 0.0, 1.0)
    return share


def _line(ground: _Ground, marking: Marking) -> Field:
    half = np.float32(marking.width / 2)
    across: Field = np.clip(
        (half - np.abs(ground.x - np.float32(marking.x))) / ground.pixel + np.float32(0.5), 0.0, 1.0
    )
    across = np.minimum(across, np.minimum(2 * half / ground.pixel, 1.0))
    if marking.gap:
        across *= (ground.z % np.float32(marking.dash + marking.gap)) < np.float32(marking.dash)
    return across


def _blend(canvas: Field, colour: Colour, share: Field) -> None:
    rows, columns = np.flatnonzero(share.any(axis=1)), np.flatnonzero(share.any(axis=0))
    if rows.size == 0:
        return
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    window = canvas[:, *part]
    window += (_rgb(colour) - window) * share[part]


def _wear(canvas: Field, ground: _Ground, street: Street, rng: Random, on_road: Field) -> None:
    """Tyre tracks, stains and cracks of ordinary roads."""
    tracks = np.cos((ground.x - np.float32(rng.uniform(0, 3))) * np.float32(2 * np.pi / rng.uniform(1.6, 1.9)))
    stains = _texture(ground, rng, noise.cloudy(), rng.uniform(0.5, 3.0))
    change = tracks * np.float32(rng.uniform(-7, 7)) + np.minimum(stains, 0.3) * np.float32(16 * street.wear)
    if rng.random() < 0.5 * street.wear + 0.1:
        ridge = np.abs(_texture(ground, rng, noise.cloudy(), rng.uniform(15.0, 50.0)))
        change = change - np.float32(38.0) * (ridge < 0.035) * (stains < rng.uniform(-0.5, 0.7))
    canvas += (change * on_road).astype(np.float32)


def _kerb(canvas: Field, ground: _Ground, street: Street) -> None:
    for x in (street.left, street.right):
        _blend(canvas, (172, 170, 164), _between(ground, x - 0.1, x + 0.1) * np.float32(0.7))
    joints = ((ground.z % np.float32(1.5)) < 0.07).astype(np.float32) * (ground.z < 25.0)
    outside = 1.0 - _between(ground, street.left, street.right)
    canvas -= outside * joints * np.float32(22.0)


def _paint_patch(canvas: Field, ground: _Ground, patch: Patch, coarse: Field, fine: Field) -> None:
    ragged = ground.z + coarse * np.float32(0.25)
    along = np.clip(np.minimum(ragged - patch.z0, patch.z1 - ragged) / (ground.pixel * 4) + 0.5, 0.0, 1.0)
    share = _between(ground, patch.x0, patch.x1) * along
    _blend(canvas, patch.colour, share.astype(np.float32))
    canvas += ((coarse + fine) * share * np.float32(patch.rough)).astype(np.float32)
    if patch.rim:
        edge = share * (1 - _between(ground, patch.x0 + 0.15, patch.x1 - 0.15) * np.clip(along, 0.0, 1.0))
        canvas *= (1 - edge * np.float32(patch.rim)).astype(np.float32)


def _leaves(canvas: Field, ground: _Ground, street: Street, rng: Random) -> None:
    """Fallen leaves: specks of orange and brown, denser at the sides."""
    specks = _texture(ground, rng, noise.fine(), rng.uniform(6.0, 14.0))
    edge = 1.0 - 0.6 * _between(ground, street.left + 1.0, street.right - 1.0)
    share = np.clip((specks - np.float32(2.2 - street.leaves)) * 4.0, 0.0, 1.0) * edge
    _blend(canvas, rng.choice(((206, 110, 30), (180, 90, 40), (214, 150, 40))), share.astype(np.float32))


def _light_ground(canvas: Field, ground: _Ground, street: Street, rng: Random) -> None:
    """Ambient light, shadows of what stands outside the picture, wetness, headlights and haze."""
    light = street.light
    canvas *= _rgb(light.ambient)
    if light.name == "sunny" and rng.random() < 0.45:
        shadow = _texture(ground, rng, noise.cloudy(), rng.uniform(2.0, 9.0))
        shadow = np.clip((shadow - np.float32(rng.uniform(0.0, 1.0))) * 4.0, 0.0, 1.0)
        canvas *= (1.0 - np.float32(rng.uniform(0.25, 0.55)) * shadow).astype(np.float32)
    if light.weather == "rain":
        mirror = np.linspace(rng.uniform(0.3, 0.6), 0.1, canvas.shape[1], dtype=np.float32)[:, None]
        canvas += (_rgb(light.skyline) - canvas) * (mirror * np.float32(0.7))
    if light.name == "night" and rng.random() < 0.7:
        beam = np.exp(-((ground.x / 3.0) ** 2) - ground.z / 22.0) * np.float32(rng.uniform(0.4, 1.3))
        canvas *= (1.0 + beam).astype(np.float32)
    veil = 1.0 - np.exp(-ground.z * np.float32(light.haze))
    canvas += (_rgb(light.skyline) - canvas) * veil
