"""Sprites of works and of what looks like works, and whole atlases of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streetvision.base.process_pool import map_on_cores
from streetvision.scenes.sprites.camera import View
from streetvision.scenes.sprites.kinds import LOOK_ALIKES, WORKS
from streetvision.scenes.sprites.lighting import Lighting, draw_lighting
from streetvision.scenes.sprites.model import Kind, Model
from streetvision.scenes.sprites.renderer import render


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """One thing cut out: what a compositor lays over a photograph, after it has darkened the ground by the shadow."""

    kind: str
    works: bool
    pixels: NDArray[np.uint8]
    """RGBA [H, W, 4], sRGB, straight alpha."""
    shadow: NDArray[np.uint8]
    """How much of the light the thing takes from the ground, 0 to 255 [H, W]; nothing where it hangs."""
    metres: float
    """What the height of the picture spans in the world at the thing's distance."""
    ground: float
    """The row where it stands, as a share of the height from the top; 1 is the lower edge; larger where it hangs."""
    distance: float
    """Metres from the viewer; perspective and the angle from above belong to it."""


def works_sprite(seed: int, *, light: Lighting | None = None, longest: int = 256, kind: str | None = None) -> Sprite:
    """A thing of the works; the same for the same arguments. `longest` is the longer side in pixels."""
    return _sprite(WORKS, True, seed, light=light, longest=longest, name=kind)


def look_alike_sprite(
    seed: int, *, light: Lighting | None = None, longest: int = 256, kind: str | None = None
) -> Sprite:
    """A thing that is no sign of works, though some look like it; the same for the same arguments."""
    return _sprite(LOOK_ALIKES, False, seed, light=light, longest=longest, name=kind)


def _sprite(
    table: Sequence[Kind], works: bool, seed: int, *, light: Lighting | None, longest: int, name: str | None
) -> Sprite:
    rng = Random(f"{seed} {works}")
    kind = next((kind for kind in table if kind.name == name), None) if name else _drawn(table, rng)
    if kind is None:
        raise ValueError(f"There is no kind {name!r}; there are {', '.join(kind.name for kind in table)}.")
    model, drawn_light = kind.build(rng), draw_lighting(rng)
    view = _view(model, rng)
    picture = render(model.shapes, view, light or drawn_light, model.wear, longest=longest, grounded=model.grounded)
    frame = picture.frame
    return Sprite(kind.name, works, picture.pixels, picture.shadow, frame.metres, frame.standing, view.distance)


def kind_in_atlas(seed: int) -> str:
    """The kind of the sprite of this seed in an atlas, without drawing it."""
    works = bool(seed % 2)
    return _drawn(WORKS if works else LOOK_ALIKES, Random(f"{seed} {works}")).name


def _drawn(table: Sequence[Kind], rng: Random) -> Kind:
    return rng.choices(table, [kind.share for kind in table])[0]


def _view(model: Model, rng: Random) -> View:
    distance = model.nearest * math.exp(rng.uniform(0.0, math.log(45.0 / model.nearest)))
    return View(model.around + rng.uniform(-model.facing, model.facing), distance, rng.uniform(1.15, 1.7))


class Atlas(NamedTuple):
    """N sprites in squares of side S, each with its lower edge on the square's and in the middle of its width."""

    pixels: NDArray[np.uint8]
    """RGBA [N, S, S, 4], straight alpha."""
    shadows: NDArray[np.uint8]
    """[N, S, S]"""
    kinds: NDArray[np.str_]
    labels: NDArray[np.int64]
    """1 for works, 0 for look-alikes; every other sprite [N]."""
    aspect: NDArray[np.float32]
    """Width over height of what the square holds [N]."""
    metres: NDArray[np.float32]
    """What the side of the square spans in the world [N]."""
    ground: NDArray[np.float32]
    """The row where the thing stands, as a share of the side from the top [N]."""


def atlas(count: int, first_seed: int = 0, side: int = 128, workers: int = 1) -> Atlas:
    """Sprites of seeds `first_seed` on, works and look-alikes in turn, made by so many processes."""
    seeds = range(first_seed, first_seed + count)
    tiles = list(map_on_cores(partial(_tile, side=side), seeds, workers, chunk=32))
    columns = list(zip(*tiles, strict=True))
    pixels, shadows = np.stack(columns[0]), np.stack(columns[1])
    numbers = [np.array(column, np.float32) for column in columns[4:]]
    return Atlas(pixels, shadows, np.array(columns[2]), np.array(columns[3], np.int64), *numbers)


class _Tile(NamedTuple):
    pixels: NDArray[np.uint8]
    shadow: NDArray[np.uint8]
    kind: str
    works: bool
    aspect: float
    metres: float
    ground: float


def _tile(seed: int, side: int) -> _Tile:
    make = works_sprite if seed % 2 else look_alike_sprite
    sprite = make(seed, longest=side)
    height, width = (min(side, length) for length in sprite.pixels.shape[:2])
    pixels, shadow = np.zeros((side, side, 4), np.uint8), np.zeros((side, side), np.uint8)
    left = (side - width) // 2
    pixels[side - height :, left : left + width] = sprite.pixels[:height, :width]
    shadow[side - height :, left : left + width] = sprite.shadow[:height, :width]
    share = height / side
    ground = 1.0 - share * (1.0 - sprite.ground)
    return _Tile(pixels, shadow, sprite.kind, sprite.works, width / height, sprite.metres / share, ground)
