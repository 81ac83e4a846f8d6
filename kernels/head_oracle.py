"""What the fused head must compute, in plain PyTorch: the reference for tests and the path on the CPU."""

from __future__ import annotations

import torch
from streetvision_kernels.layer_norm_oracle import layer_norm_oracle


def widened(tokens: torch.Tensor) -> torch.Tensor:
    """In float32; float64 stays."""
    return tokens if tokens.dtype == torch.float64 else tokens.float()


def pool_tokens(tokens: torch.Tensor, prefix: int) -> torch.Tensor:
    """Concatenate CLS and the mean patch token: [N, T, D] -> [N, 2D], in float32 (float64 stays).

    The first of `prefix` tokens is CLS, the rest are registers and enter nothing; patches follow.
    """
    wide = widened(tokens)
    return torch.cat((wide[:, 0], wide[:, prefix:].mean(dim=1)), dim=-1)


def logits_of(
    pooled: torch.Tensor,
    norm_weight: torch.Tensor,
    norm_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    eps: float,
    scale: float,
    shift: float,
) -> torch.Tensor:
    """(LayerNorm(pooled) . weight + bias) * scale - shift: [N, E] -> [N], in the dtype of `pooled`."""
    normed = layer_norm_oracle(pooled, norm_weight, norm_bias, eps=eps)
    logits: torch.Tensor = normed @ weight.to(pooled.dtype) + bias.to(pooled.dtype)
    return logits * scale - shift


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
    return logits_of(pooled, norm_weight, norm_bias, weight, bias, eps=eps, scale=scale, shift=shift), pooled
