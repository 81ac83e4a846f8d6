"""The shapes of the attention's programs: what the model says of them holds for the compiled kernel, on any chip."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from streetvision_kernels.attention import _attention_kernel
from streetvision_kernels.attention_shapes import ROWS_A_WARP, SHAPES, TRIED, Shape, predicted_us, ranked
from streetvision_kernels.chip import Chip, Demand, resident
from triton.compiler import CompiledKernel

from .compiled import CUOBJDUMP, H100, compiled_for, usage

A100 = Chip((8, 0), 108, 65536, 166912, 2048)
RTX_4090 = Chip((8, 9), 128, 65536, 101376, 1536)
OLD = Chip((8, 0), 10, 65536, 49152, 1024)
CHIPS = pytest.mark.parametrize("chip", [H100, A100, RTX_4090], ids=["H100", "A100", "RTX 4090"])


@cache
def compiled(shape: Shape, capability: tuple[int, int], float8: bool = False) -> CompiledKernel:
    sizes = {"T": 201, "HEADS": 12, "BLOCK_M": shape.queries, "BLOCK_N": 64, "TAIL": 16}
    sizes |= {"OUT8": float8, "APART": False, "STILL": False, "PDL": False}
    tensors = {
        "qkv": "*bf16",
        "turned": "*bf16",
        "cos": "*fp16",
        "sin": "*fp16",
        "out": "*fp8e4nv" if float8 else "*bf16",
    }
    options = {"num_warps": shape.warps, "num_stages": shape.stages, "maxnreg": shape.registers}
    scalars = {"factor": "fp32", "inverse8": "fp32"}
    return compiled_for(_attention_kernel, capability, tensors=tensors, scalars=scalars, constants=sizes, **options)


@CHIPS
def test_a_program_takes_no_more_than_the_model_says(chip: Chip, tmp_path: Path) -> None:
    for shape in ranked(chip, places=12, tokens=201):
        kernel, demand = compiled(shape, chip.capability), shape.demand(chip)
        assert kernel.metadata.shared <= demand.shared_bytes  # before Hopper Triton 3.9 needs less than 3.8
        if CUOBJDUMP.exists() and not (chip.capability < (9, 0) and shape.stages < 3):
            used = usage(kernel, "REG", tmp_path)
            assert used <= demand.registers + 2
            assert resident(chip, demand) <= resident(chip, Demand(demand.warps, used, kernel.metadata.shared))


@pytest.mark.parametrize("float8", [False, True])
@CHIPS
def test_a_warp_has_sixteen_queries_in_any_shape(chip: Chip, float8: bool) -> None:
    """So a query's sums are the same work in the same order, and its answer has the same bits."""
    for shape in SHAPES[:4]:
        if float8 and chip.capability < (8, 9):
            continue
        code = compiled(Shape(shape.queries, shape.stages), chip.capability, float8).asm["ttgir"]
        dealt = re.findall(r"#ttg\.nvidia_mma<\{.*?warpsPerCTA = \[(\d+), (\d+)\]", code)
        assert set(dealt) == {(str(shape.queries // ROWS_A_WARP), "1")}


def test_few_places_are_spread_and_many_share_their_keys() -> None:
    """What was measured on the H100: 64 queries a program for one image, 128 for a hundred."""
    assert ranked(H100, places=12, tokens=201)[0].queries == 64
    assert ranked(H100, places=12 * 128, tokens=201)[0] == Shape(128, 3, 128)


def test_the_model_tells_an_h100s_times_roughly() -> None:
    """Measured inside the forward at a batch of 128: ViT-S 64, ViT-B 130, ViT-L 176 microseconds."""
    for heads, measured in ((6, 64), (12, 130), (16, 176)):
        predicted = predicted_us(H100, Shape(128, 3, 128), places=heads * 128, tokens=201)
        assert 0.75 * measured < predicted < 1.35 * measured


def test_chips_before_hopper_are_not_short_of_registers() -> None:
    for chip in (A100, RTX_4090):
        shapes = ranked(chip, places=12 * 8, tokens=201)
        assert Counter(shape.queries for shape in shapes) == {64: TRIED, 128: TRIED}
        assert all(shape.registers is None for shape in shapes)


def test_a_shape_that_does_not_fit_is_not_tried() -> None:
    assert all(shape.stages <= 2 for shape in ranked(OLD, places=12, tokens=201))
    tiny = Chip((8, 0), 1, 65536, 16384, 1024)
    assert ranked(tiny, places=12, tokens=201) == ()
    assert predicted_us(tiny, SHAPES[0], places=1, tokens=201) == float("inf")


def test_residency_is_bounded_by_each_resource() -> None:
    assert resident(H100, Demand(4, 32, 1024)) == 16
    assert resident(H100, Demand(4, 255, 1024)) == 2
    assert resident(H100, Demand(4, 32, 100_000)) == 2
    assert resident(RTX_4090, Demand(16, 32, 1024)) == 3
    assert resident(OLD, Demand(4, 32, 50_000)) == 0
