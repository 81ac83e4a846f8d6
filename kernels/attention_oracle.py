"""What the attention kernel must compute, in plain PyTorch."""

from __future__ import annotations

import torch
from streetvision_kernels.rotary_oracle import HEAD, rotary_oracle
from torch.nn import functional as F


def attention_oracle(qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, tokens: int) -> torch.Tensor:
    """softmax(q k.T / 8) v with q and k rotated: qkv [N * T, 3 D] -> [N * T, D], heads of 64 channels."""
    rows, width = qkv.shape[0], qkv.shape[1] // 3
    turned = rotary_oracle(qkv, cos, sin, tokens=tokens)
    q, k, v = turned.reshape(-1, tokens, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(rows, width)
