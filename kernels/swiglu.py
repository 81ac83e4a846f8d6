"""SwiGLU between two products: silu(gate) * value, rounded to bfloat16, or to float8 with its scale.

Source: Shazeer, "GLU Variants Improve Transformer" (2020). Gate and value come side by side from one product.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from streetvision_kernels.float8 import to_float8
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

BLOCK = 1024
"""Channels of a program."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _swiglu_kernel(  # noqa: PLR0917  # the launcher passes by position
    x: tl.tensor,  # [M, 2 * H], contiguous: gates, values
    out: tl.tensor,  # [M, H], contiguous
    inverse8: tl.tensor,  # float32: 1 / scale of a float8 `out`
    H: tl.constexpr,  # hidden channels
    BLOCK: tl.constexpr,  # channels a program
    OUT8: tl.constexpr,  # `out` is float8_e4m3fn
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    """A part of one row."""
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    PARTS: tl.constexpr = (H + BLOCK - 1) // BLOCK
    row = (tl.program_id(0) // PARTS).to(tl.int64)
    columns = tl.program_id(0) % PARTS * BLOCK + tl.arange(0, BLOCK)
    mask = columns < H
    gate = tl.load(x + row * (2 * H) + columns, mask=mask, other=0.0).to(tl.float32)
    value = tl.load(x + row * (2 * H) + H + columns, mask=mask, other=0.0).to(tl.float32)
    y = gate * tl.sigmoid(gate) * value
    if OUT8:
        tl.store(out + row * H + columns, to_float8(y, inverse8), mask=mask)
    else:
        tl.store(out + row * H + columns, y.to(out.dtype.element_ty), mask=mask)


def swiglu(x: torch.Tensor, out: torch.Tensor, *, inverse8: float = 1.0, pdl: bool = False) -> None:
    """Write silu(gates) * values to `out` [M, H], for x [M, 2H], computed in float32 and rounded once.

    Both are contiguous, of any float dtype; `out` may be float8_e4m3fn (times `inverse8`, saturating). Raises
    ValueError on other shapes. See `swiglu_oracle`.
    """
    rows, hidden = out.shape
    if x.shape != (rows, 2 * hidden) or not (x.is_contiguous() and out.is_contiguous()):
        raise ValueError(f"x must be contiguous [{rows}, {2 * hidden}], not {tuple(x.shape)}")
    _swiglu_kernel[(rows * triton.cdiv(hidden, BLOCK),)](
        x,
        out,
        inverse8,
        H=hidden,
        BLOCK=BLOCK,
        OUT8=out.dtype == torch.float8_e4m3fn,
        PDL=pdl,
        num_warps=4,
        **({"launch_pdl": True} if pdl else {}),
    )
