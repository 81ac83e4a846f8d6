"""Measures a checkpoint on fresh scenes: clean, at each of the validators' levels, at native size, on photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from streetvision.base.process_pool import map_on_cores
from streetvision.models.network import StreetVisionNet
from streetvision.scenes.augment import LEVELS, STRESS, apply_recipe, draw_recipes
from streetvision.scenes.challenges import NATIVE_SIZES, SOURCE_SIZES
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.training.pool import in_view
from streetvision.training.rendering import pack_objects

Pixels = NDArray[np.uint8]
VIEWS = ("clean", *(f"level_{level}" for level in LEVELS), "stress")
"""Views of one scene; "native" is measured on scenes of its own, since they cost a hundred times more."""
NATIVE_VIEW = "native"


@dataclass(frozen=True)
class EvaluationPicture:
    """One picture as a model gets it, [S, S, 3], the scene's label and whether the picture still shows the works."""

    pixels: Pixels
    label: bool
    in_view: bool


@dataclass(frozen=True)
class Scored:
    """Raw logits [N] of one kind of view with the labels that validators keep and those the pictures deserve."""

    logits: NDArray[np.float32]
    labels: NDArray[np.bool_]
    in_view: NDArray[np.bool_]

    @property
    def ceiling(self) -> float:
        """Accuracy of a perfect observer against the kept labels: works that a crop cut out cannot be seen."""
        return float((self.labels == self.in_view).mean())


def squash(image: Image.Image, size: int) -> Pixels:
    """Scale both sides to `size`, as the model's `squash` rule does: uint8 [size, size, 3]."""
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))


def _through_jpeg(pixels: Pixels, rng: np.random.Generator) -> Image.Image:
    data = encode_jpeg(Image.fromarray(pixels), int(rng.integers(80, 96)))
    with Image.open(BytesIO(data)) as image:
        return image.convert("RGB")


def scene_views(seed: int, size: int) -> dict[str, EvaluationPicture]:
    """Each of VIEWS of the scene of this seed, through JPEG as on the wire."""
    rng = np.random.default_rng((11, seed))
    scene = render_scene(seed, size=SOURCE_SIZES[rng.integers(len(SOURCE_SIZES))])
    height, width = scene.image.shape[:2]
    objects = torch.from_numpy(pack_objects(scene))[None]
    views = {"clean": EvaluationPicture(squash(_through_jpeg(scene.image, rng), size), scene.roadwork, scene.roadwork)}
    for name, level in zip(VIEWS[1:], (*LEVELS, STRESS), strict=True):
        recipes = draw_recipes(rng, np.array([level]), width, height)
        sent = _through_jpeg(apply_recipe(scene.image, recipes, 0, rng), rng)
        shown, _ = in_view(objects, torch.from_numpy(recipes.matrices()))
        views[name] = EvaluationPicture(squash(sent, size), scene.roadwork, bool(shown.any()))
    return views


def native_view(seed: int, size: int) -> dict[str, EvaluationPicture]:
    """The scene of this seed at a size as phones send it, reduced to the model's input."""
    rng = np.random.default_rng((13, seed))
    scene = render_scene(seed, size=NATIVE_SIZES[rng.integers(len(NATIVE_SIZES))])
    return {
        NATIVE_VIEW: EvaluationPicture(squash(_through_jpeg(scene.image, rng), size), scene.roadwork, scene.roadwork)
    }


def collect(
    make: Callable[..., dict[str, EvaluationPicture]], seeds: Sequence[int], size: int, workers: int
) -> dict[str, list[EvaluationPicture]]:
    """Views of all seeds by name, made on `workers` processes."""
    sets: dict[str, list[EvaluationPicture]] = {}
    for views in map_on_cores(partial(make, size=size), seeds, workers):
        for name, view in views.items():
            sets.setdefault(name, []).append(view)
    return sets


@torch.inference_mode()
def raw_logits(net: StreetVisionNet, pictures: Sequence[Pixels], *, batch: int = 256) -> NDArray[np.float32]:
    """Raw logits [N] (no temperature, no threshold) of pictures [S, S, 3]."""
    device = next(net.parameters()).device
    results = []
    for start in range(0, len(pictures), batch):
        images = torch.from_numpy(np.stack(pictures[start : start + batch])).to(device)
        results.append(net(net.preprocess(images))[0].float().cpu().numpy())
    return np.concatenate(results) if results else np.zeros(0, np.float32)


def score(net: StreetVisionNet, views: Sequence[EvaluationPicture]) -> Scored:
    """Run the model over views of one kind."""
    return Scored(
        raw_logits(net, [view.pixels for view in views]),
        np.array([view.label for view in views]),
        np.array([view.in_view for view in views]),
    )


def pool_views(sets: dict[str, list[EvaluationPicture]], names: Sequence[str]) -> list[EvaluationPicture]:
    """The views of several kinds together."""
    return [view for name in names for view in sets.get(name, [])]
