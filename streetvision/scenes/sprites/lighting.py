"""The light a sprite is seen in: sun, sky, ground, headlights and haze."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from streetvision.scenes.sprites.surface import Linear

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lighting:
    """Light in linear RGB; a white surface that faces a light of level 1 comes out as 1.

    Angles are radians as the viewer sees them: `azimuth` 0 is a sun behind the viewer, positive to the right.
    """

    azimuth: float
    elevation: float
    sun: Linear
    sky: Linear
    ground: Linear
    headlights: float = 0.0
    haze: float = 0.0
    """Share of the light that the air adds, 0 to 1."""
    haze_colour: Linear = (0.6, 0.62, 0.65)
    exposure: float = 1.0

    def towards_sun(self, view_azimuth: float) -> Vector:
        """Unit vector [3] to the sun in the frame of a thing that is seen from `view_azimuth`."""
        angle, flat = view_azimuth + self.azimuth, math.cos(self.elevation)
        return np.array([math.sin(angle) * flat, math.sin(self.elevation), math.cos(angle) * flat], np.float32)

    @property
    def sun_share(self) -> float:
        """How much of the light on open ground the sun gives: how dark a cast shadow is."""
        direct = sum(self.sun) * math.sin(self.elevation)
        return direct / max(direct + sum(self.sky), 1e-6)


def draw_lighting(rng: Random) -> Lighting:
    """A light as dashcams meet it: mostly clear or overcast days, some dusk, few nights."""
    return rng.choices((_clear, _overcast, _dusk, _night), (0.55, 0.29, 0.1, 0.06))[0](rng)


def _clear(rng: Random) -> Lighting:
    elevation = math.radians(rng.uniform(12, 68))
    warm = max(0.0, 1.0 - elevation / 0.7)
    level = rng.uniform(0.75, 1.15)
    sky = rng.uniform(0.26, 0.48)
    return Lighting(
        azimuth=rng.uniform(-math.pi, math.pi),
        elevation=elevation,
        sun=(level, level * (0.95 - 0.18 * warm), level * (0.88 - 0.35 * warm)),
        sky=(sky * 0.85, sky * 0.97, sky * rng.uniform(1.1, 1.3)),
        ground=_ground(rng, 0.2),
        haze=_haze(rng),
        exposure=rng.uniform(0.95, 1.6),
    )


def _overcast(rng: Random) -> Lighting:
    level, tint = rng.uniform(0.5, 0.85), rng.uniform(-0.05, 0.06)
    return Lighting(
        azimuth=rng.uniform(-math.pi, math.pi),
        elevation=math.radians(rng.uniform(40, 85)),
        sun=(level * 0.22,) * 3,
        sky=(level * (1 - tint), level, level * (1 + tint)),
        ground=_ground(rng, 0.18),
        haze=_haze(rng),
        exposure=rng.uniform(1.1, 1.9),
    )


def _dusk(rng: Random) -> Lighting:
    level = rng.uniform(0.1, 0.3)
    return Lighting(
        azimuth=rng.uniform(-math.pi, math.pi),
        elevation=math.radians(rng.uniform(3, 12)),
        sun=(level * 0.8, level * 0.5, level * 0.3),
        sky=(level * 0.8, level * 0.85, level * 1.1),
        ground=_ground(rng, 0.06),
        headlights=rng.choice((0.0, rng.uniform(0.05, 0.3))),
        haze=_haze(rng),
        haze_colour=(level * 0.6, level * 0.6, level * 0.7),
    )


def _night(rng: Random) -> Lighting:
    level = rng.uniform(0.02, 0.08)
    return Lighting(
        azimuth=rng.uniform(-math.pi, math.pi),
        elevation=math.radians(rng.uniform(45, 80)),
        sun=(level * 1.5, level * 1.1, level * 0.6),
        sky=(level, level * 0.9, level * 0.8),
        ground=_ground(rng, 0.02),
        headlights=rng.uniform(0.1, 0.6),
        haze=rng.uniform(0.0, 0.05),
        haze_colour=(0.03, 0.03, 0.035),
    )


def _ground(rng: Random, level: float) -> Linear:
    level *= rng.uniform(0.5, 1.3)
    return (level, level * 0.97, level * 0.92)


def _haze(rng: Random) -> float:
    return rng.choice((0.0, 0.0, rng.uniform(0.0, 0.06), rng.uniform(0.0, 0.18)))
