"""How far things are and which of them are sky or road, guessed from one picture: as much as weather needs to know.

There is no depth network here: the edges of a street meet in a vanishing point, which lies on the horizon; the ground
is a plane below it, and what stands on it is nearer the further it reaches above. Wrong guesses make odd weather, never
another label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streetvision.synthesis.effects.fields import Field, Pixels, blur, follow, luma, ramp, saturation

EYE_M = 1.4
"""Height of the camera."""
FAR_M, NEAREST_M, SKY_M = 160.0, 2.5, 600.0
FOCAL = 0.9
"""Focal length over width."""
USUAL_HORIZON = 0.45
"""Share of the height above it, where no edges say otherwise."""
_EDGES, _TOLERANCE = 1000, 0.03
"""Edges that vote for a vanishing point, and the sine of the angle by which they may miss it."""
_LIKELY = 0.16
"""How far horizons stray from the usual one, as a share of the height."""


@dataclass(frozen=True)
class Geometry:
    """Of one picture."""

    horizon: float
    """Its row, in pixels; may lie above the picture."""
    middle: float
    """The column where the street ends."""
    metres: Field
    """Distance [H, W]."""
    sky: Field
    """Share of sky [H, W] in [0, 1]."""
    flat: Field
    """Share of flat, dull surface below the horizon [H, W]: road, pavement, sand."""
    ground: Field
    """The same where a road should be [H, W]."""

    def column(self, across_m: float, metres: float) -> float:
        """Where in pixels from the left something stands that far to the right and away."""
        return float(self.middle + FOCAL * self.metres.shape[1] * across_m / metres)

    def row(self, up_m: float, metres: float) -> float:
        """Where in pixels from the top something is that high above the ground and that far away."""
        return float(self.horizon + FOCAL * self.metres.shape[1] * (EYE_M - up_m) / metres)

    def below(self) -> Field:
        """How far below the horizon each row is [H, 1]: 0 on it and above, 1 at the picture's lower edge."""
        height = self.metres.shape[0]
        rows = np.arange(height, dtype=np.float32)[:, None] + 0.5
        return np.asarray(np.clip((rows - self.horizon) / (height - self.horizon), 0.0, 1.0), np.float32)

    def above(self) -> Field:
        """How far above the horizon each row is [H, 1]: 0 on it and below, 1 a half of the picture's height higher."""
        height = self.metres.shape[0]
        rows = np.arange(height, dtype=np.float32)[:, None] + 0.5
        return np.asarray(np.clip((self.horizon - rows) / (0.5 * height), 0.0, 1.0), np.float32)


def look_at(pixels: Pixels) -> Geometry:
    """The geometry of a street."""
    height, width = pixels.shape[:2]
    light = luma(pixels)
    middle, horizon = vanishing_point(light)
    sky = _sky(pixels, light, horizon)
    rows = np.arange(height, dtype=np.float32)[:, None] + 0.5
    below = FOCAL * width * EYE_M / np.maximum(rows - horizon, 1e-3)
    above = FAR_M * (1.0 - 0.75 * np.clip((horizon - rows) / (0.5 * height), 0.0, 1.0))
    plane = np.broadcast_to(np.clip(np.where(rows > horizon, below, above), NEAREST_M, FAR_M), (height, width))
    inverse = follow(light, np.ascontiguousarray(1.0 / plane, np.float32), width / 40)
    metres = 1.0 / np.clip(inverse, 1.0 / FAR_M, 1.0 / NEAREST_M)
    metres = metres + (SKY_M - metres) * sky
    flat, ground = _ground(pixels, light, horizon, middle)
    return Geometry(horizon, middle, np.asarray(metres, np.float32), sky, flat, ground)


