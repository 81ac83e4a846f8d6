"""A row is added up in one order whatever comes with it: read off the kernel as compiled for GPUs, which needs none."""

from __future__ import annotations

import re

import pytest
import torch
import triton
from streetvision_kernels.layer_norm import MANY_ROWS, _layer_norm_kernel, launch_shape

from .compiled import compiled_for

WIDTHS = (192, 384, 768, 1024, 1280)


def compiled(rows: int, width: int, out: torch.dtype) -> str:
    """Triton's own code for a Hopper, with the layout of every tensor."""
    each, warps = launch_shape(rows, width, out)
    float8 = out == torch.float8_e4m3fn
    tensors = {"x": "*bf16", "gain": "*fp32", "offset": "*fp32", "out": "*fp8e4nv" if float8 else "*bf16"}
    scalars = {"M": "i32", "eps": "fp32", "inverse8": "fp32"}
    sizes = {"D": width, "ROWS": each, "BLOCK_D": triton.next_power_of_2(width), "OUT8": float8, "PDL": False}
    made = compiled_for(_layer_norm_kernel, (9, 0), tensors=tensors, scalars=scalars, constants=sizes, num_warps=warps)
    return str(made.asm["ttgir"])


def columns_of_sums(code: str) -> set[tuple[int, ...]]:
    """How the columns of what is summed are dealt out: values a thread, threads a warp, warps a row."""
    layouts = dict(re.findall(r"^(#\w+) = #ttg\.blocked<\{(.*)\}>", code, re.MULTILINE))
    summed = re.findall(r'"tt\.reduce".*?\}\) : \(tensor<[^>]*, (#\w+)>', code, re.DOTALL)
    assert len(summed) == 2
    return {tuple(int(pair[1]) for pair in re.findall(r"\[(\d+), (\d+)\]", layouts[name])[:3]) for name in summed}


@pytest.mark.parametrize("out", [torch.bfloat16, torch.float8_e4m3fn], ids=["bfloat16", "float8"])
@pytest.mark.parametrize("width", WIDTHS)
def test_few_rows_and_many_are_added_up_alike(width: int, out: torch.dtype) -> None:
    few, many = (columns_of_sums(compiled(rows, width, out)) for rows in (201, MANY_ROWS))
    assert few == many
    assert len(few) == 1


def test_no_program_has_more_warps_than_cuda_allows() -> None:
    for width in (*WIDTHS, 4096):
        for out in (torch.bfloat16, torch.float8_e4m3fn):
            assert launch_shape(MANY_ROWS, width, out)[1] <= 32
    assert launch_shape(201, 768, torch.float8_e4m3fn) == (1, 4)
    assert launch_shape(MANY_ROWS, 768, torch.float8_e4m3fn) == (4, 16)
