"""Rotary positions applied to the queries and keys of a qkv product where they lie.

For batches whose attention cuDNN computes: it wants rotated queries and keys. Values are not touched, and nothing is
split or copied: what cuDNN reads are strided views of the product.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

HEAD = 64
ROWS = 4
HEADS_EACH = 8


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _rotary_kernel(  # noqa: PLR0917  # the launcher passes by position
    qkv: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    M: tl.tensor,
    T: tl.tensor,
    HEADS: tl.constexpr,
    ROWS: tl.constexpr,
    EACH: tl.constexpr,
    PDL: tl.constexpr,
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    heads = tl.program_id(1) * EACH + tl.arange(0, EACH)
    half = tl.arange(0, 32)
    row_ok = rows < M
    angle = (rows % T)[:, None] * 32 + half[None, :]
    c = tl.load(cos + angle, mask=row_ok[:, None], other=0.0).to(tl.float32)[:, None, :]
    s = tl.load(sin + angle, mask=row_ok[:, None], other=0.0).to(tl.float32)[:, None, :]
    # Queries' heads come first, then keys', then values', which stay.
    at = qkv + rows.to(tl.int64)[:, None, None] * (HEADS * 192) + heads[None, :, None] * 64 + half[None, None, :]
    mask = row_ok[:, None, None] & (heads < 2 * HEADS)[None, :, None]
    first = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    second = tl.load(at + 32, mask=mask, other=0.0).to(tl.float32)
    kind = qkv.dtype.element_ty
    tl.store(at, (first * c - second * s).to(kind), mask=mask)
    tl.store(at + 32, (second * c + first * s).to(kind), mask=mask)


def rotary(qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, tokens: int, pdl: bool = False) -> None:
    """Rotate the queries and keys of `qkv` [N * tokens, 3 D] in place, heads of 64 channels.

    Channel i turns with channel i + 32 by the angle behind `cos` and `sin` [tokens, 32], in float32, rounded once.
    Raises ValueError on other shapes. See `rotary_oracle`.
    """
    rows, width = qkv.shape
    if width % (3 * HEAD) or rows % tokens or not qkv.is_contiguous():
        raise ValueError(f"qkv must be contiguous [N * {tokens}, 3 * heads * {HEAD}], not {tuple(qkv.shape)}")
    if any(t.shape != (tokens, HEAD // 2) or not t.is_contiguous() for t in (cos, sin)):
        raise ValueError(f"cos and sin must be contiguous [{tokens}, {HEAD // 2}]")
    heads = width // (3 * HEAD)
    _rotary_kernel[(triton.cdiv(rows, ROWS), triton.cdiv(2 * heads, HEADS_EACH))](
        qkv,
        cos,
        sin,
        rows,
        tokens,
        HEADS=heads,
        ROWS=ROWS,
        EACH=HEADS_EACH,
        PDL=pdl,
        num_warps=4,
        **({"launch_pdl": True} if pdl else {}),
    )
