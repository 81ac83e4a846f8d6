"""Shapes to pixels: rays find surfaces, then all pixels are shaded at once in linear light.

Deferred shading with a shadow map: L. Williams, "Casting curved shadows on curved surfaces", 1978; J. Blinn's halfway
vector for the highlight; Schlick's approximation of Fresnel for the mirrored sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes import noise
from streetvision.scenes.sprites import shadows
from streetvision.scenes.sprites.camera import Frame, View
from streetvision.scenes.sprites.lighting import Lighting
from streetvision.scenes.sprites.shapes import Array, Hit, Shape
from streetvision.scenes.sprites.surface import Surface

Indices = NDArray[np.intp]

SUPERSAMPLING = 2
"""Rays a pixel along each side."""


@dataclass(frozen=True, slots=True)
class Wear:
    """How used a thing looks, each 0 to 1: dirt that gathers below, bleaching by the sun, scuffs; where dirt lies."""

    dirt: float = 0.2
    fading: float = 0.1
    scuffs: float = 0.1
    place: float = 0.0
    tint: tuple[float, float, float] = (0.12, 0.1, 0.08)


class Picture(NamedTuple):
    """Straight alpha RGBA uint8 [H, W, 4], its shadow on the ground uint8 [H, W], the frame of rays."""

    pixels: NDArray[np.uint8]
    shadow: NDArray[np.uint8]
    frame: Frame


class _Buffers(NamedTuple):
    """What each ray found: premultiplied by coverage where panels let light through."""

    texels: Array
    """[6, rows, columns]: colour, coverage, retroreflection, glow."""
    normals: Array
    """[3, rows, columns]"""
    finish: Array
    """[3, rows, columns]: gloss, bump, wear."""
    depth: Array
    """[rows, columns], infinite where nothing is."""


class _Points(NamedTuple):
    """K places on surfaces that the viewer sees."""

    albedo: Array
    """[3, K]"""
    normal: Array
    """[3, K], unit length."""
    ray: Array
    """[3, K]: from the viewer."""
    height: Array
    """[K]: metres above the ground."""
    gloss: Array
    """[K]"""
    sunlit: Array
    """[K], 0 to 1."""
    open: Array
    """[K]: share of the sky that is not hidden by things around."""


def render(
    shapes: Sequence[Shape], view: View, light: Lighting, wear: Wear, *, longest: int, grounded: bool = True
) -> Picture:
    """The shapes as this viewer sees them in this light, `longest` pixels along the longer side."""
    frame = Frame(shapes, view, longest * SUPERSAMPLING)
    directions = frame.directions()
    found = _trace(shapes, frame, directions)
    sun = light.towards_sun(view.azimuth)
    shadow_map = shadows.ShadowMap(shapes, frame.outlines, sun)
    row, column = np.nonzero(found.texels[3] > 0.004)
    coverage = found.texels[3][row, column]
    extra = found.texels[4:, row, column] / coverage
    canvas = np.zeros((4, frame.rows, frame.columns), np.float32)
    canvas[:3, row, column] = _seen(_points(found, frame, directions, shadow_map, wear), extra, light, sun) * coverage
    canvas[3] = found.texels[3]
    pixels = _developed(_reduced(canvas), light)
    shadow = np.zeros(pixels.shape[:2], np.uint8)
    if grounded:
        taken = shadows.on_ground(frame, directions, shadow_map, light.sun_share)
        shadow = _resized(taken, pixels.shape[:2])
    return Picture(pixels, shadow, frame)


def _trace(shapes: Sequence[Shape], frame: Frame, directions: Array) -> _Buffers:
    size = (frame.rows, frame.columns)
    texels, normals, finish = (np.zeros((channels, *size), np.float32) for channels in (6, 3, 3))
    buffers = _Buffers(texels, normals, finish, np.full(size, np.inf, np.float32))
    origin = frame.eye[:, None]
    for index, shape in enumerate(shapes):
        rows, columns = frame.window(index)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if height <= 0 or width <= 0:
            continue
        hit = shape.meet(origin, directions[:, rows, columns].reshape(3, -1))
        where = (hit.rays // width + rows.start, hit.rays % width + columns.start)
        nearer = np.flatnonzero(hit.distance < buffers.depth[where])
        if len(nearer):
            _write(buffers, shape.surface, (where[0][nearer], where[1][nearer]), hit.only(nearer))
    return buffers


def _write(buffers: _Buffers, surface: Surface, where: tuple[Indices, Indices], hit: Hit) -> None:
    """Put what was hit before what lies behind it, as far as it is opaque."""
    row, column = where
    texels = surface.sample(hit.u, hit.v)
    finish = np.array([[surface.gloss], [surface.bump], [surface.wear]], np.float32)
    alpha = texels[3]
    if alpha.min() >= 1.0:
        buffers.texels[:, row, column] = texels
        buffers.normals[:, row, column] = hit.normal
        buffers.finish[:, row, column] = finish
        buffers.depth[row, column] = hit.distance
        return
    front = np.concatenate([texels[:3] * alpha, alpha[None], texels[4:] * alpha])
    for buffer, values in zip(buffers[:3], (front, hit.normal * alpha, finish * alpha), strict=True):
        buffer[:, row, column] = buffer[:, row, column] * (1.0 - alpha) + values
    solid = alpha > 0.5
    buffers.depth[row[solid], column[solid]] = hit.distance[solid]


def _points(found: _Buffers, frame: Frame, directions: Array, shadow_map: shadows.ShadowMap, wear: Wear) -> _Points:
    """Where the viewer's rays end, worn and roughened, and what light can come there."""
    row, column = np.nonzero(found.texels[3] > 0.004)
    coverage = found.texels[3][row, column]
    gloss, bump, share = found.finish[:, row, column] / coverage
    ray, depth = directions[:, row, column], found.depth[row, column]
    depth = np.where(np.isfinite(depth), depth, np.float32(np.sqrt(frame.eye @ frame.eye)))
    place = frame.eye[:, None] + depth * ray
    normal = _roughened(found.normals[:, row, column], place, bump)
    albedo = _worn(found.texels[:3, row, column] / coverage, place, normal[1], share, wear)
    sunlit = shadow_map.free(place + 0.01 * normal)
    hidden = shadows.crevices(found.depth, frame)[row, column]
    return _Points(albedo, normal, ray, place[1], gloss, sunlit, hidden)


