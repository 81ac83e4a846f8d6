"""Sizes that the attention kernels share, and the check of what they are given."""

from __future__ import annotations

import math

import torch

HEAD = 64
"""Channels of a head."""

FACTOR = HEAD**-0.5 * math.log2(math.e)
"""Of queries: scores are divided by the root of a head's channels, and their exponentials are of base 2."""
LEAST = 16
"""Fewest keys of a block: what tensor cores multiply by."""


def check(
    qkv: torch.Tensor, cos: torch.Tensor | None, sin: torch.Tensor | None, out: torch.Tensor, tokens: int
) -> None:
    """Raise ValueError where shapes, dtypes or strides are not as the kernels want them."""
    rows, width = out.shape
    if width % HEAD or rows % tokens:
        raise ValueError(f"out must be [N * {tokens}, heads * {HEAD}], not {tuple(out.shape)}")
    if qkv.shape != (rows, 3 * width) or not qkv.is_contiguous():
        raise ValueError(f"qkv must be contiguous [{rows}, {3 * width}], not {tuple(qkv.shape)}")
    if qkv.dtype not in (torch.bfloat16, torch.float16, torch.float32):
        raise ValueError(f"qkv must be bfloat16, float16 or float32, not {qkv.dtype}")
    if out.dtype not in (qkv.dtype, torch.float8_e4m3fn):
        raise ValueError(f"out must be {qkv.dtype} or float8_e4m3fn, not {out.dtype}")
    if (cos is None) != (sin is None):
        raise ValueError("cos and sin must be given both or neither")
    if any(t.shape != (tokens, HEAD // 2) or not t.is_contiguous() for t in (cos, sin) if t is not None):
        raise ValueError(f"cos and sin must be contiguous [{tokens}, {HEAD // 2}]")
