"""What the attention kernel must compute, in plain PyTorch."""

from __future__ import annotations

import torch
from torch.nn import functional as F

HEAD = 64


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn channel i and channel i + 32 of x [..., T, 64] by the angles behind cos and sin [T, 32]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def attention_oracle(
    qkv: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, *, tokens: int
) -> torch.Tensor:
    """softmax(q k.T / 8) v with q and k rotated: qkv [N * T, 3 D] -> [N * T, D], heads of 64 channels.

    Without cos and sin they are taken as they are.
    """
    rows, width = qkv.shape[0], qkv.shape[1] // 3
    q, k, v = qkv.reshape(-1, tokens, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
    if cos is not None and sin is not None:
        q, k = (rotate(t, cos, sin).to(v.dtype) for t in (q, k))
    out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).reshape(rows, width)
