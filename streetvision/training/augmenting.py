"""From loaded pictures to what a model is trained on: on the device, in batches, without waiting for it.

A share of each batch is degraded as validators do, at 224 pixels, and scaled to the model's input as service would; the
rest are whole pictures as they have come since May 2026. Cameras' moods are varied first in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from streetvision.engine.views import ResizeRule
from streetvision.scenes.augment import LEVELS, SIZE
from streetvision.training import views
from streetvision.training.augment_torch import warp
from streetvision.training.batch import Batch, RawBatch
from streetvision.training.distortions import distort
from streetvision.training.jitter import jitter
from streetvision.training.views import Dice


@dataclass(frozen=True)
class Augmentation:
    """How pictures are varied in training."""

    size: int
    """Side of the model's input in pixels."""
    rule: ResizeRule = "squash"
    validators: float = 0.5
    """Share of each batch that is degraded as validators do."""
    levels: Mapping[int, float] = field(default_factory=lambda: dict.fromkeys(LEVELS, 1.0))
    """How often each level of theirs comes; they draw evenly."""
    sideways: float = 0.1
    """Share of the whole pictures that lie on their side."""
    least: float = 0.7
    """Smallest part of a whole picture's width or height that is shown."""
    camera: float = 1.0
    """Strength of the differences between cameras, 0 for none."""


class GpuAugment:
    """Augments batches on their device; all of its randomness comes from the generator."""

    def __init__(self, augmentation: Augmentation) -> None:
        self.augmentation = augmentation
        self._names = views.occurring(augmentation.levels)

    @torch.no_grad()
    def __call__(self, raw: RawBatch, generator: torch.Generator) -> Batch:
        """Views of `raw`, with the generator on the same device and seeded anew for each step.

        The first pictures are the validators'; loaders shuffle, so the place in a batch says nothing.
        """
        device = raw.images.device
        with torch.autocast(device.type, enabled=False):
            count = self._degraded_count(len(raw), generator.initial_seed())
            dice = Dice(generator)
            parts = [self._degraded(raw.images[:count], raw.sizes[:count], dice)] if count else []
            if count < len(raw):
                parts.append(self._whole(raw.images[count:], raw.sizes[count:], dice))
            return Batch(torch.cat(parts), raw.labels, raw.weights)

    def _degraded_count(self, count: int, seed: int) -> int:
        """How many of the batch: decided on the host, so that shapes are known; its fraction is drawn."""
        return int(count * self.augmentation.validators + np.random.default_rng(seed % 2**63).random())

    def _degraded(self, images: torch.Tensor, sizes: torch.Tensor, dice: Dice) -> torch.Tensor:
        levels = self.augmentation.levels
        chosen = views.draw_levels(len(images), levels, dice)
        cuts = views.draw_cuts(sizes, views.is_plain(chosen, levels), dice)
        fine = warp(images, cuts.matrices(), 2 * SIZE)
        cut = F.avg_pool2d(fine, 2)
        # What lies outside the picture is black whatever the camera.
        pixels = jitter(cut, dice.generator, self.augmentation.camera) * cut.any(dim=1, keepdim=True)
        severities = views.draw_severities(chosen, levels, dice)
        return scaled(distort(pixels, severities, dice.generator, self._names), self.augmentation.size)

    def _whole(self, images: torch.Tensor, sizes: torch.Tensor, dice: Dice) -> torch.Tensor:
        how = self.augmentation
        matrices = views.reframed(views.whole(sizes, how.rule), how.least, dice)
        fine = warp(images, views.turned(matrices, how.sideways, dice), 2 * how.size)
        return jitter(scaled(fine, how.size), dice.generator, how.camera)


def plain_batch(raw: RawBatch, size: int, rule: ResizeRule = "squash") -> Batch:
    """The pictures as service shows them to a model of that input size, unvaried: for judging."""
    with torch.autocast(raw.images.device.type, enabled=False):
        fine = warp(raw.images, views.whole(raw.sizes, rule), 2 * size)
        return Batch(scaled(fine, size), raw.labels, raw.weights)


def scaled(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Float [N, 3, H, W] in [0, 255] at another size, by the filter that service uses."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    resized = F.interpolate(pixels, size=(size, size), mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp_(0.0, 255.0)


def step_generator(device: torch.device, *, seed: int, step: int, rank: int = 0) -> torch.Generator:
    """The randomness of one step of one rank, so that a resumed training draws what an unbroken one would."""
    state = np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) % 2**63)
