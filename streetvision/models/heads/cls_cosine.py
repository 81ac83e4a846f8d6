"""CLS at unit length -> linear -> `classes` logits -> the log-odds of the `positive` ones.

A row of the linear layer is the embedding of one prompt at unit length times the logit scale, so that its product is
what contrastively trained towers compare by: scale * cosine(image, text) + bias.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from streetvision.models.config import HeadConfig
from streetvision.models.heads.cls_linear import ClassHead


class CosineHead(ClassHead):
    """As ClassHead, of CLS at unit length; the embedding that it answers keeps its length."""

    def classes(self, cls: torch.Tensor) -> torch.Tensor:
        """CLS [N, D] -> logits [N, C], each scale * cosine + bias of one prompt."""
        return super().classes(F.normalize(cls, dim=-1))


def embedding_dim(width: int) -> int:
    """The backbone's width."""
    return width


def build(config: HeadConfig, width: int, prefix: int) -> CosineHead:
    """The head of that description."""
    return CosineHead(width, config.classes, config.positive)
