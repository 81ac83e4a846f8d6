"""uint8 pixels to rows that one matrix product turns into tokens, prefix tokens and bias included.

A pixel less 128 is a whole number of 8 bits, which bfloat16 holds exactly: mean and deviation of the channels belong in
the weight, and nothing is rounded on the way in. Behind a patch's 768 pixels stand a few columns that choose what is
added: the bias (twice, as a coarse and a fine part) for patches, its own vector for each prefix token. So the product
needs no epilogue, and writes the residual stream as it is. Learned positions are laid into the stream on the way, for
the product to be added onto.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

PATCH = 16
PIXELS = 3 * PATCH * PATCH
CENTRE = 128
"""Taken from every pixel."""
ROWS = 4


def columns_for(prefix: int) -> int:
    """Columns of a row: pixels, two for the bias, one for each prefix token, and padding to a multiple of 16."""
    return (PIXELS + 2 + prefix + 15) // 16 * 16


@triton.jit  # type: ignore[untyped-decorator]  # triton carries no types
def _patchify_kernel(  # noqa: PLR0917  # the launcher passes by position
    images: tl.tensor,  # uint8 [N, SIDE, SIDE, 3], contiguous
    out: tl.tensor,  # [M, WIDE], contiguous
    positions: tl.tensor,  # [T, WIDTH]; unread where WIDTH is 0
    stream: tl.tensor,  # [M, WIDTH], contiguous; not written where WIDTH is 0
    M: tl.tensor,  # int32: N * T rows
    SIDE: tl.constexpr,  # pixels
    PREFIX: tl.constexpr,  # CLS and registers
    WIDE: tl.constexpr,  # columns: 768 of a patch, then those of the added terms
    ROWS: tl.constexpr,  # a program
    BLOCK: tl.constexpr,  # WIDE, rounded up to a power of two
    WIDTH: tl.constexpr,  # channels of a position; 0 without
    BLOCK_W: tl.constexpr,  # WIDTH, rounded up to a power of two
    PDL: tl.constexpr,  # launched while its predecessor ends
) -> None:
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    GRID: tl.constexpr = SIDE // 16
    T: tl.constexpr = GRID * GRID + PREFIX
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, BLOCK)
    token = rows % T
    patch = token - PREFIX
    corner = (rows // T).to(tl.int64) * (SIDE * SIDE * 3) + (patch // GRID) * (16 * SIDE * 3) + (patch % GRID) * 48
    # A row of a patch is 48 bytes in a row.
    at = images + corner[:, None] + (k // 48 * (SIDE * 3) + k % 48)[None, :]
    seen = ((patch >= 0) & (rows < M))[:, None] & (k < 768)[None, :]
    value = tl.where(seen, tl.load(at, mask=seen, other=0).to(tl.float32) - 128.0, 0.0)
    chosen = tl.where(patch >= 0, 0, 2 + token)[:, None]
    column = (k - 768)[None, :]
    value += tl.where((column == chosen) | ((column == 1) & (chosen == 0)), 1.0, 0.0)
    mask = (rows < M)[:, None] & (k < WIDE)[None, :]
    place = rows.to(tl.int64)[:, None] * WIDE + k[None, :]
    tl.store(out + place, value.to(out.dtype.element_ty), mask=mask)
    if WIDTH > 0:
        channel = tl.arange(0, BLOCK_W)
        known = (rows < M)[:, None] & (channel < WIDTH)[None, :]
        position = tl.load(positions + token[:, None] * WIDTH + channel[None, :], mask=known, other=0.0)
        tl.store(stream + rows.to(tl.int64)[:, None] * WIDTH + channel[None, :], position, mask=known)


def patchify(
    images: torch.Tensor,
    out: torch.Tensor,
    *,
    prefix: int,
    positions: torch.Tensor | None = None,
    stream: torch.Tensor | None = None,
    pdl: bool = False,
) -> None:
    """Write a row [columns_for(prefix)] for every token of every image to `out`; see `patchify_oracle`.

    `images` are contiguous uint8 [N, S, S, 3]; `out` is contiguous [N * T, columns] in a float dtype. `positions`
    [T, D] are repeated into `stream` [N * T, D], both contiguous and of one dtype. Raises ValueError on other shapes.
    """
    count, side = images.shape[:2]
    if images.dtype != torch.uint8 or images.shape[2:] != (side, 3) or side % PATCH or not images.is_contiguous():
        raise ValueError(f"images must be contiguous uint8 [N, S, S, 3], not {images.dtype} {tuple(images.shape)}")
    rows, wide = count * ((side // PATCH) ** 2 + prefix), columns_for(prefix)
    if out.shape != (rows, wide) or not out.is_contiguous():
        raise ValueError(f"out must be contiguous [{rows}, {wide}], not {tuple(out.shape)}")
    _check_positions(positions, stream, rows, rows // count)
    width = 0 if positions is None else positions.shape[1]
    _patchify_kernel[(triton.cdiv(rows, ROWS),)](
        images,
        out,
        out if positions is None else positions,
        out if stream is None else stream,
        rows,
        SIDE=side,
        PREFIX=prefix,
        WIDE=wide,
        ROWS=ROWS,
        BLOCK=triton.next_power_of_2(wide),
        WIDTH=width,
        BLOCK_W=triton.next_power_of_2(max(1, width)),
        PDL=pdl,
        num_warps=4,
        **({"launch_pdl": True} if pdl else {}),
    )


def _check_positions(positions: torch.Tensor | None, stream: torch.Tensor | None, rows: int, tokens: int) -> None:
    if positions is None or stream is None:
        if positions is not stream:
            raise ValueError("positions and stream must be given both or neither")
        return
    width = positions.shape[1]
    if positions.shape != (tokens, width) or stream.shape != (rows, width) or positions.dtype != stream.dtype:
        raise ValueError(f"positions must be [{tokens}, D] and stream [{rows}, D] of one dtype")
    if not positions.is_contiguous() or not stream.is_contiguous():
        raise ValueError("positions and stream must be contiguous")
