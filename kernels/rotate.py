"""Rotary positions of queries and keys in a pass of their own, for the attention over many tokens.

Over few tokens the attention rotates keys as it loads them. Over many, each block of queries would rotate all keys
again: 19 times at 768 pixels. The values are those that it would have made, but for a product and a sum that the
compiler may fuse in one kernel and not in the other.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

HALF = 32
"""Channels that turn with as many others: half a head."""
ELEMENTS = 4096
"""Pairs of channels of a program."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _rotate_kernel(  # noqa: PLR0917  # the launcher passes by position
    qkv: tl.tensor,  # [M, 3 * HEADS * 64], contiguous: q, k, v
    cos: tl.tensor,  # float16 [T, 32]
    sin: tl.tensor,  # float16 [T, 32]
    turned: tl.tensor,  # [M, 2 * HEADS * 64], contiguous: q, k
    M: tl.tensor,  # int32: N * T rows
    factor: tl.tensor,  # float32, of queries
    T: tl.constexpr,  # tokens of an image
    HEADS: tl.constexpr,  # of 64 channels
    ROWS: tl.constexpr,  # a program
    BLOCK: tl.constexpr,  # pairs of channels of q and k, rounded up to a power of two
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    """Turn channel i of every head with channel i + 32."""
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    PAIRS: tl.constexpr = 2 * HEADS * 32
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    pair = tl.arange(0, BLOCK)
    mask = (rows < M)[:, None] & (pair < PAIRS)[None, :]
    channel = (pair // 32 * 64 + pair % 32)[None, :]
    angle = (rows % T)[:, None] * 32 + (pair % 32)[None, :]
    scale = tl.where(pair < HEADS * 32, factor, 1.0)[None, :]
    c = tl.load(cos + angle, mask=mask, other=0.0).to(tl.float32) * scale
    s = tl.load(sin + angle, mask=mask, other=0.0).to(tl.float32) * scale
    at = qkv + rows.to(tl.int64)[:, None] * (3 * HEADS * 64) + channel
    first, second = tl.load(at, mask=mask, other=0.0), tl.load(at + 32, mask=mask, other=0.0)
    x, y = first.to(tl.float32), second.to(tl.float32)
    to = turned + rows.to(tl.int64)[:, None] * (2 * HEADS * 64) + channel
    tl.store(to, (x * c - y * s).to(first.dtype), mask=mask)
    tl.store(to + 32, (y * c + x * s).to(first.dtype), mask=mask)


def rotate(
    qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, tokens: int, factor: float, pdl: bool = False
) -> torch.Tensor:
    """Queries (times `factor`) and keys of qkv [N * tokens, 3 D], rotated: [N * tokens, 2 D] in its dtype.

    As `attention`, whose checks its arguments have passed.
    """
    rows, width = qkv.shape[0], qkv.shape[1] // 3
    turned = torch.empty((rows, 2 * width), dtype=qkv.dtype, device=qkv.device)
    block = triton.next_power_of_2(width)
    step = max(1, ELEMENTS // block)
    _rotate_kernel[(triton.cdiv(rows, step),)](
        qkv,
        cos,
        sin,
        turned,
        rows,
        factor,
        T=tokens,
        HEADS=width // (2 * HALF),
        ROWS=step,
        BLOCK=block,
        PDL=pdl,
        num_warps=4,
        **({"launch_pdl": True} if pdl else {}),
    )
    return turned
