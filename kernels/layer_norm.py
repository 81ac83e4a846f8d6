"""LayerNorm of the residual stream, rounded once to what the next product takes: bfloat16, or float8 with its scale.

A program is one warp that takes a row at a time, and there are never more than a chip holds at once. So one compiled
kernel serves any number of rows: a row is added up in the same order, bit for bit, whatever comes with it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from streetvision_kernels.float8 import to_float8
from streetvision_kernels.multiprocessors import available
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

PROGRAMS = 16
"""Of a multiprocessor: enough loads in flight for the memory, and any chip since Ampere holds so many. More only cost
the time to start them, about a nanosecond each on an H100."""


@triton.jit(do_not_specialize=["rows"])  # type: ignore[untyped-decorator]  # triton carries no types
def _layer_norm_kernel(  # noqa: PLR0917  # the launcher passes by position
    x: tl.tensor,  # [rows, D], contiguous
    gain: tl.tensor,  # [D]
    offset: tl.tensor,  # [D]
    out: tl.tensor,  # [rows, D], contiguous
    rows: tl.tensor,  # int32
    eps: tl.tensor,  # float32
    inverse8: tl.tensor,  # float32: 1 / scale of a float8 `out`
    D: tl.constexpr,  # channels
    BLOCK_D: tl.constexpr,  # D, rounded up to a power of two
    OUT8: tl.constexpr,  # `out` is float8_e4m3fn
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    columns = tl.arange(0, BLOCK_D)
    inside = columns < D
    g = tl.load(gain + columns, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(offset + columns, mask=inside, other=0.0).to(tl.float32)
    if PDL:
        # The next kernel may take its place on the chip now; it waits here, in turn, until this one is done.
        gdc_launch_dependents()
        gdc_wait()
    for row in range(tl.program_id(0).to(tl.int64), rows, tl.num_programs(0)):
        at = row * D + columns
        value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        mean = tl.sum(value, axis=0) * (1.0 / D)
        apart = tl.where(inside, value - mean, 0.0)
        rstd = tl.rsqrt(tl.sum(apart * apart, axis=0) * (1.0 / D) + eps)
        y = apart * rstd * g + b
        if OUT8:
            tl.store(out + at, to_float8(y, inverse8), mask=inside)
        else:
            tl.store(out + at, y.to(out.dtype.element_ty), mask=inside)


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
    _layer_norm_kernel[(min(rows, PROGRAMS * available(x.device)),)](
        x,
        gain,
        offset,
        out,
        rows,
        eps,
        inverse8,
        D=width,
        BLOCK_D=triton.next_power_of_2(width),
        OUT8=out.dtype == torch.float8_e4m3fn,
        PDL=pdl,
        num_warps=1,
        **({"launch_pdl": True} if pdl else {}),
    )
