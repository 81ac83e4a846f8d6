"""The viewer: where it stands, and the frame of pixels around a thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetvision.scenes.sprites.shapes import Array, Shape, cross, vector

MARGIN = 0.1
"""Share of the longer side that the frame leaves around a thing, for its shadow and the filter at its edge."""


@dataclass(frozen=True, slots=True)
class View:
    """A viewer at `distance` metres, `height` metres above the ground, who sees the thing from `azimuth` (radians)."""

    azimuth: float
    distance: float
    height: float = 1.35


class Frame:
    """The pixels [rows, columns] around the shapes as one viewer sees them, upright."""

    def __init__(self, shapes: Sequence[Shape], view: View, longest: int) -> None:
        self.eye = vector((math.sin(view.azimuth) * view.distance, view.height, math.cos(view.azimuth) * view.distance))
        self.outlines = outlines = [shape.outline() for shape in shapes]
        """Points [K, 3] around each shape."""
        middle = np.concatenate(outlines).mean(axis=0)
        self._basis = _basis(middle - self.eye)
        windows = [self.project(outline.T) for outline in outlines]
        low = np.min([window.min(axis=1) for window in windows], axis=0)
        high = np.max([window.max(axis=1) for window in windows], axis=0)
        margin = MARGIN * float((high - low).max())
        self._low, span = low - margin, high - low + 2 * margin
        self.step = float(span.max()) / longest
        self.columns, self.rows = (max(4, math.ceil(float(side) / self.step)) for side in span)
        self._windows = windows
        self.metres = self.rows * self.step * float(self._basis[2] @ (middle - self.eye))
        """What the frame's height spans at the thing's distance."""

    @property
    def standing(self) -> float:
        """The row, as a share of the height from the top, of the ground under the thing's origin."""
        return float(self.cells(vector((0, 0, 0))[:, None])[1, 0]) / self.rows

    def project(self, points: Array) -> Array:
        """Points [3, K] on the image plane: [2, K], to the right and downwards, in units of the focal length."""
        seen = self._basis @ (points - self.eye[:, None])
        result: Array = np.stack([seen[0], -seen[1]]) / np.maximum(seen[2], 0.1)
        return result

    def cells(self, points: Array) -> Array:
        """Points [3, K] as columns and rows [2, K]."""
        result: Array = (self.project(points) - self._low[:, None]) / self.step
        return result

    def window(self, index: int) -> tuple[slice, slice]:
        """Rows and columns that the shape of this index can cover."""
        cells = (self._windows[index] - self._low[:, None]) / self.step
        (left, top), (right, low) = np.floor(cells.min(axis=1)).astype(int), np.ceil(cells.max(axis=1)).astype(int)
        return slice(max(0, top), min(self.rows, low)), slice(max(0, left), min(self.columns, right))

    def directions(self) -> Array:
        """Unit directions [3, rows, columns] of the rays through the centres of the pixels."""
        x = self._low[0] + (np.arange(self.columns, dtype=np.float32) + 0.5) * self.step
        y = self._low[1] + (np.arange(self.rows, dtype=np.float32) + 0.5) * self.step
        right, up, ahead = (axis[:, None, None] for axis in self._basis)
        rays = right * x[None, None, :] - up * y[None, :, None] + ahead
        result: Array = (rays / np.sqrt((rays * rays).sum(axis=0))).astype(np.float32)
        return result


def _basis(ahead: Array) -> Array:
    """Right, up and ahead [3, 3] of a viewer who looks that way and holds the camera level."""
    ahead = ahead / np.sqrt(ahead @ ahead)
    right = cross(ahead, vector((0, 1, 0)))
    right = right / np.sqrt(right @ right)
    result: Array = np.stack([right, cross(right, ahead), ahead]).astype(np.float32)
    return result
