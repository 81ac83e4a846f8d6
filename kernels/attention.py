"""Self-attention straight from the qkv product: rotary positions, softmax and the weighted sum, heads of 64 channels.

The rotation pairs channel i with channel i + 32, so each half of q and of k is loaded as a tile of its own and rotated
in registers: no channel moves between threads, and q . k is the sum of two products of 32 channels. Queries, keys and
values are read where the linear layer left them, and heads are written side by side, as the next layer wants them.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from streetvision_kernels.float8 import to_float8
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

HEAD = 64
"""Channels of a head."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _rotated(  # noqa: PLR0917  # the launcher passes by position
    source: tl.tensor,
    rows: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    T: tl.tensor,
    factor: tl.tensor,
    STRIDE: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Both halves of the heads in `rows`, rotated by their positions and multiplied by `factor`."""
    half = tl.arange(0, 32)
    mask = (rows < T)[:, None]
    at = source + rows[:, None] * STRIDE + half[None, :]
    first = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    second = tl.load(at + 32, mask=mask, other=0.0).to(tl.float32)
    angle = rows[:, None] * 32 + half[None, :]
    c = tl.load(cos + angle, mask=mask, other=0.0).to(tl.float32) * factor
    s = tl.load(sin + angle, mask=mask, other=0.0).to(tl.float32) * factor
    kind = source.dtype.element_ty
    return (first * c - second * s).to(kind), (second * c + first * s).to(kind)


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _attention_kernel(  # noqa: PLR0917  # the launcher passes by position
    qkv: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    out: tl.tensor,
    T: tl.tensor,
    factor: tl.tensor,
    inverse8: tl.tensor,
    HEADS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    QUERIES: tl.constexpr,
    OUT8: tl.constexpr,
    PDL: tl.constexpr,
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    WIDTH: tl.constexpr = HEADS * 64
    image = (tl.program_id(0) // HEADS).to(tl.int64)
    head = tl.program_id(0) % HEADS
    source = qkv + image * T * (3 * WIDTH) + head * 64
    target = out + image * T * WIDTH + head * 64
    channels = tl.arange(0, 64)
    for block in range(QUERIES):
        rows = (tl.program_id(1) * QUERIES + block) * BLOCK_M + tl.arange(0, BLOCK_M)
        q1, q2 = _rotated(source, rows, cos, sin, T, factor, 3 * WIDTH)
        largest = tl.full([BLOCK_M], -float("inf"), dtype=tl.float32)
        total = tl.zeros([BLOCK_M], dtype=tl.float32)
        acc = tl.zeros([BLOCK_M, 64], dtype=tl.float32)
        for start in range(0, T, BLOCK_N):
            keys = start + tl.arange(0, BLOCK_N)
            k1, k2 = _rotated(source + WIDTH, keys, cos, sin, T, 1.0, 3 * WIDTH)
            scores = tl.dot(q2, k2.T, tl.dot(q1, k1.T))
            scores = tl.where((keys < T)[None, :], scores, -float("inf"))
            top = tl.maximum(largest, tl.max(scores, axis=1))
            weights = tl.exp2(scores - top[:, None])
            shrink = tl.exp2(largest - top)
            total = total * shrink + tl.sum(weights, axis=1)
            at = source + 2 * WIDTH + keys[:, None] * (3 * WIDTH) + channels[None, :]
            values = tl.load(at, mask=(keys < T)[:, None], other=0.0)
            acc = tl.dot(weights.to(values.dtype), values, acc * shrink[:, None])
            largest = top
        answer = acc / total[:, None]
        at = target + rows[:, None] * WIDTH + channels[None, :]
        if OUT8:
            tl.store(at, to_float8(answer, inverse8), mask=(rows < T)[:, None])
        else:
            tl.store(at, answer.to(out.dtype.element_ty), mask=(rows < T)[:, None])


def attention(
    qkv: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    out: torch.Tensor,
    *,
    tokens: int,
    inverse8: float = 1.0,
    block: tuple[int, int] = (64, 256),
    queries: int = 1,
    warps: int = 4,
    stages: int = 2,
    pdl: bool = False,
) -> None:
    """Write softmax(q k.T / 8) v of every image and head to `out` [N * tokens, D], with q and k rotated first.

    `qkv` [N * tokens, 3 D] is bfloat16, float16 or float32, contiguous: queries, keys and values, each of D / 64 heads.
    `cos` and `sin` [tokens, 32] are float16, the same for both halves of a head. `out` is of qkv's dtype, or
    float8_e4m3fn (times `inverse8`, saturating). A program takes `queries` blocks of `block[0]` queries and meets keys
    in blocks of `block[1]`. See `attention_oracle`. Raises ValueError on other shapes or dtypes.
    """
    heads = out.shape[1] // HEAD
    _check(qkv, cos, sin, out, tokens)
    images = qkv.shape[0] // tokens
    _attention_kernel[(images * heads, triton.cdiv(tokens, block[0] * queries))](
        qkv,
        cos,
        sin,
        out,
        tokens,
        HEAD**-0.5 * math.log2(math.e),
        inverse8,
        HEADS=heads,
        BLOCK_M=block[0],
        BLOCK_N=block[1],
        QUERIES=queries,
        OUT8=out.dtype == torch.float8_e4m3fn,
        PDL=pdl,
        num_warps=warps,
        num_stages=stages,
        **({"launch_pdl": True} if pdl else {}),
    )


def _check(qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, out: torch.Tensor, tokens: int) -> None:
    rows, width = out.shape
    if width % HEAD or rows % tokens:
        raise ValueError(f"out must be [N * {tokens}, heads * {HEAD}], not {tuple(out.shape)}")
    if qkv.shape != (rows, 3 * width) or not qkv.is_contiguous():
        raise ValueError(f"qkv must be contiguous [{rows}, {3 * width}], not {tuple(qkv.shape)}")
    if qkv.dtype not in (torch.bfloat16, torch.float16, torch.float32):
        raise ValueError(f"qkv must be bfloat16, float16 or float32, not {qkv.dtype}")
    if out.dtype not in (qkv.dtype, torch.float8_e4m3fn):
        raise ValueError(f"out must be {qkv.dtype} or float8_e4m3fn, not {out.dtype}")
    if any(t.shape != (tokens, HEAD // 2) or not t.is_contiguous() for t in (cos, sin)):
        raise ValueError(f"cos and sin must be contiguous [{tokens}, {HEAD // 2}]")
