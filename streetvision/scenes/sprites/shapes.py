"""Shapes that a ray can meet: frusta, convex blocks, ellipsoids and flat panels.

Arrays are channel first: rays come as an origin and unit directions, each [3, M] or [3, 1], and broadcast. The axes are
x to the right, y upwards, z towards the viewer; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from streetvision.scenes.sprites.surface import Surface

Array = NDArray[np.float32]
Point = Sequence[float]


class Hit(NamedTuple):
    """Where rays meet a shape: indices [K] of the rays, distance [K], unit normal [3, K], texture coordinates [K]."""

    rays: NDArray[np.intp]
    distance: Array
    normal: Array
    u: Array
    v: Array

    def only(self, chosen: NDArray[np.intp]) -> Hit:
        """These hits alone."""
        return Hit(self.rays[chosen], self.distance[chosen], self.normal[:, chosen], self.u[chosen], self.v[chosen])


class Shape(Protocol):
    """What the renderer draws."""

    @property
    def surface(self) -> Surface:
        """How it looks."""

    def outline(self) -> Array:
        """Points [K, 3] whose projections enclose the projection of the shape."""

    def meet(self, origin: Array, direction: Array) -> Hit:
        """The nearest hits of rays."""

    def moved(self, rotation: Array, offset: Array) -> Shape:
        """The same shape, turned [3, 3] about the origin and then shifted [3]."""


def vector(point: Point) -> Array:
    """A point as float32 [3]."""
    return np.asarray(point, np.float32)


def cross(first: Array, second: Array) -> Array:
    """The cross product of two vectors [3]: numpy's own takes ten times as long for one pair."""
    (a, b, c), (x, y, z) = first.tolist(), second.tolist()
    return np.array([b * z - c * y, c * x - a * z, a * y - b * x], np.float32)


def _unit(direction: Array) -> Array:
    length = np.sqrt((direction * direction).sum(axis=0, keepdims=True))
    result: Array = direction / np.maximum(length, 1e-9)
    return result