def vanishing_point(light: Field) -> tuple[float, float]:
    """Column and row, in pixels, where most slanting edges of [H, W] point to; the usual one where there are few."""
    height, width = light.shape
    soft = blur(light, width / 350)
    down, right = (np.asarray(one, np.float32) for one in np.gradient(soft))
    strength = np.hypot(down, right)
    slanting = strength * ((np.abs(down) > 0.2 * np.abs(right)) & (np.abs(right) > 0.2 * np.abs(down)))
    slanting *= _straightness(down, right, width / 60) > 0.6
    slanting = np.minimum(slanting, np.quantile(slanting, 0.97))
    slanting += slanting * np.random.default_rng(0).random(slanting.shape, np.float32)
    chosen = np.argsort(slanting, axis=None)[-_EDGES:]
    y, x = np.unravel_index(chosen, light.shape)
    weight = np.sqrt(slanting[y, x])
    columns = np.linspace(0.15, 0.85, 29) * width
    rows = np.linspace(-0.3, 0.7, 41) * height
    at_x, at_y = (one.reshape(-1, 1) for one in np.meshgrid(columns, rows))
    toward_x, toward_y = at_x - x, at_y - y
    away = np.hypot(toward_x, toward_y) + 1e-3
    along = np.abs(toward_x * right[y, x] + toward_y * down[y, x]) / (away * strength[y, x] + 1e-6)
    votes = ((along < _TOLERANCE) * weight * (away > 0.08 * width)).sum(axis=1)
    likely = np.exp(-0.5 * ((at_y[:, 0] / height - USUAL_HORIZON) / _LIKELY) ** 2)
    likely *= np.exp(-0.5 * ((at_x[:, 0] / width - 0.5) / 0.2) ** 2)
    best = int(np.argmax(votes * likely + 1e-6 * likely))
    return float(at_x[best, 0]), float(at_y[best, 0])


def _straightness(down: Field, right: Field, radius: float) -> Field:
    """1 where all edges around run one way, 0 where they run in every way (the structure tensor's coherence)."""
    across, along, both = (blur(one, radius) for one in (right * right, down * down, right * down))
    return np.asarray(np.hypot(across - along, 2 * both) / (across + along + 1e-6), np.float32)


def _sky(pixels: Pixels, light: Field, horizon: float) -> Field:
    """Smooth and bright or blue, from the upper edge down to the horizon."""
    height, width = light.shape
    if horizon < 0.06 * height:
        return np.zeros_like(light)
    rough = blur(np.abs(light - blur(light, 2.0)), 3.0)
    blue = pixels[..., 2] - pixels[..., 0]
    street = float(np.median(light[round(max(horizon, 0.0)) :]))
    above = light - max(0.35, 1.15 * street) + 1.5 * np.maximum(blue, 0.0)
    like = ramp(np.asarray(above), 0.0, 0.15) * ramp(rough, 0.035, 0.012)
    down = np.minimum.accumulate(blur(like, 1.5), axis=0)
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    place = ramp(rows, horizon / height + 0.03, horizon / height - 0.03)
    sky = follow(light, np.ascontiguousarray(ramp(down, 0.25, 0.7) * place), width / 120, 1e-3)
    return np.asarray(np.clip(sky * place, 0.0, 1.0), np.float32)


def _ground(pixels: Pixels, light: Field, horizon: float, middle: float) -> tuple[Field, Field]:
    """Grey or earthen and without edges below the horizon; and what of it widens downward, as a road does."""
    height, width = light.shape
    rough = blur(np.abs(light - blur(light, width / 250)), width / 160)
    like = ramp(rough, 0.06, 0.02) * ramp(blur(saturation(pixels), width / 300), 0.42, 0.2)
    rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5 - horizon) / height
    columns = np.abs(np.arange(width, dtype=np.float32)[None] - middle) / width
    flat = follow(light, np.ascontiguousarray(like * ramp(rows, 0.0, 0.05), np.float32), width / 100, 4e-3)
    flat = np.clip(flat, 0.0, 1.0)
    return flat, flat * ramp(columns - 1.6 * rows, 0.45, 0.05)