def _seen(points: _Points, extra: Array, light: Lighting, sun: Array) -> Array:
    """Light [3, K] that leaves towards the viewer; `extra` [2, K] is retroreflection and glow."""
    facing = np.maximum(-(points.normal * points.ray).sum(axis=0), 0.0)
    returned = facing + 6.0 * extra[0] * np.sqrt(facing)
    lit = _diffuse(points, light, sun) + _mirrored(points, light, sun)
    lit = lit + points.albedo * (light.headlights * returned + extra[1])
    haze = np.array(light.haze_colour, np.float32)[:, None]
    result: Array = lit * (1 - light.haze) + haze * light.haze
    return result


def _colours(light: Lighting) -> tuple[Array, Array, Array]:
    sun, sky, ground = (np.array(colour, np.float32)[:, None] for colour in (light.sun, light.sky, light.ground))
    return sun, sky, ground


def _diffuse(points: _Points, light: Lighting, sun: Array) -> Array:
    """What sun, sky and ground light up."""
    sun_light, sky, ground = _colours(light)
    upward = 0.5 + 0.5 * points.normal[1]
    bounce = ground * (sun_light * max(float(sun[1]), 0.0) + sky) + 0.35 * ground
    near_ground = 1.0 - 0.4 * np.exp(-np.maximum(points.height, 0.0) / 0.12)
    ambient = (sky * upward + bounce * (1 - upward)) * points.open * near_ground
    result: Array = points.albedo * (ambient + sun_light * np.maximum(sun @ points.normal, 0.0) * points.sunlit)
    return result


def _mirrored(points: _Points, light: Lighting, sun: Array) -> Array:
    """The mirrored surroundings and the sun's highlight."""
    sun_light, sky, ground = _colours(light)
    normal, ray, gloss = points.normal, points.ray, points.gloss
    cosine = -(normal * ray).sum(axis=0)
    fresnel = gloss * (0.06 + 0.94 * (1.0 - np.clip(cosine, 0.0, 1.0)) ** 5) * points.open
    half = sun[:, None] - ray
    half = half / np.sqrt((half * half).sum(axis=0))
    sharp = 8.0 + 150.0 * gloss * gloss
    highlight = np.clip((half * normal).sum(axis=0), 0.0, 1.0) ** sharp * points.sunlit * gloss * (0.15 + 2.5 * gloss)
    result: Array = fresnel * _surroundings(ray + 2 * cosine * normal, sky, ground) + sun_light * highlight
    return result


