"""The attention over few tokens: its division of work, and that three of its programs fit a multiprocessor of Hopper.

Its answers are compared on a GPU (tests/gpu): Triton's interpreter knows nothing of Gluon.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from streetvision_kernels.chip import Demand, resident
from streetvision_kernels.short_attention import (
    MOST,
    REGISTERS,
    RESIDENT,
    WARPS,
    _short_attention_kernel,
    fits,
    key_blocks,
    short_attention,
    tiles_for,
)
from triton.compiler import CompiledKernel

from .compiled import CUOBJDUMP, H100, compiled_for, usage


@cache
def compiled(tokens: int, tiles: int, float8: bool) -> CompiledKernel:
    first, second, third = key_blocks(tokens)
    sizes = {"T": tokens, "HEADS": 12, "TILES": tiles, "FIRST": first, "SECOND": second, "THIRD": third}
    return compiled_for(
        _short_attention_kernel,
        (9, 0),
        tensors={"qkv": "*bf16", "cos": "*fp16", "sin": "*fp16", "out": "*fp8e4nv" if float8 else "*bf16"},
        scalars={"factor": "fp32", "inverse8": "fp32"},
        constants=sizes | {"OUT8": float8, "PDL": True},
        num_warps=WARPS,
        maxnreg=REGISTERS,
    )


@pytest.mark.parametrize(
    ("tokens", "tiles", "float8"), [(201, 4, False), (201, 1, True), (208, 4, False), (17, 1, False)]
)
def test_three_programs_fit_a_multiprocessor(tokens: int, tiles: int, float8: bool, tmp_path: Path) -> None:
    kernel = compiled(tokens, tiles, float8)
    assert resident(H100, Demand(WARPS, REGISTERS, kernel.metadata.shared)) >= RESIDENT
    assert "wgmma" in kernel.asm["ptx"]
    if CUOBJDUMP.exists():
        assert usage(kernel, "STACK", tmp_path) <= 64, "bytes of a thread that do not fit its registers"


@pytest.mark.parametrize("tokens", range(1, MOST + 1))
def test_blocks_hold_all_keys_and_few_more(tokens: int) -> None:
    blocks = [block for block in key_blocks(tokens) if block]
    assert all(block in {16, 32, 64, 128} for block in blocks)
    assert tokens <= sum(blocks) < tokens + 32
    assert blocks == sorted(blocks, reverse=True)


@pytest.mark.parametrize(
    ("images", "programs", "tiles"),
    [(1, 396, 1), (8, 396, 1), (9, 396, 2), (16, 396, 2), (17, 396, 4), (128, 396, 4), (1, 3, 4), (8, 192, 2)],
)
def test_a_program_takes_as_few_tiles_as_let_all_run_at_a_time(images: int, programs: int, tiles: int) -> None:
    assert tiles_for(12 * images, tokens=201, programs=programs) == tiles


def test_no_program_takes_more_tiles_than_there_are() -> None:
    assert tiles_for(100_000, tokens=130, programs=396) == 3
    assert tiles_for(100_000, tokens=64, programs=396) == 1


def test_what_it_cannot_serve_is_refused() -> None:
    qkv, out = torch.zeros(300, 192), torch.zeros(300, 64)
    angles = torch.zeros(300, 32, dtype=torch.float16)
    assert not fits(qkv, tokens=201), "on a CPU"
    with pytest.raises(ValueError, match="at most 208 tokens, not 300"):
        short_attention(qkv, angles, angles, out, tokens=300)
    with pytest.raises(ValueError, match="must be contiguous"):
        short_attention(qkv, angles[:30], angles, out, tokens=300)
