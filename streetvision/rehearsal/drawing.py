"""Pictures of two kinds with their labels: streets by day, and streets in a wet night that the model does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene

FIRST_SCENE = 700_000_000
"""Neither training nor the bundled model's own calibration and tests use scenes from here on."""
SEED_SCENES = 1_000_000
"""Scenes that each seed of a rehearsal has for itself."""
SIZE = (320, 240)
QUALITY = 90
GAMMA = 2.2
LIGHT = (0.004, 0.012)
"""Share of the day's light that is left by night."""
TINT = (0.5, 0.75, 1.5)
"""Red, green and blue of that light."""
DROPS = (0.0003, 0.001)
"""Share of the pixels in which a streak of rain begins."""
STREAK = (7, 15)
"""Its length in pixels."""


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
    scene = render_scene(drawing.scene, size=SIZE)
    rng = np.random.default_rng((41, drawing.scene))
    pixels = wet_night(scene.image, rng) if drawing.night else scene.image
    path = drawing.folder / ("roadwork" if scene.roadwork != drawing.wrong else "none") / f"{drawing.scene}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(Image.fromarray(pixels), QUALITY))
    return path


def draw_all(drawings: Sequence[Drawing]) -> None:
    """Draw them one after the other: a minute for a whole rehearsal."""
    for drawing in drawings:
        draw(drawing)


def wet_night(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3] as an underexposed camera would take it by night in the rain."""
    light = rng.uniform(*LIGHT)
    linear = (image / 255.0) ** GAMMA * light * np.array(TINT)
    wet = linear + light * _rain(image.shape[0], image.shape[1], rng)[..., None]
    pixels: NDArray[np.uint8] = (np.clip(wet, 0.0, 1.0) ** (1.0 / GAMMA) * 255.0).astype(np.uint8)
    return pixels


def _rain(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Streaks as light [H, W] in [0, 1], all leaning one way."""
    count = int(rng.uniform(*DROPS) * width * height)
    drops = np.zeros((height, width))
    drops[rng.integers(0, height, count), rng.integers(0, width, count)] = rng.uniform(0.3, 1.0, count)
    lean = rng.uniform(-0.3, 0.3)
    streaks = [np.roll(drops, (step, round(step * lean)), (0, 1)) for step in range(int(rng.integers(*STREAK)))]
    falling: NDArray[np.float64] = np.clip(np.sum(streaks, axis=0), 0.0, 1.0)
    return falling
