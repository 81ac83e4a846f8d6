"""The bundled training's loss on labels, for the network and its teacher alike."""

from __future__ import annotations

import torch

from streetvision.training.batch import Batch
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.objective import patch_loss, picture_loss


def loss_of(logits: torch.Tensor, patches: torch.Tensor, batch: Batch, settings: TrainSettings) -> torch.Tensor:
    """Cross-entropy of the picture, doubtful pictures left out, plus the patches' share."""
    if batch.patches is None:
        raise ValueError("the bundled training needs patch targets")
    whole = picture_loss(logits, batch.targets, batch.weights, settings.loss)
    return whole + settings.patch_loss * patch_loss(patches, batch.patches)


def share_right(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Weighted share of pictures on the right side of 0."""
    right = ((logits > 0) == (batch.targets > 0.5)) * batch.weights
    return right.sum() / batch.weights.sum().clamp(min=1.0)
