"""What the norm-and-head kernel must compute, in plain PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from streetvision_kernels.head_oracle import head_oracle
from streetvision_kernels.layer_norm_oracle import layer_norm_oracle


def norm_head_oracle(
    tokens: torch.Tensor,
    token_norm: tuple[torch.Tensor, torch.Tensor],
    *,
    images: int,
    token_eps: float,
    **head: Any,  # noqa: ANN401  # the head's own arguments
) -> tuple[torch.Tensor, torch.Tensor]:
    """`head_oracle` of LayerNorm(tokens), for tokens [N * T, D]."""
    normed = layer_norm_oracle(tokens, *token_norm, eps=token_eps)
    logits, pooled = head_oracle(normed.reshape(images, -1, tokens.shape[-1]), **head)
    return logits, pooled
