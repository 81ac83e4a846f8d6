"""Procedural street scenes with and without roadwork, painted with numpy and Pillow; one seed, one picture.

They are drawings: good for training and testing the machinery end to end, no substitute for photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes import arranging
from streetvision.scenes.buildings import draw_buildings, draw_rails
from streetvision.scenes.camera import Camera, draw_camera
from streetvision.scenes.ground import Surface, paint_backdrop
from streetvision.scenes.parts import Part
from streetvision.scenes.photographic import photograph
from streetvision.scenes.placing import PlacedPart, Scenery
from streetvision.scenes.street import Street, draw_street

CLEAR_SHARE = 0.6
"""A roadwork object counts as clear when at least this share of it is visible ..."""
CLEAR_AREA = 0.004
"""... and it covers at least this share of the picture (14 x 14 pixels of 224 x 224)."""
MIN_SIDE, MAX_SIDE = 64, 8192
_BACKDROP_SIDE = 900
"""Longest side at which the backdrop is computed; larger pictures enlarge it and draw objects at full size."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """A roadwork object in view; its box is left, top, right, bottom in [0, 1], visible and area are shares."""

    name: str
    box: tuple[float, float, float, float]
    visible: float
    area: float
    legible: float = 1.0
    """How many times CLEAR_AREA it must cover, since look-alikes differ in small details only."""

    @property
    def clear(self) -> bool:
        """Whether a person would be sure to see it."""
        return self.visible >= CLEAR_SHARE and self.area >= CLEAR_AREA * self.legible


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and the truth about it."""

    image: NDArray[np.uint8]
    """RGB, uint8 [height, width, 3]."""
    roadwork: bool
    objects: tuple[SceneObject, ...]
    """Visible roadwork objects; empty exactly when `roadwork` is false."""
    conditions: tuple[str, str, str]
    """Kind of street, light, weather."""


def render_scene(seed: int, *, roadwork: bool | None = None, size: tuple[int, int] = (384, 288)) -> Scene:
    """Paint the scene of this seed at `size` = (width, height) in pixels, the same on every run.

    `roadwork` None lets the seed decide, evenly. The same seed with True and False shows the same street, light and
    camera with and without works, so that a model cannot tell them apart by anything else. A scene with works shows
    at least one clear object (CLEAR_SHARE, CLEAR_AREA); one without shows none. Raises ValueError for a size outside
    MIN_SIDE to MAX_SIDE.
    """
    width, height = size
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise ValueError(f"a scene measures {MIN_SIDE} to {MAX_SIDE} pixels a side, not {width} x {height}")
    stream = partial(_stream, seed)
    positive = stream("label").random() < 0.5 if roadwork is None else roadwork
    camera = draw_camera(stream("camera"), width, height)
    street = draw_street(stream("street"))
    ordinary = arranging.furniture(camera, street, stream("furniture"))
    site = arranging.works(camera, street, stream("works")) if positive else _stand_ins(camera, street, stream("works"))
    canvas = _backdrop(camera, street, site if positive else (), seed)
    draw_buildings(canvas, camera, street, stream("buildings"))
    draw_rails(canvas, camera, street, stream("rails"))
    stage = Scenery(canvas, camera, street.light)
    painter = stream("paint")
    for one in sorted((*ordinary, *site), key=lambda one: -one.z):
        stage.place(one, painter)
    if positive:
        _insist(stage, camera, stream("insist"))
    picture = photograph(stage.canvas, street.light, stream("photo"))
    conditions = (street.kind, street.light.name, street.light.weather)
    return Scene(np.asarray(picture), positive, _objects(stage) if positive else (), conditions)


def _stream(seed: int, purpose: str) -> Random:
    """Independent randomness for each purpose, so that one part of a scene can change without the others."""
    return Random(f"{seed}/{purpose}")


def _stand_ins(camera: Camera, street: Street, rng: Random) -> list[PlacedPart]:
    """In place of works a negative often gets look-alikes, so that clutter as such tells nothing."""
    return arranging.look_alikes(camera, street, rng) if rng.random() < 0.6 else []


def _backdrop(camera: Camera, street: Street, site: Sequence[PlacedPart], seed: int) -> Image.Image:
    rng = _stream(seed, "ground")
    surface = Surface(arranging.old_patches(camera, street, rng))
    if site:
        dug = arranging.dug_up(site, _stream(seed, "dug"))
        surface = Surface((*surface.patches, *dug.patches), dug.markings)
    factor = max(1.0, max(camera.width, camera.height) / _BACKDROP_SIDE)
    if factor == 1.0:
        return paint_backdrop(camera, street, rng, surface)
    small = Camera(
        width=round(camera.width / factor),
        height=round(camera.height / factor),
        focal=camera.focal / factor,
        horizon=camera.horizon / factor,
        centre=camera.centre / factor,
        eye=camera.eye,
        bend=camera.bend,
    )
    image = paint_backdrop(small, street, rng, surface)
    return image.resize((camera.width, camera.height), Image.Resampling.BICUBIC)


def _insist(stage: Scenery, camera: Camera, rng: Random) -> None:
    """Add objects in front of everything, further down the picture each time, until one is clear."""
    for attempt in range(40):
        if any(one.clear for one in _objects(stage)):
            return
        low = max(0.55, camera.horizon / camera.height + 0.12) + 0.03 * attempt
        foot = min(rng.uniform(low, low + 0.3), 0.97) * camera.height
        z = camera.focal * camera.eye / (foot - camera.horizon)
        part = _fitting(z, foot, camera, rng)
        stage.place(arranging.item(part, camera.lateral(rng.uniform(0.2, 0.8) * camera.width, z), z, rng), rng)
    raise RuntimeError("no clear roadwork object after forty attempts")


def _fitting(z: float, foot: float, camera: Camera, rng: Random) -> Part:
    """A part that is neither tiny nor larger than the room above its foot; else the one that fits best."""

    def tall(part: Part) -> float:
        return part.high * camera.scale(z)

    parts = list(arranging.WORKS.values())
    good = [
        part
        for part in parts
        if 0.09 * camera.height < tall(part) < foot and tall(part) * part.aspect < 0.8 * camera.width
    ]
    return rng.choice(good) if good else min(parts, key=lambda part: abs(tall(part) - 0.4 * foot))


def _objects(stage: Scenery) -> tuple[SceneObject, ...]:
    """What can be seen of the works, nearest last."""
    width, height = stage.camera.width, stage.camera.height
    found = []
    for placed, visible, area in stage.visible():
        if area > 0.0:
            left, top, right, bottom = placed.box
            box = (max(left / width, 0.0), max(top / height, 0.0), min(right / width, 1.0), min(bottom / height, 1.0))
            part = placed.item.part
            found.append(SceneObject(part.name, box, min(visible, 1.0), area, part.legible))
    return tuple(found)
