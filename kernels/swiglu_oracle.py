"""What the SwiGLU kernel must compute, in plain PyTorch."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def swiglu_oracle(x: torch.Tensor) -> torch.Tensor:
    """silu(gates) * values: [M, 2H], gates first -> [M, H]."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value
