"""What the attention-pooling head must compute, in plain PyTorch: the reference for tests and the path on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from streetvision_kernels.head_oracle import logits_of, widened
from streetvision_kernels.layer_norm_oracle import layer_norm_oracle


def attend_tokens(tokens: torch.Tensor, score: torch.Tensor, prefix: int) -> torch.Tensor:
    """Concatenate CLS, the mean patch token and the attended one: [N, T, D] -> [N, 3D], in float32 (float64 stays).

    The attended one is the sum of patches weighted by softmax(patches . score), over the patches; `score` is [D]. The
    first of `prefix` tokens is CLS, the rest are registers and enter nothing. A bias of the scores would change
    nothing: a softmax does not feel what is added to all.
    """
    wide = widened(tokens)
    patches = wide[:, prefix:]
    weights = (patches @ score.to(wide.dtype)).softmax(dim=1)
    attended = (weights[:, None] @ patches)[:, 0]
    return torch.cat((wide[:, 0], patches.mean(dim=1), attended), dim=-1)


def attention_head_oracle(  # noqa: PLR0917  # as head_oracle, and the scores
    tokens: torch.Tensor,
    score: torch.Tensor,
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
    """Logits [N] and raw pooled embeddings [N, 3D], differentiable, in float32 (float64 for float64 tokens).

    logit = (LayerNorm(pooled) . weight + bias) * scale - shift, pooled as `attend_tokens` does.
    `score` is [D], `norm_weight`, `norm_bias` and `weight` are [3D], `bias` is [1].
    """
    pooled = attend_tokens(tokens, score, prefix)
    return logits_of(pooled, norm_weight, norm_bias, weight, bias, eps=eps, scale=scale, shift=shift), pooled


def norm_attention_head_oracle(
    tokens: torch.Tensor,
    token_norm: tuple[torch.Tensor, torch.Tensor],
    *,
    images: int,
    token_eps: float,
    **head: Any,  # noqa: ANN401  # the head's own arguments
) -> tuple[torch.Tensor, torch.Tensor]:
    """`attention_head_oracle` of LayerNorm(tokens), for tokens [N * T, D]."""
    normed = layer_norm_oracle(tokens, *token_norm, eps=token_eps)
    logits, pooled = attention_head_oracle(normed.reshape(images, -1, tokens.shape[-1]), **head)
    return logits, pooled
