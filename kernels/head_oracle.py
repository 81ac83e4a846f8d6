"""What the fused head must compute, in plain PyTorch: the reference for tests and the path on the CPU."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def pool_tokens(tokens: torch.Tensor, prefix: int) -> torch.Tensor:
    """Concatenate CLS and the mean patch token: [N, T, D] -> [N, 2D], in float32 (float64 stays).

    The first of `prefix` tokens is CLS, the rest are registers and enter nothing; patches follow.
    """
    wide = tokens if tokens.dtype == torch.float64 else tokens.float()
    return torch.cat((wide[:, 0], wide[:, prefix:].mean(dim=1)), dim=-1)


def head_oracle(
    tokens: torch.Tensor,
    norm_weight: torch.Tensor,
    norm_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    prefix: int,
    eps: float,
    scale: float = 1.0,
    shift: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N] and raw pooled embeddings [N, 2D], differentiable, in float32 (float64 for float64 tokens).

    logit = (LayerNorm(pooled) . weight + bias) * scale - shift.
    `norm_weight`, `norm_bias` and `weight` are [2D], `bias` is [1].
    """
    pooled = pool_tokens(tokens, prefix)
    dtype = pooled.dtype
    normed = F.layer_norm(pooled, pooled.shape[-1:], norm_weight.to(dtype), norm_bias.to(dtype), eps)
    logits = normed @ weight.to(dtype) + bias.to(dtype)
    return logits * scale - shift, pooled
