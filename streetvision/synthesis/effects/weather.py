"""Rain on a wet road, fog and snow."""

from __future__ import annotations

import numpy as np

from streetvision.synthesis.effects.fields import Pixels, blur, luma, mix, ramp, saturation, smooth_noise, streaks
from streetvision.synthesis.effects.street_geometry import Geometry, look_at


def rain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Overcast, the road wet and full of reflections, drops falling."""
    geometry = look_at(pixels)
    street = _overcast(pixels, geometry, rng, dim=float(rng.uniform(0.55, 0.78)))
    street = _wet(street, geometry, rng)
    street = _veiled(street, geometry, float(rng.uniform(90.0, 260.0)), np.array([0.62, 0.65, 0.68], np.float32))
    height, width = luma(pixels).shape
    lean, heavy = float(rng.uniform(-0.35, 0.35)), float(rng.uniform(0.5, 1.6))
    for share, long, dense, thick in ((0.10, 0.014, 1.0, 0.4), (0.16, 0.035, 0.4, 0.6), (0.22, 0.08, 0.08, 0.9)):
        drops = streaks((height, width), round(heavy * dense * 1500), long * height, lean, rng)
        drops = blur(drops, thick * width / 900) * (1.0 + thick)
        street = mix(street, np.array([0.82, 0.85, 0.88], np.float32), np.clip(share * heavy * drops, 0.0, 0.5))
    return np.clip(street, 0.0, 1.0)


def fog(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """What is far fades into grey, colours and sharpness with it (Koschmieder's law)."""
    geometry = look_at(pixels)
    street = _overcast(pixels, geometry, rng, dim=float(rng.uniform(0.8, 0.95)))
    air = np.array([1.0, 1.01, 1.03], np.float32) * float(rng.uniform(0.66, 0.82))
    patchy = smooth_noise(geometry.metres.shape, 2.0, rng, 2)
    return np.clip(_veiled(street, geometry, float(rng.uniform(22.0, 70.0)), air, 1.0 + 0.12 * patchy), 0.0, 1.0)


def snow(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """White ground with darker tracks, a white sky, flakes in the air."""
    geometry = look_at(pixels)
    street = _overcast(pixels, geometry, rng, dim=float(rng.uniform(0.85, 1.0)))
    street = _snowed(street, pixels, geometry, rng)
    street = _veiled(street, geometry, float(rng.uniform(70.0, 200.0)), np.array([0.80, 0.82, 0.85], np.float32))
    height, width = geometry.metres.shape
    for count, size, share in ((2500, 0.0009, 0.5), (500, 0.0018, 0.6), (60, 0.0045, 0.65)):
        flakes = streaks((height, width), round(count * rng.uniform(0.4, 1.2)), max(2.0, 2 * size * width), 0.2, rng)
        flakes = blur(flakes, size * width)
        street = mix(street, np.ones(3, np.float32), share * np.clip(flakes * (1.0 + 3 * size * width), 0.0, 1.0))
    return np.clip(street, 0.0, 1.0)


def _overcast(pixels: Pixels, geometry: Geometry, rng: np.random.Generator, *, dim: float) -> Pixels:
    """Flat light under clouds: less contrast and colour, the sky a light grey."""
    light = luma(pixels)[..., None]
    flat = light + (pixels - light) * float(rng.uniform(0.55, 0.8))
    middle = float(np.median(light))
    flat = (middle + (flat - middle) * 0.85) * dim * np.array([0.97, 1.0, 1.03], np.float32)
    height = len(pixels)
    rows = np.arange(height, dtype=np.float32)[:, None, None] / height
    clouds = smooth_noise(geometry.metres.shape, 4.0, rng)[..., None]
    grey = np.array([0.70, 0.72, 0.75], np.float32) * dim * (1.0 + 0.04 * clouds) + 0.12 * rows
    return mix(np.asarray(flat, np.float32), np.asarray(grey, np.float32), geometry.sky)


def _wet(street: Pixels, geometry: Geometry, rng: np.random.Generator) -> Pixels:
    """Darker ground that mirrors what stands behind it, more so far away and in puddles."""
    height, width = geometry.metres.shape
    rows = np.arange(height)
    mirrored = street[np.clip(np.round(2 * geometry.horizon - rows), 0, height - 1).astype(int)]
    mirrored = blur(mirrored, height / 45, across=width / 400)
    puddles = ramp(smooth_noise((height, width), 7.0, rng), 0.2, 0.9)
    grazing = 0.55 - 0.35 * geometry.below()
    share = geometry.ground * np.clip(grazing * (0.55 + 0.7 * puddles), 0.0, 0.85)
    dark = mix(street, street * 0.62, geometry.ground)
    return mix(dark, mirrored * np.array([0.9, 0.93, 0.96], np.float32), np.asarray(share, np.float32))


def _veiled(street: Pixels, geometry: Geometry, sight: float, air: Pixels, uneven: Pixels | float = 1.0) -> Pixels:
    """Light of the air between the camera and things; at `sight` metres a third of them is left."""
    veil = 1.0 - np.exp(-geometry.metres * uneven / sight)
    soft = mix(street, blur(street, street.shape[1] / 450), np.asarray(0.8 * veil, np.float32))
    return mix(soft, air * float(0.35 + 0.65 * min(1.0, 3.5 * luma(street).mean())), np.asarray(veil, np.float32))


def _snowed(street: Pixels, pixels: Pixels, geometry: Geometry, rng: np.random.Generator) -> Pixels:
    """Snow on flat ground and on what is green or brown; pure colours, as of cones, stay."""
    height, width = geometry.metres.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    below = ramp(rows, geometry.horizon, geometry.horizon + 0.14 * height)
    lumps = smooth_noise((height, width), 9.0, rng)
    across = (columns - geometry.middle) / np.maximum(rows - geometry.horizon, 1.0) + float(rng.uniform(-0.2, 0.2))
    worn = 0.5 + 0.5 * ramp(smooth_noise((height, width), 14.0, rng), -0.8, 0.4)
    tracks = np.exp(-((np.abs(np.abs(across) - 0.6) / 0.2) ** 2)) * worn * float(rng.uniform(0.5, 1.0))
    red = pixels[..., 0] - pixels[..., 2]
    green = np.asarray(pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2]))
    plain = 1.0 - ramp(np.asarray(saturation(pixels) * ramp(red, 0.1, 0.3)), 0.35, 0.6)
    ground = np.maximum(ramp(geometry.flat, 0.1, 0.6), 0.75 * ramp(green, 0.01, 0.06))
    cover = below * ground * plain * np.clip(0.88 + 0.08 * lumps - 0.8 * tracks, 0.0, 1.0)
    leaves = (1.0 - below) * ramp(green, 0.02, 0.08) * ramp(lumps, 0.0, 1.0) * 0.6
    detail = luma(street) - blur(luma(street), width / 60)
    white = (0.84 + 0.03 * lumps + 0.5 * detail)[..., None] * np.array([0.98, 1.0, 1.03], np.float32)
    return mix(street, np.asarray(white, np.float32), np.asarray(np.maximum(cover, leaves * plain), np.float32))
