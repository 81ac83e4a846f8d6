"""Shadows: a map of what the sun sees, darkness in crevices, and what falls on the ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from streetvision.scenes.sprites.camera import Frame
from streetvision.scenes.sprites.shapes import Array, Shape, cross

_CELLS = 72
"""Side of the shadow map."""
_GRID = 40
"""Side of the plan of what stands near the ground."""


class ShadowMap:
    """How far the sun's parallel rays come before they meet something."""

    def __init__(self, shapes: Sequence[Shape], points: Sequence[Array], sun: Array) -> None:
        """`points` are the shapes' outlines."""
        self._sun = sun
        self._basis = _plane_across(sun)
        outlines = [self._basis @ outline.T for outline in points]
        self._low = np.min([outline.min(axis=1) for outline in outlines], axis=0) - 0.01
        high = np.max([outline.max(axis=1) for outline in outlines], axis=0) + 0.01
        self._step = np.maximum(high - self._low, 1e-3) / _CELLS
        self._far = 4.0 * float(np.abs(np.concatenate(points)).max()) + 10.0
        self._reach = np.full((_CELLS, _CELLS), np.inf, np.float32)
        for shape, outline in zip(shapes, outlines, strict=True):
            self._add(shape, outline)

    def _add(self, shape: Shape, outline: Array) -> None:
        cells = (outline - self._low[:, None]) / self._step[:, None]
        first = np.clip(np.floor(cells.min(axis=1)).astype(int), 0, _CELLS - 1)
        last = np.clip(np.ceil(cells.max(axis=1)).astype(int), first + 1, _CELLS)
        x = self._low[0] + (np.arange(first[0], last[0], dtype=np.float32) + 0.5) * self._step[0]
        y = self._low[1] + (np.arange(first[1], last[1], dtype=np.float32) + 0.5) * self._step[1]
        columns, rows = np.meshgrid(x, y)
        start = self._basis.T @ np.stack([columns.ravel(), rows.ravel()]) + self._far * self._sun[:, None]
        hit = shape.meet(start.astype(np.float32), -self._sun[:, None])
        opaque = shape.surface.sample(hit.u, hit.v)[3] > 0.5
        reach = np.full(columns.size, np.inf, np.float32)
        reach[hit.rays[opaque]] = hit.distance[opaque]
        window = self._reach[first[1] : last[1], first[0] : last[0]]
        np.minimum(window, reach.reshape(columns.shape), out=window)

    def free(self, points: Array) -> Array:
        """Whether the sun reaches points [3, K]: 0 to 1, soft over neighbouring cells."""
        cells = (self._basis @ points - self._low[:, None]) / self._step[:, None]
        distance = self._far - self._sun @ points
        column, row = np.floor(cells).astype(np.int32)
        margin = 0.02 + 1.2 * float(self._step.max())
        total = np.zeros(points.shape[1], np.float32)
        for down, right in ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)):
            y, x = row + down, column + right
            inside = (y >= 0) & (y < _CELLS) & (x >= 0) & (x < _CELLS)
            reach = self._reach[y.clip(0, _CELLS - 1), x.clip(0, _CELLS - 1)]
            total += ~(inside & (reach < distance - margin))
        result: Array = total / 5.0
        return result


def crevices(depth: Array, frame: Frame) -> Array:
    """How much of the sky each ray's end sees, from the depth around it: 0.35 to 1 [rows, columns]."""
    known = np.where(np.isfinite(depth), depth, np.nan)
    if not np.isfinite(known).any():
        return np.ones_like(depth)
    far = float(np.nanmax(known))
    filled = np.where(np.isfinite(depth), depth, far)
    small = Image.fromarray(filled).resize(
        (max(2, frame.columns // 10), max(2, frame.rows // 10)), Image.Resampling.BOX
    )
    around = np.asarray(small.resize((frame.columns, frame.rows), Image.Resampling.BILINEAR))
    size = frame.step * max(frame.rows, frame.columns) * far
    result: Array = np.clip(1.0 - 5.0 * (filled - around) / size, 0.35, 1.0).astype(np.float32)
    return result


def on_ground(frame: Frame, directions: Array, shadow_map: ShadowMap, sun_share: float) -> Array:
    """Share of the light that the thing takes from the ground, 0 to 1, at a quarter of the frame's rows and columns."""
    rays = directions[:, ::4, ::4]
    size = rays.shape[1:]
    down = np.minimum(rays[1].ravel(), -1e-4)
    distance = -frame.eye[1] / down
    points = frame.eye[:, None] + distance * rays.reshape(3, -1)
    seen = (rays[1].ravel() < -1e-3) & (distance < 200)
    cast = (1.0 - shadow_map.free(points.astype(np.float32))) * sun_share
    near = _contact(frame.outlines, points)
    taken = np.where(seen, 1.0 - (1.0 - cast * 0.9) * (1.0 - 0.75 * near), 0.0).reshape(size)
    down, across = (np.clip(np.arange(length) / (0.08 * max(size)), 0, 1) for length in size)
    result: Array = (taken * np.minimum.outer(down[::-1], np.minimum(across, across[::-1]))).astype(np.float32)
    return result


def _contact(outlines: Sequence[Array], points: Array) -> Array:
    """How closely something stands over points on the ground, 0 to 1, from a blurred plan of the outlines."""
    spans = [(outline.min(axis=0), outline.max(axis=0)) for outline in outlines]
    low = np.min([span[0][[0, 2]] for span in spans], axis=0)
    high = np.max([span[1][[0, 2]] for span in spans], axis=0)
    pad = 0.35 * float((high - low).max()) + 0.05
    low, step = low - pad, (high - low + 2 * pad) / _GRID
    plan = np.zeros((_GRID, _GRID), np.float32)
    for first, last in spans:
        weight = float(np.exp(-max(float(first[1]), 0.0) / 0.25))
        left, back = np.floor((first[[0, 2]] - low) / step).astype(int)
        right, front = np.ceil((last[[0, 2]] - low) / step).astype(int)
        window = plan[back:front, left:right]
        np.maximum(window, weight, out=window)
    soft = Image.fromarray((plan * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5))
    cells = np.floor((points[[0, 2]] - low[:, None]) / step[:, None])
    inside = ((cells >= 0) & (cells < _GRID)).all(axis=0)
    column, row = cells.clip(0, _GRID - 1).astype(np.int32)
    result: Array = np.where(inside, np.asarray(soft, np.float32)[row, column] / 255, 0.0)
    return result


def _plane_across(direction: Array) -> Array:
    """Two unit vectors [2, 3] at right angles to a direction."""
    side = cross(direction, np.array([0, 1, 0.01], np.float32))
    side = side / np.sqrt(side @ side)
    result: Array = np.stack([side, cross(side, direction)]).astype(np.float32)
    return result