def _surroundings(direction: Array, sky: Array, ground: Array) -> Array:
    """What a mirror shows: sky above an uneven line of houses and trees, road below."""
    bearing = np.arctan2(direction[0], direction[2]) * 40.0
    skyline = 0.16 + 0.1 * noise.lookup(noise.cloudy(), np.zeros_like(bearing), bearing)
    above = np.clip((direction[1] - skyline) * 12.0, 0.0, 1.0)
    level = sky * (1.5 - 0.5 * np.clip(direction[1], 0, 1)) * 1.4
    result: Array = level * above + (0.25 * sky + ground) * 0.6 * (1 - above)
    return result


def _roughened(normal: Array, place: Array, bump: Array) -> Array:
    """Normals bent by noise in proportion to `bump`, unit length again."""
    if float(bump.max(initial=0.0)) > 0:
        along, across = (place[0] + 0.6 * place[2]) * 260.0, (place[1] - 0.35 * place[2]) * 260.0
        shift = [noise.lookup(noise.cloudy(), along + 97.0 * axis, across + 41.0 * axis) for axis in range(3)]
        normal = normal + bump * np.stack(shift)
    result: Array = normal / np.maximum(np.sqrt((normal * normal).sum(axis=0)), 1e-6)
    return result


def _worn(albedo: Array, place: Array, upward: Array, share: Array, wear: Wear) -> Array:
    """Colours bleached, dirty (more so low down and on top) and scuffed."""
    along, across = (place[0] + 0.7 * place[2]) * 180.0 + wear.place, place[1] * 180.0 + wear.place
    clouds = noise.lookup(noise.cloudy(), along, across)
    bleached = wear.fading * share * np.clip(0.7 + 0.3 * clouds, 0.0, 1.0)
    grey = 0.3 + 0.45 * albedo.mean(axis=0)
    albedo = albedo * (1 - bleached) + grey * bleached
    low = np.exp(-np.maximum(place[1], 0.0) / 0.35)
    dirt = np.clip(wear.dirt * share * (0.55 + 0.5 * clouds + 0.8 * low + 0.25 * upward), 0.0, 0.85)
    albedo = albedo * (1 - dirt) + np.array(wear.tint, np.float32)[:, None] * dirt
    scratches = noise.lookup(noise.fine(), across * 0.35, along * 2.0) + clouds * 0.7
    scuffed = np.where(scratches > 2.4 - 1.2 * wear.scuffs, 0.6 * share * min(1.0, 3 * wear.scuffs), 0.0)
    result: Array = albedo * (1 - scuffed) + 0.08 * scuffed
    return result


def _reduced(canvas: Array) -> Array:
    """The mean of the rays of each pixel; odd rows and columns are padded with nothing."""
    channels, rows, columns = canvas.shape
    factor = SUPERSAMPLING
    padded = np.pad(canvas, ((0, 0), (0, -rows % factor), (0, -columns % factor)))
    blocks = padded.reshape(channels, padded.shape[1] // factor, factor, padded.shape[2] // factor, factor)
    result: Array = blocks.mean(axis=(2, 4))
    return result


def _developed(canvas: Array, light: Lighting) -> NDArray[np.uint8]:
    """Premultiplied linear light and coverage [4, H, W] as straight sRGB, with a soft shoulder as cameras have."""
    coverage = canvas[3]
    level = canvas[:3] / np.maximum(coverage, 1e-4) * light.exposure
    level = np.where(level > 0.6, 1.0 - 0.4 * np.exp(-(level - 0.6) / 0.4), np.maximum(level, 0.0))
    encoded = np.where(level < 0.0031, 12.92 * level, 1.055 * np.maximum(level, 1e-6) ** (1 / 2.4) - 0.055)
    pixels = np.concatenate([encoded, coverage[None]]).clip(0.0, 1.0)
    result: NDArray[np.uint8] = np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0)
    return result


def _resized(values: Array, size: tuple[int, ...]) -> NDArray[np.uint8]:
    picture = Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
