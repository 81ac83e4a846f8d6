"""A stream of pictures that shifts: mostly dusk, night, rain and fog, degraded, where the start was fair and clear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
import torch
from PIL import Image

from streetvision.models.network import StreetVisionNet
from streetvision.scenes.augment import STRESS, apply_recipe, draw_recipes
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.scenes.street import draw_street
from streetvision.training.augmenting import scaled
from streetvision.training.pool import in_view
from streetvision.training.rendering import pack_objects

FIRST_SCENE = 600_000_000
"""Neither training nor the bundled model's own calibration and tests use scenes from here on."""
SIZE = (288, 216)
SHIFTED = 0.8
"""Share of the stream that is not like the start."""


def is_fair(seed: int) -> bool:
    """Daylight and clear weather, as the scene of this seed will have it."""
    light = draw_street(Random(f"{seed}/street")).light
    return light.name in ("sunny", "overcast") and light.weather == "clear"


def picture(job: tuple[int, int]) -> tuple[bytes, bool]:
    """The scene of a seed at a level, and whether it still shows works."""
    seed, level = job
    rng = np.random.default_rng((17, seed))
    scene = render_scene(seed, size=SIZE)
    if is_fair(seed) != (scene.conditions[1] in ("sunny", "overcast") and scene.conditions[2] == "clear"):
        raise SystemExit("Scenes draw their light in another way now: no figures.")
    recipes = draw_recipes(rng, np.array([level]), *SIZE)
    shown, _ = in_view(torch.from_numpy(pack_objects(scene))[None], torch.from_numpy(recipes.matrices()))
    return encode_jpeg(Image.fromarray(apply_recipe(scene.image, recipes, 0, rng)), 88), bool(shown.any())


def jobs(rng: np.random.Generator, seeds: Sequence[int], count: int, shifted: float) -> list[tuple[int, int]]:
    """Scenes and levels: shifted ones are dark or wet and degraded, the others fair and hardly touched."""
    chosen: list[tuple[int, int]] = []
    pool = {fair: _alike(seeds, fair=fair) for fair in (True, False)}
    for moved in rng.random(count) < shifted:
        chosen.append((next(pool[not moved]), int(rng.choice((3, STRESS) if moved else (0, 1)))))
    return chosen


def _alike(seeds: Sequence[int], *, fair: bool) -> Iterator[int]:
    return (seed for seed in seeds if is_fair(seed) is fair)


def as_shown(net: StreetVisionNet, images: torch.Tensor) -> torch.Tensor:
    """Pictures uint8 [N, H, W, 3] normalised at the model's input size, as service would scale them."""
    large = scaled(images.permute(0, 3, 1, 2).float(), net.input_size)
    return net.preprocess(large.permute(0, 2, 3, 1))
