"""The loss of a batch: cross-entropy or focal, with smoothing and weights, and the patches' share."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from streetvision.training.recipe import LossRecipe

PATCH_POSITIVE_WEIGHT = 4.0
"""Patches that show works are few."""


def picture_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, recipe: LossRecipe
) -> torch.Tensor:
    """Weighted mean loss of raw logits [N] against targets [N] in [0, 1]; a scalar in nats.

    Focal loss: Lin et al. 2017, (1 - p_t)^gamma * cross-entropy, with p_t generalised to soft targets.
    """
    logits, targets = logits.float(), targets.float()
    smooth = targets * (1.0 - recipe.label_smoothing) + recipe.label_smoothing / 2.0
    losses = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
    if recipe.kind == "focal":
        losses = losses * (logits.sigmoid() - targets).abs() ** recipe.gamma
    heaviness = weights * (1.0 + targets * (recipe.positive_weight - 1.0))
    return (losses * heaviness).sum() / heaviness.sum().clamp(min=1e-6)


def patch_loss(scores: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the patches' scores [N, P] against what they show [N, P]; a scalar."""
    heavier = torch.full((), PATCH_POSITIVE_WEIGHT, device=scores.device)
    return F.binary_cross_entropy_with_logits(scores.float(), patches, pos_weight=heavier)
