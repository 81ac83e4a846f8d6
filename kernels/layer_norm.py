"""LayerNorm of the residual stream, rounded once to what the next product takes: bfloat16, or float8 with its scale."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from streetvision_kernels.float8 import to_float8
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

MANY_ROWS = 4096
"""From here on a program takes several rows: enough programs are left to fill any chip. A row is added up as before."""
MOST_WARPS = 32
"""Of a program, by CUDA."""


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _layer_norm_kernel(  # noqa: PLR0917  # the launcher passes by position
    x: tl.tensor,
    gain: tl.tensor,
    offset: tl.tensor,
    out: tl.tensor,
    M: tl.tensor,
    eps: tl.tensor,
    inverse8: tl.tensor,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_D: tl.constexpr,
    OUT8: tl.constexpr,
    PDL: tl.constexpr,
) -> None:
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    g = tl.load(gain + columns, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(offset + columns, mask=inside, other=0.0).to(tl.float32)
    if PDL:
        # The next kernel may take its place on the chip now; it waits here, in turn, until this one is done.
        gdc_launch_dependents()
        gdc_wait()
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = rows.to(tl.int64)[:, None] * D + columns[None, :]
    mask = (rows < M)[:, None] & inside[None, :]
    value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(value, axis=1) / D
    apart = tl.where(inside[None, :], value - mean[:, None], 0.0)
    rstd = tl.rsqrt(tl.sum(apart * apart, axis=1) / D + eps)
    y = apart * rstd[:, None] * g[None, :] + b[None, :]
    if OUT8:
        tl.store(out + at, to_float8(y, inverse8), mask=mask)
    else:
        tl.store(out + at, y.to(out.dtype.element_ty), mask=mask)


def layer_norm(
    x: torch.Tensor,
    gain: torch.Tensor,
    offset: torch.Tensor,
    out: torch.Tensor,
    *,
    eps: float,
    inverse8: float = 1.0,
    pdl: bool = False,
) -> None:
    """Write LayerNorm(x) * gain + offset to `out` [M, D], computed in float32 and rounded once.

    `x` is contiguous, of any float dtype; `out` likewise, or float8_e4m3fn (times `inverse8`, saturating). A row's
    answer does not depend on the others. Raises ValueError on other shapes. See `layer_norm_oracle`.
    """
    rows, width = x.shape
    if out.shape != x.shape or not (x.is_contiguous() and out.is_contiguous()):
        raise ValueError(f"x and out must be contiguous and alike, not {tuple(x.shape)} and {tuple(out.shape)}")
    if gain.shape != (width,) or offset.shape != (width,):
        raise ValueError(f"gain and offset must be [{width}], not {tuple(gain.shape)} and {tuple(offset.shape)}")
    each, warps = launch_shape(rows, width, out.dtype)
    _layer_norm_kernel[(triton.cdiv(rows, each),)](
        x,
        gain,
        offset,
        out,
        rows,
        eps,
        inverse8,
        D=width,
        ROWS=each,
        BLOCK_D=triton.next_power_of_2(width),
        OUT8=out.dtype == torch.float8_e4m3fn,
        PDL=pdl,
        num_warps=warps,
        **({"launch_pdl": True} if pdl else {}),
    )


def launch_shape(rows: int, width: int, out: torch.dtype) -> tuple[int, int]:
    """Rows and warps of a program.

    A thread must hold the same columns of a row whatever the number of rows, or the row is added up in another order.
    For bfloat16 that is so by itself: eight values are one load. A float8 answer has Triton give a thread sixteen where
    it can, so there each row gets warps of its own, which leave it eight.
    """
    warps = max(1, triton.next_power_of_2(width) // 256)
    if rows < MANY_ROWS:
        return 1, warps
    if out != torch.float8_e4m3fn:
        return 4, warps
    return (4, 4 * warps) if 4 * warps <= MOST_WARPS else (1, warps)