_RIM = np.linspace(0.0, 2 * np.pi, 8, endpoint=False, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Frustum:
    """A truncated cone with closed ends; with equal radii a cylinder. v runs from `end` to `start`."""

    start: Array
    end: Array
    start_radius: float
    end_radius: float
    surface: Surface

    def outline(self) -> Array:
        """Points on both rims, a little outside."""
        axis = self.end - self.start
        side, up = _across(axis)
        ring = 1.08 * (np.cos(_RIM)[:, None] * side + np.sin(_RIM)[:, None] * up)
        return np.concatenate([self.start + self.start_radius * ring, self.end + self.end_radius * ring])

    def meet(self, origin: Array, direction: Array) -> Hit:
        """Hits with the mantle, and with the ends."""
        axis, length, slope = self._line()
        start = origin - self.start[:, None]
        along, rise = axis @ start, axis @ direction
        radius = self.start_radius + slope * along
        a = (direction * direction).sum(0) - (1 + slope * slope) * rise * rise
        b = (start * direction).sum(0) - along * rise - slope * rise * radius
        c = (start * start).sum(0) - along * along - radius * radius
        inside = b * b - a * c
        distance = (-b - np.sqrt(np.maximum(inside, 0.0))) / np.where(np.abs(a) < 1e-9, 1e-9, a)
        height = along + distance * rise
        best = np.where((inside > 0) & (height >= 0) & (height <= length) & (distance > 0), distance, np.inf)
        capped = np.zeros(best.shape, np.int8)
        for side, (level, edge) in ((-1, (0.0, self.start_radius)), (1, (length, self.end_radius))):
            flat = (level - along) / np.where(np.abs(rise) < 1e-9, 1e-9, rise)
            spread = start + flat * direction - level * axis[:, None]
            nearer = ((spread * spread).sum(0) < edge * edge) & (flat < best) & (flat > 0)
            best, capped = np.where(nearer, flat, best), np.where(nearer, side, capped)
        rays = np.flatnonzero(best < np.inf)
        return self._details(origin, direction, rays, best[rays].astype(np.float32), capped[rays])

    def _line(self) -> tuple[Array, float, float]:
        """The unit axis, the length, and how the radius grows along it."""
        axis = self.end - self.start
        length = float(np.sqrt(axis @ axis))
        return axis / np.float32(length), length, (self.end_radius - self.start_radius) / length

    def _details(
        self, origin: Array, direction: Array, rays: NDArray[np.intp], distance: Array, capped: NDArray[np.int8]
    ) -> Hit:
        axis, length, slope = self._line()
        place = _at(origin, rays) + distance * _at(direction, rays) - self.start[:, None]
        height = axis @ place
        outward = _unit(place - height * axis[:, None])
        normal = np.where(capped != 0, capped * axis[:, None], _unit(outward - slope * axis[:, None]))
        side, up = _across(axis)
        u = (np.arctan2(up @ outward, side @ outward) / (2 * np.pi)) % 1.0
        return Hit(rays, distance, normal.astype(np.float32), u, 1.0 - height / length)

    def moved(self, rotation: Array, offset: Array) -> Frustum:
        """Both ends moved."""
        start, end = rotation @ self.start + offset, rotation @ self.end + offset
        return Frustum(start, end, self.start_radius, self.end_radius, self.surface)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A convex body of planes [K, 3] and offsets [K] around `centre`; `axes` [3, 3] are the half-sides (rows).

    `soft` bends the normals as if the faces were curved, as sheet metal is.
    """

    centre: Array
    axes: Array
    planes: Array
    offsets: Array
    corners: Array
    surface: Surface
    soft: float = 0.0

    def outline(self) -> Array:
        """The corners."""
        return self.corners

    def meet(self, origin: Array, direction: Array) -> Hit:
        """Hits by the slab method with any number of planes."""
        toward = self.planes @ direction
        gap = (self.offsets[:, None] - self.planes @ origin) / np.where(np.abs(toward) < 1e-7, 1e-7, toward)
        entering = np.where(toward < 0, gap, -np.inf)
        near, far = entering.max(axis=0), np.where(toward < 0, np.inf, gap).min(axis=0)
        rays = np.flatnonzero((near < far) & (near > 0))
        distance = near[rays].astype(np.float32)
        normal = self.planes[entering[:, rays].argmax(axis=0)].T
        place = _at(origin, rays) + distance * _at(direction, rays) - self.centre[:, None]
        half = np.sqrt((self.axes * self.axes).sum(axis=1, keepdims=True))
        frame = self.axes / half
        local, facing = (frame @ place) / half, np.abs(frame @ normal)
        sideways, level = facing[0] > np.maximum(facing[1], facing[2]), facing[1] > np.maximum(facing[0], facing[2])
        u = 0.5 + 0.5 * np.where(sideways, local[2], local[0])
        v = 0.5 - 0.5 * np.where(level, local[2], local[1])
        if self.soft:
            normal = _unit(normal + self.soft * (frame.T @ local))
        return Hit(rays, distance, normal, u, v)

    def moved(self, rotation: Array, offset: Array) -> Block:
        """Planes and corners moved."""
        planes = self.planes @ rotation.T
        return Block(
            rotation @ self.centre + offset,
            self.axes @ rotation.T,
            planes,
            (self.offsets + planes @ offset).astype(np.float32),
            self.corners @ rotation.T + offset,
            self.surface,
            self.soft,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """An ellipsoid; `axes` [3, 3] are its half-axes (rows), at right angles."""

    centre: Array
    axes: Array
    surface: Surface

    def outline(self) -> Array:
        """Points on the surface in all directions."""
        result: Array = self.centre + _SPHERE @ self.axes
        return result

    def meet(self, origin: Array, direction: Array) -> Hit:
        """Hits in the space where the ellipsoid is the unit sphere."""
        inverse: Array = self.axes / (self.axes * self.axes).sum(axis=1, keepdims=True)
        start, step = inverse @ (origin - self.centre[:, None]), inverse @ direction
        a, b, c = (step * step).sum(0), (start * step).sum(0), (start * start).sum(0) - 1.0
        inside = b * b - a * c
        distance = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
        rays = np.flatnonzero((inside > 0) & (distance > 0))
        distance = distance[rays].astype(np.float32)
        local = _at(start, rays) + distance * _at(step, rays)
        u = (np.arctan2(local[0], local[2]) / (2 * np.pi) + 0.5) % 1.0
        return Hit(rays, distance, _unit(inverse.T @ local), u, 0.5 - 0.5 * local[1])

    def moved(self, rotation: Array, offset: Array) -> Ellipsoid:
        """Centre and axes moved."""
        return Ellipsoid(rotation @ self.centre + offset, self.axes @ rotation.T, self.surface)


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A flat picture, seen from both sides; `right` and `up` are its half-sides."""

    centre: Array
    right: Array
    up: Array
    surface: Surface

    def outline(self) -> Array:
        """The four corners."""
        return np.stack([self.centre + x * self.right + y * self.up for x in (-1, 1) for y in (-1, 1)])

    def meet(self, origin: Array, direction: Array) -> Hit:
        """Hits with the plane, inside the rectangle."""
        normal: Array = _unit(cross(self.right, self.up)[:, None])[:, 0]
        toward = normal @ direction
        distance = (normal @ (self.centre[:, None] - origin)) / np.where(np.abs(toward) < 1e-7, 1e-7, toward)
        place = origin + distance * direction - self.centre[:, None]
        u = ((self.right / (self.right @ self.right)) @ place).astype(np.float32)
        v = ((self.up / (self.up @ self.up)) @ place).astype(np.float32)
        rays = np.flatnonzero((np.abs(u) < 1) & (np.abs(v) < 1) & (distance > 0))
        facing = np.where(_at(toward[None], rays)[0] < 0, 1.0, -1.0).astype(np.float32)
        near: Array = distance[rays].astype(np.float32)
        normals: Array = facing * normal[:, None]
        across, down = ((side[rays] / 2).astype(np.float32, copy=False) for side in (1 + u, 1 - v))
        return Hit(rays, near, normals, across, down)

    def moved(self, rotation: Array, offset: Array) -> Panel:
        """Centre and sides moved."""
        return Panel(rotation @ self.centre + offset, rotation @ self.right, rotation @ self.up, self.surface)


def _at(values: Array, rays: NDArray[np.intp]) -> Array:
    return values if values.shape[1] == 1 else values[:, rays]


def _across(axis: Array) -> tuple[Array, Array]:
    """Two unit vectors at right angles to an axis."""
    other = np.array([0, 0, 1], np.float32) if abs(axis[2]) < 0.9 * np.sqrt(axis @ axis) else np.array([1, 0, 0])
    side = cross(axis, other)
    side = (side / np.sqrt(side @ side)).astype(np.float32)
    up = cross(side, axis)
    return side, (up / np.sqrt(up @ up)).astype(np.float32)


def _sphere() -> Array:
    steps = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)])
    result: Array = (1.06 * steps / np.sqrt((steps * steps).sum(axis=1, keepdims=True))).astype(np.float32)
    return result


_SPHERE = _sphere()
