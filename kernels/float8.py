"""Rounding to float8_e4m3fn inside kernels, and the same in plain PyTorch."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

LARGEST = 448.0
"""Largest float8_e4m3fn."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def to_float8(
    x: tl.tensor,  # float32, any shape
    inverse_scale: tl.tensor,  # float32, a scalar
) -> tl.tensor:
    """x / scale as float8_e4m3fn, saturating; NaN stays NaN, so that the runner sees it."""
    scaled = x * inverse_scale
    scaled = tl.where(scaled > 448.0, 448.0, scaled)
    return tl.where(scaled < -448.0, -448.0, scaled).to(tl.float8e4nv)


def float8_oracle(x: torch.Tensor, inverse_scale: float) -> torch.Tensor:
    """x / scale rounded to float8_e4m3fn, saturating."""
    return (x * inverse_scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
