"""CLS -> linear -> `classes` logits -> the log-odds of the `positive` ones."""

from __future__ import annotations

import torch
from torch import nn

from streetvision.models.config import HeadConfig


class ClassHead(nn.Module):
    """CLS -> linear -> the log-odds of the positive classes under softmax; a single class is the logit itself."""

    positive: torch.Tensor
    negative: torch.Tensor

    def __init__(self, width: int, classes: int, positive: tuple[int, ...]) -> None:
        super().__init__()
        self.fc = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)
        negative = [index for index in range(classes) if index not in positive]
        # On the device beforehand: a CUDA graph cannot capture an upload.
        self.register_buffer("positive", torch.tensor(positive, dtype=torch.long), persistent=False)
        self.register_buffer("negative", torch.tensor(negative, dtype=torch.long), persistent=False)

    def classes(self, cls: torch.Tensor) -> torch.Tensor:
        """CLS [N, D] -> logits [N, C]."""
        logits: torch.Tensor = self.fc(cls)
        return logits

    def forward(
        self, tokens: torch.Tensor, *, scale: float = 1.0, shift: float = 0.0, fused: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [N, T, D] -> logits [N] and CLS embeddings [N, D], float32; `fused` has no meaning here."""
        cls = tokens[:, 0] if tokens.dtype == torch.float64 else tokens[:, 0].float()
        classes = self.classes(cls)
        if self.fc.out_features == 1:
            raw = classes[:, 0]
        else:
            positive = classes.index_select(1, self.positive).logsumexp(dim=1)
            raw = positive - classes.index_select(1, self.negative).logsumexp(dim=1)
        return raw * scale - shift, cls


def embedding_dim(width: int) -> int:
    """The backbone's width."""
    return width


def build(config: HeadConfig, width: int, prefix: int) -> ClassHead:
    """The head of that description."""
    return ClassHead(width, config.classes, config.positive)
