"""What the products must compute, in plain PyTorch."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def matmul_oracle(
    a: torch.Tensor,
    weight: torch.Tensor,
    *,
    bias: torch.Tensor | None = None,
    gelu: bool = False,
    added: torch.Tensor | None = None,
) -> torch.Tensor:
    """[added +] [gelu](a @ weight.T + bias), [M, K] x [N, K] -> [M, N], in the arguments' dtype; GELU's tanh form."""
    y = F.linear(a, weight, bias)
    y = F.gelu(y, approximate="tanh") if gelu else y
    return y if added is None else added + y
