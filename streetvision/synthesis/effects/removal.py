"""Works taken out: each place is filled with ground from beside it, at the same distance, so that nothing shows.

A classic inpainting for small things on plain surfaces: of all nearby pieces of the picture the one whose rim fits best
is copied, and what still differs along the rim is spread over it (membrane interpolation, as in Poisson cloning).
Where nothing fits, nothing is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streetvision.sources.works_tag import Box
from streetvision.synthesis.effects.fields import Pixels, blur

LARGEST, LARGEST_ALL = 0.03, 0.06
"""Shares of the picture that one thing, and all together, may cover."""
MARGIN = 0.12
"""Of a box's sides, which is filled around it: shadows, blur."""
FITS = 0.06
"""Root mean square difference along the rim, of 1, up to which a piece fits."""
_STEPS = 21


def without(pixels: Pixels, boxes: Sequence[Box]) -> Pixels | None:
    """The street without what is in the boxes; None where that would show, or nothing is named."""
    sizes = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    if not boxes or max(sizes) > LARGEST or sum(sizes) > LARGEST_ALL:
        return None
    height, width = pixels.shape[:2]
    places = [_widened(box, width, height) for box in boxes]
    filled = pixels.copy()
    for place in places:
        piece = _best(filled, place, places)
        if piece is None:
            return None
        top, left, bottom, right = place
        filled[top:bottom, left:right] = piece
    return filled


Place = tuple[int, int, int, int]
"""top, left, bottom, right in pixels."""


def _widened(box: Box, width: int, height: int) -> Place:
    left, top, right, bottom = box
    across, down = MARGIN * (right - left) + 3 / width, MARGIN * (bottom - top) + 3 / height
    edges = ((top - down) * height, (left - across) * width, (bottom + down) * height, (right + across) * width)
    return (
        max(0, int(edges[0])),
        max(0, int(edges[1])),
        min(height, int(np.ceil(edges[2]))),
        min(width, int(np.ceil(edges[3]))),
    )


def _best(pixels: Pixels, place: Place, places: Sequence[Place]) -> Pixels | None:
    """What fills a place best, its rim made equal; None where nothing fits."""
    top, left, bottom, right = place
    here = pixels[top:bottom, left:right]
    rim = _rim(here.shape[:2])
    found: list[tuple[float, Pixels]] = []
    for down, across in _shifts(place, places, pixels.shape[:2]):
        piece = pixels[top + down : bottom + down, left + across : right + across]
        difference = (here - piece)[rim]
        spread = difference - difference.mean(axis=0)
        found.append((float(np.sqrt((spread**2).mean())), piece))
    if not found:
        return None
    error, piece = min(found, key=lambda one: one[0])
    return None if error > FITS else _membrane(here, piece.copy(), rim)


def _rim(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    inner = np.zeros(shape, np.bool_)
    inner[2:-2, 2:-2] = True
    return ~inner


def _shifts(place: Place, places: Sequence[Place], shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Sideways and a little up or down, where no other thing that goes is in the way."""
    top, left, bottom, right = place
    wide, tall = right - left, bottom - top
    for down in np.unique(np.round(np.linspace(-0.3, 0.3, 7) * tall).astype(int)):
        for across in np.unique(np.round(np.linspace(-4.0, 4.0, 2 * _STEPS + 1) * wide).astype(int)):
            moved = (top + down, left + across, bottom + down, right + across)
            inside = moved[0] >= 0 and moved[1] >= 0 and moved[2] <= shape[0] and moved[3] <= shape[1]
            if inside and not any(_overlap(moved, other) for other in places):
                yield int(down), int(across)


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _membrane(here: Pixels, piece: Pixels, rim: NDArray[np.bool_]) -> Pixels:
    """The piece plus a smooth sheet that takes up the difference along the rim."""
    mask = rim.astype(np.float32)
    difference = (here - piece) * mask[..., None]
    sheet, weight = np.zeros_like(piece), np.full(mask.shape, 1e-6, np.float32)
    for sigma in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        share = blur(mask, sigma)
        fresh = np.clip(1.0 - weight, 0.0, 1.0)
        part = blur(difference, sigma) / np.maximum(share, 1e-4)[..., None]
        known = np.clip(share * 4.0, 0.0, 1.0) * fresh
        sheet, weight = sheet + part * known[..., None], weight + known
    return np.clip(piece + sheet / weight[..., None], 0.0, 1.0)
