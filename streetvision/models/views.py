"""Test-time views: other looks at the same picture, named by short texts in a model's description.

A view is one region of the picture and one flip, joined by `+`: `plain`, `hflip`, `crop:0.8`, `crop:0.8+hflip`,
`scale:0.75`, `tiles:3x2@0.2`. Every view has exactly one spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from streetvision.models.checks import fail

Flip = Literal["", "hflip", "vflip", "rot90", "rot180", "rot270"]
"""How a region is mirrored or turned, in degrees counter-clockwise."""

PLAIN_TEXT = "plain"
FLIPS = tuple(name for name in get_args(Flip) if name)
MAX_VIEWS = 16
"""In one description, the plain one included."""
MAX_TILES = 16
"""In one view."""
MAX_PASSES = 64
"""Over one picture, tiles counted, by all members of an ensemble."""
CROPS = (0.3, 0.95)
SCALES = (0.5, 0.95)
OVERLAPS = (0.0, 0.5)
GRAMMAR = (
    f"use {PLAIN_TEXT}, {', '.join(FLIPS)}, crop:S, scale:S or tiles:CxR@O (columns x rows @ overlap), "
    "a flip after a region with +"
)

_NUMBER = r"0(?:\.\d{1,4})?"
_REGION = re.compile(
    rf"crop:(?P<crop>{_NUMBER})|scale:(?P<scale>{_NUMBER})"
    rf"|tiles:(?P<columns>\d{{1,2}})x(?P<rows>\d{{1,2}})(?:@(?P<overlap>{_NUMBER}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class View:
    """One look at a picture. The regions exclude each other; the flip comes after the region."""

    flip: Flip = ""
    crop: float = 1.0
    """Share of each side that a centre crop keeps."""
    scale: float = 1.0
    """The picture shrunk to this share of the input's side, in a border of its own mirrored edges."""
    columns: int = 1
    rows: int = 1
    """Grid of tiles over the whole picture; each tile is a pass of its own and they share the view's weight."""
    overlap: float = 0.0
    """Share of a tile's side that it has in common with its neighbour."""

    @property
    def looks(self) -> int:
        """How many looks it takes at most."""
        return self.columns * self.rows

    @property
    def tiled(self) -> bool:
        """Whether the view is a grid of tiles."""
        return self.looks > 1

    def __str__(self) -> str:
        region = self._region()
        return "+".join(part for part in (region, self.flip) if part) or PLAIN_TEXT

    def _region(self) -> str:
        if self.tiled:
            return f"tiles:{self.columns}x{self.rows}" + (f"@{self.overlap:g}" if self.overlap else "")
        if self.crop != 1.0:
            return f"crop:{self.crop:g}"
        return f"scale:{self.scale:g}" if self.scale != 1.0 else ""


PLAIN = View()


def parse_view(text: str) -> View:
    """The view of that name; raises CheckpointError for any other text, another spelling of a view included."""
    if text == PLAIN_TEXT:
        return PLAIN
    region, _, flip = text.rpartition("+")
    if flip not in FLIPS:
        region, flip = text, ""
    view = _with_region(region, _flip(flip), text)
    if str(view) != text:
        fail(f"write the view {text!r} as {str(view)!r}")
    return view


def parse_views(texts: Iterable[object]) -> tuple[View, ...]:
    """A list of views as a description gives it; the first must be the plain one, since load sheds all others."""
    texts = tuple(texts)
    if not 1 <= len(texts) <= MAX_VIEWS:
        fail(f"views must name 1 to {MAX_VIEWS} views, not {len(texts)}")
    views = tuple(parse_view(text) if isinstance(text, str) else fail(f"{text!r} is no view") for text in texts)
    if views[0] != PLAIN:
        fail(f"the first view must be {PLAIN_TEXT!r}, not {texts[0]!r}")
    for place, view in enumerate(views):
        if view in views[:place]:
            fail(f"the view {str(view)!r} is named twice")
    return views


def _with_region(region: str, flip: Flip, text: str) -> View:
    if not region:
        return View(flip) if flip else fail(f"the view {text!r} does not exist: {GRAMMAR}")
    found = _REGION.fullmatch(region)
    if found is None:
        fail(f"the view {text!r} does not exist: {GRAMMAR}")
    if found["crop"]:
        return View(flip, crop=_within(text, found["crop"], CROPS))
    if found["scale"]:
        return View(flip, scale=_within(text, found["scale"], SCALES))
    columns, rows = int(found["columns"]), int(found["rows"])
    if not 2 <= columns * rows <= MAX_TILES:
        fail(f"the view {text!r} must have 2 to {MAX_TILES} tiles")
    return View(flip, columns=columns, rows=rows, overlap=_within(text, found["overlap"] or "0", OVERLAPS))


def _flip(name: str) -> Flip:
    return next((flip for flip in get_args(Flip) if flip == name), "")


def _within(text: str, number: str, bounds: tuple[float, float]) -> float:
    low, high = bounds
    value = float(number)
    if not low <= value <= high:
        fail(f"the view {text!r} is out of range: {number} is not from {low:g} to {high:g}")
    return value
