"""Short ways to make shapes: boxes, bars, limbs, balls, boards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from streetvision.scenes.sprites.shapes import Array, Block, Ellipsoid, Frustum, Panel, Point, Shape, cross, vector
from streetvision.scenes.sprites.surface import Surface

Shapes = list[Shape]


def box(
    surface: Surface,
    low: Point,
    high: Point,
    *,
    inset: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    bevel: float = 0.0,
    soft: float = 0.0,
) -> Block:
    """A box between two corners; its top is smaller by `inset` metres (left, right, back, front); `bevel` in metres."""
    first, last = vector(low), vector(high)
    top_low = first + np.array([inset[0], 0, inset[2]], np.float32)
    top_high = last - np.array([inset[1], 0, inset[3]], np.float32)
    corners = np.array(
        [
            [(low_end, high_end)[x][0], (first, last)[y][1], (low_end, high_end)[z][2]]
            for y, (low_end, high_end) in enumerate(((first, last), (top_low, top_high)))
            for x, z in product((0, 1), (0, 1))
        ],
        np.float32,
    )
    height = float(last[1] - first[1])
    planes, offsets = _sides(first, last, inset, height)
    if bevel:
        planes, offsets = _bevelled(planes, offsets, corners, bevel)
    centre, half = ((first + last) / 2).astype(np.float32), (last - first) / 2
    return Block(centre, np.diag(np.maximum(half, 1e-4)), planes, offsets, corners, surface, soft)


def _sides(first: Array, last: Array, inset: Sequence[float], height: float) -> tuple[Array, Array]:
    planes = np.array(
        [
            *([0, -1, 0], [0, 1, 0], [-height, inset[0], 0], [height, inset[1], 0]),
            *([0, inset[2], -height], [0, inset[3], height]),
        ],
        np.float32,
    )
    planes /= np.sqrt((planes * planes).sum(axis=1, keepdims=True))
    anchors = np.array([first, last, first, [last[0], first[1], 0], first, [0, first[1], last[2]]], np.float32)
    return planes, (planes * anchors).sum(axis=1)


def _bevelled(planes: Array, offsets: Array, corners: Array, bevel: float) -> tuple[Array, Array]:
    """Cut the edges between neighbouring faces off."""
    cuts = [
        (planes[i] + planes[j])
        for i in range(len(planes))
        for j in range(i + 1, len(planes))
        if planes[i] @ planes[j] > -0.5
    ]
    extra = np.array(cuts, np.float32)
    extra /= np.sqrt((extra * extra).sum(axis=1, keepdims=True))
    reach = (corners @ extra.T).max(axis=0) - bevel * 0.7
    return np.concatenate([planes, extra]), np.concatenate([offsets, reach.astype(np.float32)])


def bar(surface: Surface, start: Point, end: Point, radius: float, end_radius: float | None = None) -> Frustum:
    """A round bar or cone from one point to another."""
    return Frustum(vector(start), vector(end), radius, radius if end_radius is None else end_radius, surface)


def upright(
    surface: Surface, low: float, high: float, radius: float, top: float | None = None, *, x: float = 0.0
) -> Frustum:
    """A round thing that stands, between two heights."""
    return bar(surface, (x, low, 0), (x, high, 0), radius, top)


def ball(surface: Surface, centre: Point, radius: float | Sequence[float]) -> Ellipsoid:
    """A ball, or an ellipsoid with half-axes along x, y, z."""
    half = (radius, radius, radius) if isinstance(radius, float | int) else radius
    return Ellipsoid(vector(centre), np.diag(vector(half)), surface)


def beam(surface: Surface, start: Point, end: Point, width: float, depth: float, *, bevel: float = 0.0) -> Shape:
    """A rectangular beam from one point to another: `width` in the plane of x and y, `depth` across it."""
    first, last = vector(start), vector(end)
    along = last - first
    length = float(np.sqrt(along @ along))
    along = along / length
    across = cross(along, vector((0, 0, 1)) if abs(along[2]) < 0.9 else vector((1, 0, 0)))
    across = across / np.sqrt(across @ across)
    rotation = np.stack([along, across, cross(along, across)], axis=1).astype(np.float32)
    body = box(surface, (0, -width / 2, -depth / 2), (length, width / 2, depth / 2), bevel=bevel)
    return body.moved(rotation, first)


def board(
    surface: Surface, centre: Point, width: float, height: float, *, facing: float = 0.0, lean: float = 0.0
) -> Panel:
    """An upright flat picture; `facing` turns it about y (0 looks along z), `lean` tips it back; radians."""
    right = vector((math.cos(facing), 0, -math.sin(facing))) * (width / 2)
    back = vector((-math.sin(facing), 0, -math.cos(facing)))
    up = (vector((0, math.cos(lean), 0)) + back * math.sin(lean)) * (height / 2)
    return Panel(vector(centre), right.astype(np.float32), up.astype(np.float32), surface)


def floor(surface: Surface, centre: Point, width: float, depth: float) -> Panel:
    """A flat picture that lies."""
    return Panel(vector(centre), vector((width / 2, 0, 0)), vector((0, 0, -depth / 2)), surface)


def rotation(axis: str, angle: float) -> Array:
    """The matrix [3, 3] of a turn about x, y or z, in radians."""
    cosine, sine = math.cos(angle), math.sin(angle)
    rows = {
        "x": [[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]],
        "y": [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]],
        "z": [[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]],
    }
    return np.array(rows[axis], np.float32)


def placed(
    shapes: Iterable[Shape], *, turn: float = 0.0, tip: float = 0.0, nod: float = 0.0, at: Point = (0, 0, 0)
) -> Shapes:
    """Shapes tipped sideways (about z) and forwards (about x), then turned about y, then shifted."""
    matrix = (rotation("y", turn) @ rotation("x", nod) @ rotation("z", tip)).astype(np.float32)
    return [shape.moved(matrix, vector(at)) for shape in shapes]


def standing(shapes: Sequence[Shape]) -> Shapes:
    """Shapes lifted or lowered until the lowest point lies on the ground."""
    lowest = min(float(shape.outline()[:, 1].min()) for shape in shapes)
    return [shape.moved(np.eye(3, dtype=np.float32), vector((0, -lowest, 0))) for shape in shapes]
