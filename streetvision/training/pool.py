"""The scenes in training, kept on the device; fresh ones replace the oldest, so that few are ever seen twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from streetvision.scenes.augment import Recipes, draw_recipes
from streetvision.training import augment_torch
from streetvision.training.batch import Batch
from streetvision.training.compositor import Composites
from streetvision.training.jitter import jitter
from streetvision.training.rendering import MAX_OBJECTS, OBJECT_FIELDS, Chunk

WHOLE = 9
"""In place of a level: the picture whole, squashed to a square, as pictures of native size are."""
MIXTURE: dict[int, float] = {0: 0.15, 1: 0.2, 2: 0.12, 3: 0.18, WHOLE: 0.35}
Look = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""How a camera varies pictures [N, 3, H, W] in [0, 255]."""
SHOWN_AREA = 0.002
"""After augmentation an object counts when half of it and this share of the picture remain."""


class ScenePool:
    """A ring of `capacity` scenes of one size (width, height) on a device."""

    def __init__(
        self,
        capacity: int,
        size: tuple[int, int],
        device: torch.device,
        *,
        look: Look = jitter,
        mixture: Mapping[int, float] = MIXTURE,
    ) -> None:
        self.look, self.mixture = look, mixture
        self.images = torch.zeros((capacity, size[1], size[0], 3), dtype=torch.uint8, device=device)
        self.objects = torch.zeros((capacity, MAX_OBJECTS, OBJECT_FIELDS), device=device)
        self.capacity = capacity
        self.rendered = 0

    @property
    def filled(self) -> int:
        """Scenes that can be drawn now."""
        return min(self.rendered, self.capacity)

    def add(self, chunk: Chunk | Composites) -> None:
        """Copy a chunk in, over the oldest scenes once the ring is full; its size must divide the capacity."""
        start = self.rendered % self.capacity
        stop = start + len(chunk.labels)
        self.images[start:stop].copy_(torch.as_tensor(chunk.images))
        self.objects[start:stop].copy_(torch.as_tensor(chunk.objects))
        self.rendered += len(chunk.labels)

    def without_works(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """`count` scenes that show no works, uint8 [count, H, W, 3], drawn with repetition."""
        plain = torch.nonzero(self.objects[: self.filled, :, 4].sum(dim=1) == 0)[:, 0]
        draws = torch.randint(len(plain), (count,), generator=generator, device=plain.device)
        return self.images[plain[draws]]

    def batch(self, count: int, size: int, patch: int, rng: np.random.Generator, generator: torch.Generator) -> Batch:
        """Draw and augment `count` scenes to size x size; targets say what the augmented picture still shows."""
        device = self.images.device
        height, width = self.images.shape[1:3]
        recipes = draw_training_recipes(rng, count, width, height, self.mixture)
        chosen = torch.from_numpy(rng.integers(0, self.filled, count)).to(device)
        matrices = torch.from_numpy(recipes.matrices()).to(device)
        pixels = augment_torch.warp(self.images[chosen], matrices, size)
        pixels = augment_torch.distort(self.look(pixels, generator), recipes, generator)
        shown, doubtful = in_view(self.objects[chosen], matrices)
        targets = shown.any(dim=1)
        weights = (targets | ~doubtful.any(dim=1)).float()
        patches = augment_torch.patch_targets(self.objects[chosen][..., :4], shown, matrices, size // patch)
        return Batch(pixels, targets.float(), weights, patches)


def in_view(objects: torch.Tensor, matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which objects [N, K, OBJECT_FIELDS] an augmented picture clearly shows and of which it shows a doubtful rest."""
    kept = augment_torch.kept_share(objects[..., :4], matrices)
    area = objects[..., 5] * kept * augment_torch.zoom(matrices)[:, None]
    shown = (kept >= 0.5) & (objects[..., 4] >= 0.4) & (area >= SHOWN_AREA)
    doubtful = (kept > 0.1) & (area > SHOWN_AREA / 4) & ~shown
    return shown, doubtful


def draw_training_recipes(
    rng: np.random.Generator, count: int, width: int, height: int, mixture: Mapping[int, float] = MIXTURE
) -> Recipes:
    """The validators' levels and whole pictures, by their shares; whole ones are cropped and stretched a little."""
    levels = rng.choice(np.array(list(mixture)), count, p=np.array(list(mixture.values())))
    recipes = draw_recipes(rng, np.where(levels == WHOLE, 0, levels), width, height)
    whole = levels == WHOLE
    wide, high = (side * rng.uniform(0.7, 1.0, count) ** (rng.random(count) < 0.5) for side in (width, height))
    return replace(
        recipes,
        wide=np.where(whole, wide, recipes.wide).astype(np.float32),
        high=np.where(whole, high, recipes.high).astype(np.float32),
        left=np.where(whole, rng.random(count) * (width - wide), recipes.left).astype(np.float32),
        top=np.where(whole, rng.random(count) * (height - high), recipes.top).astype(np.float32),
        flip_x=np.where(whole | (levels == 0), rng.random(count) < 0.5, recipes.flip_x),
    )
