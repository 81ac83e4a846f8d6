"""What the rotation must compute, in plain PyTorch."""

from __future__ import annotations

import torch

HEAD = 64


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn channel i and channel i + 32 of x [..., T, 64] by the angles behind cos and sin [T, 32]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def rotary_oracle(qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, tokens: int) -> torch.Tensor:
    """qkv [N * T, 3 D] with queries and keys rotated, values as they were."""
    heads = qkv.reshape(-1, tokens, 3, qkv.shape[1] // (3 * HEAD), HEAD).permute(2, 0, 3, 1, 4)
    turned = torch.cat((rotate(heads[:2], cos, sin), heads[2:]))
    return turned.permute(1, 3, 0, 2, 4).reshape(qkv.shape)
