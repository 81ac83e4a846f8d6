"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) on a batch of augmented pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from streetvision.training.batch import Batch
from streetvision.training.recipe import LossRecipe


def mixed(batch: Batch, recipe: LossRecipe, generator: torch.Generator) -> Batch:
    """The batch with each picture mixed with another one of it; with both kinds wanted, one is drawn for the batch.

    `generator` is a CPU's: what it draws is the same on every device.
    """
    wanted = [kind for kind in ("mixup", "cutmix") if getattr(recipe, kind) > 0.0]
    if not wanted:
        return batch
    kind = wanted[int(torch.randint(len(wanted), (), generator=generator))]
    partners = torch.randperm(len(batch.targets), generator=generator).to(batch.pixels.device)
    share = _beta(getattr(recipe, kind), generator)
    return _mixup(batch, partners, share) if kind == "mixup" else _cutmix(batch, partners, share, generator)


def _mixup(batch: Batch, partners: torch.Tensor, share: float) -> Batch:
    patches = None if batch.patches is None else batch.patches.lerp(batch.patches[partners], share)
    return replace(
        batch,
        pixels=batch.pixels.lerp(batch.pixels[partners], share),
        targets=batch.targets.lerp(batch.targets[partners], share),
        weights=batch.weights.lerp(batch.weights[partners], share),
        patches=patches,
    )


def _cutmix(batch: Batch, partners: torch.Tensor, share: float, generator: torch.Generator) -> Batch:
    """Paste a square of `share` of the area; where patches are known its edges lie between them."""
    side = batch.pixels.shape[-1]
    grid = side if batch.patches is None else math.isqrt(batch.patches.shape[1])
    edge = round(grid * math.sqrt(share))
    top, left = (int(torch.randint(grid - edge + 1, (), generator=generator)) for _ in range(2))
    inside = torch.zeros(grid, grid, dtype=torch.bool, device=batch.pixels.device)
    inside[top : top + edge, left : left + edge] = True
    scale = side // grid
    over = inside.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
    pasted = (edge / grid) ** 2
    patches = batch.patches
    if patches is not None:
        patches = torch.where(inside.flatten(), patches[partners], patches)
    return replace(
        batch,
        pixels=torch.where(over, batch.pixels[partners], batch.pixels),
        targets=batch.targets.lerp(batch.targets[partners], pasted),
        weights=batch.weights.lerp(batch.weights[partners], pasted),
        patches=patches,
    )


def _beta(alpha: float, generator: torch.Generator) -> float:
    """One draw of Beta(alpha, alpha), folded to [0, 0.5], as two draws of Gamma."""
    concentration = torch.full((2,), alpha, dtype=torch.float64)
    first, second = torch._standard_gamma(concentration, generator=generator).tolist()
    share = first / max(first + second, 1e-12)
    return float(min(share, 1.0 - share))
