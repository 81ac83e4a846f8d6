"""Pictures of two kinds with their labels: streets by day, and streets in a wet night that no model can know whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.base.process_pool import map_on_cores
from streetvision.base.resources import usable_cpus
from streetvision.rehearsal.lit_boards import with_boards
from streetvision.rehearsal.wet_night import darkened, rained_on
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene

FIRST_SCENE = 700_000_000
"""Neither training nor the bundled model's own calibration and tests use scenes from here on."""
SEED_SCENES = 1_000_000
"""Scenes that each seed of a rehearsal has for itself."""
SIZE = (320, 240)
QUALITY = 90
BOARDS = 0.6
"""Share of the night's streets on which boards stand that nobody knows: there a model can but guess."""
_AT_ONCE = 16
"""Pictures that a process is given at a time."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture to draw."""

    folder: Path
    """Of a set: the picture goes into `roadwork` or `none` below it."""
    scene: int
    night: bool = False
    wrong: bool = False
    """Whether its label is turned round."""


def draw(drawing: Drawing) -> Path:
    """Draw it; where it is."""
    pixels, roadwork = _by_night(drawing.scene) if drawing.night else _by_day(drawing.scene)
    path = drawing.folder / ("roadwork" if roadwork != drawing.wrong else "none") / f"{drawing.scene}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(Image.fromarray(pixels), QUALITY))
    return path


def draw_all(drawings: Sequence[Drawing]) -> None:
    """Draw them, by a process on each core: half a minute for a whole rehearsal on two."""
    workers = max(1, min(round(usable_cpus()), len(drawings) // _AT_ONCE))
    for _ in map_on_cores(draw, drawings, workers, chunk=_AT_ONCE):
        pass


def _by_day(scene: int) -> tuple[NDArray[np.uint8], bool]:
    drawn = render_scene(scene, size=SIZE)
    return drawn.image, drawn.roadwork


def _by_night(scene: int) -> tuple[NDArray[np.uint8], bool]:
    """The works of the day in the dark, or boards of the night on a street that has none."""
    rng = np.random.default_rng((41, scene))
    boards = bool(rng.random() < BOARDS)
    drawn = render_scene(scene, roadwork=False if boards else None, size=SIZE)
    dark = darkened(drawn.image, rng)
    roadwork = bool(rng.random() < 0.5) if boards else drawn.roadwork
    lit = with_boards(dark, works=roadwork, rng=rng) if boards else dark
    return rained_on(lit, rng), roadwork
