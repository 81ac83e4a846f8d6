"""By night: the day's light is taken away, and headlamps, street lamps and what glows by itself give some back."""

from __future__ import annotations

import numpy as np

from streetvision.synthesis.effects.fields import Field, Pixels, blur, luma, mix, ramp, saturation
from streetvision.synthesis.effects.street_geometry import FOCAL, Geometry, look_at

GAMMA = 2.2
LAMPS_M = (9.0, 17.0, 28.0, 42.0, 60.0, 85.0)
"""How far away the street lamps of one side stand, about."""
LAMP_HEIGHT_M = 7.5
WARM, COLD, SODIUM = (
    np.array(colour, np.float32) for colour in ((1.0, 0.86, 0.66), (0.9, 0.96, 1.0), (1.0, 0.62, 0.25))
)
MOON = np.array([0.62, 0.78, 1.0], np.float32)


def night(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The same street by night."""
    geometry = look_at(pixels)
    day = pixels**GAMMA
    grey = luma(day)[..., None]
    surface = grey + (day - grey) * 0.8
    lamp = (SODIUM, WARM, COLD)[rng.integers(3)]
    glow, pools = _street_lamps(geometry, rng) if rng.random() < 0.8 else (_nothing(geometry), _nothing(geometry))
    beam = _headlamps(geometry, rng) * float(rng.uniform(0.5, 1.3))
    light = float(rng.uniform(0.015, 0.05)) * MOON + beam[..., None] * WARM + pools[..., None] * lamp
    dark = surface * light + _reflectors(pixels, geometry)[..., None] * day * (0.25 + 2.0 * beam[..., None])
    dark = dark + _own_light(pixels, geometry)[..., None] * day * 0.8
    dark = mix(dark, _sky(geometry, lamp, rng), geometry.sky)
    dark = dark + glow[..., None] * (0.35 + 0.65 * lamp)
    return _exposed(np.asarray(dark, np.float32), rng)


def _nothing(geometry: Geometry) -> Field:
    return np.zeros_like(geometry.metres)


def _headlamps(geometry: Geometry, rng: np.random.Generator) -> Field:
    """The own car's: two low beams, wide below the horizon and cut off above it."""
    height, width = geometry.metres.shape
    columns = (np.arange(width, dtype=np.float32)[None] + 0.5 - geometry.middle) / width
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None] + 0.5, (height, width))
    aside = np.exp(-(((columns - float(rng.uniform(-0.06, 0.06))) / 0.36) ** 2))
    fall = 1.0 / (1.0 + (geometry.metres / float(rng.uniform(14.0, 26.0))) ** 1.5)
    cut = 0.10 + 0.90 * ramp(rows, geometry.horizon - 0.10 * height, geometry.horizon + 0.05 * height)
    near = ramp(geometry.metres, 2.5, 6.5)
    return np.asarray(aside * fall * cut * (0.5 + 0.5 * near), np.float32)


def _street_lamps(geometry: Geometry, rng: np.random.Generator) -> tuple[Field, Field]:
    """The glow around the lamps, and what falls on the street below them."""
    height, width = geometry.metres.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    glow, pools = _nothing(geometry), _nothing(geometry)
    sides = ((-1, 1), (-1,), (1,))[rng.integers(3)]
    aside, offset = float(rng.uniform(5.0, 9.0)), float(rng.uniform(0.8, 1.3))
    for side in sides:
        for metres in LAMPS_M:
            away = metres * offset * float(rng.uniform(0.95, 1.05))
            x, y = geometry.column(side * aside, away), geometry.row(LAMP_HEIGHT_M, away)
            scale = FOCAL * width / away
            foot = geometry.row(0.0, away)
            pools += 0.10 * np.exp(-(((columns - x) / (5.0 * scale)) ** 2) - ((rows - foot) / (1.1 * scale)) ** 2)
            if -0.02 * width < x < 1.02 * width and y > -0.02 * height:
                square = (columns - x) ** 2 + (rows - y) ** 2
                core, halo = (0.16 * scale) ** 2 + 1.5, (0.9 * scale) ** 2 + 30.0
                glow += 1.4 * np.exp(-square / core) + 0.05 / (1.0 + square / halo) ** 1.5
    return glow, pools


def _reflectors(pixels: Pixels, geometry: Geometry) -> Field:
    """What sends headlamps back: pure orange, red and yellow, as of cones, beacons and signs; not leaves, not sky."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    warm = ramp(np.asarray(red - np.maximum(blue, 0.75 * green)), 0.08, 0.25)
    pure = ramp(saturation(pixels), 0.45, 0.7) * ramp(red, 0.35, 0.6)
    return np.asarray(blur(warm * pure, 0.8) * (1.0 - geometry.sky), np.float32)


def _own_light(pixels: Pixels, geometry: Geometry) -> Field:
    """Lamps that were lit by day: small, pure and much brighter than what is around them."""
    light = luma(pixels)
    lone = ramp(light - blur(light, pixels.shape[1] / 60), 0.22, 0.4)
    return np.asarray(lone * ramp(saturation(pixels), 0.5, 0.8) * (1.0 - geometry.sky), np.float32)


def _sky(geometry: Geometry, lamp: Field, rng: np.random.Generator) -> Pixels:
    """Deep blue or grey, lighter over the town."""
    height, width = geometry.metres.shape
    above = geometry.above()[..., None]
    top = np.array([0.010, 0.014, 0.026], np.float32) * float(rng.uniform(0.3, 1.4))
    town = (0.25 * top.mean() / 0.02 + 0.75) * 0.035 * lamp * float(rng.uniform(0.2, 1.2))
    return np.asarray(np.broadcast_to(top + town * (1.0 - above) ** 3, (height, width, 3)), np.float32)


def _exposed(dark: Pixels, rng: np.random.Generator) -> Pixels:
    """As a camera brings it up: exposure, bloom, grain of few photons, its curve."""
    width = dark.shape[1]
    bright = float(np.quantile(luma(dark), 0.93))
    dark = dark * (float(rng.uniform(0.10, 0.22)) / max(bright, 1e-3))
    over = np.maximum(dark - 0.7, 0.0)
    dark = dark + 0.5 * blur(over, width / 150) + 0.25 * blur(over, width / 40)
    grain = rng.standard_normal(dark.shape).astype(np.float32) * float(rng.uniform(0.006, 0.03))
    noisy = dark + grain * np.sqrt(np.maximum(dark, 0.0) + 2e-3)
    return np.asarray(np.clip(noisy, 0.0, 1.0) ** (1.0 / GAMMA), np.float32)
