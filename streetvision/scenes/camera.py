"""A pinhole camera above a flat, gently bending road: where things of the street land in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Camera:
    """Pixels from metres: x right, y up, z ahead; the road bends by `bend * z**2` metres to the side."""

    width: int
    height: int
    focal: float
    """Focal length in pixels."""
    horizon: float
    """Row of the horizon in pixels; negative when the camera looks down at the road."""
    centre: float
    """Column of the straight road's vanishing point in pixels."""
    eye: float
    """Height of the lens above the road in metres."""
    bend: float
    """Curvature of the road in 1/m."""

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Pixel (column, row) of the point x, y, z in metres; z must be positive."""
        return self.centre + self.focal * (x + self.bend * z * z) / z, self.horizon + self.focal * (self.eye - y) / z

    def scale(self, z: float) -> float:
        """Pixels per metre at distance z."""
        return self.focal / z

    def lateral(self, column: float, z: float) -> float:
        """Road coordinate x in metres of a pixel column at distance z."""
        return (column - self.centre) * z / self.focal - self.bend * z * z

    @property
    def nearest(self) -> float:
        """Distance in metres at which the ground leaves the picture at the bottom."""
        return self.focal * self.eye / max(self.height - self.horizon, 1.0)


def draw_camera(rng: Random, width: int, height: int) -> Camera:
    """A camera as people hold or mount it: phones, dashcams, a few from trucks and gantries."""
    eye = rng.choice((rng.uniform(1.0, 1.7), rng.uniform(1.2, 2.6), rng.uniform(2.5, 6.0)))
    horizon = rng.choice(
        (rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.4), rng.uniform(-0.15, 0.1))
    )
    focal = rng.uniform(0.7, 1.9) * height
    return Camera(
        width=width,
        height=height,
        focal=focal,
        horizon=horizon * height,
        centre=rng.uniform(0.25, 0.75) * width,
        eye=eye,
        bend=rng.choice((0.0, rng.uniform(-0.002, 0.002), rng.uniform(-0.006, 0.006))),
    )
