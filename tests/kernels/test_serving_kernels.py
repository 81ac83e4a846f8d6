"""The serving kernels under Triton's interpreter, against oracles in float64; tests/gpu runs them for real."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from streetvision_kernels.float8 import float8_oracle
from streetvision_kernels.patchify import columns_for
from streetvision_kernels.patchify_oracle import patch_matrix, patchify_oracle
from torch.nn import functional as F

from .case_rows import interpreted_rows

# Rounding to float16 keeps 11 bits (2e-4 as a norm); the interpreter cuts off instead of rounding.
BOUNDS = {"float32": 2e-6, "float16": 1e-3}


@pytest.fixture(scope="module")
def cases() -> dict[str, float]:
    return {row["case"]: row["error"] for row in interpreted_rows("serving_cases")}


def test_every_interpreted_kernel_matches_its_float64_oracle(cases: dict[str, float]) -> None:
    wrong = {case: error for case, error in cases.items() if not error <= BOUNDS[case.split("-")[1]]}
    assert wrong == {}
    assert {case.split("-")[0] for case in cases} == {
        "norm",
        "attention",
        "attention_apart",
        "swiglu",
        "patchify",
        "head",
    }
    assert {case: error for case, error in cases.items() if case.startswith("patchify") and error != 0} == {}


def test_keys_rotated_beforehand_give_the_same_bits(cases: dict[str, float]) -> None:
    apart = {case: error for case, error in cases.items() if case.startswith("attention_apart")}
    assert len(apart) == 8
    assert apart == {case: cases[case.replace("_apart", "")] for case in apart}


def test_float8_saturates_and_scales() -> None:
    values = torch.tensor([0.0, 1.0, -3.3, 1e6, -1e6])
    assert float8_oracle(values, 2.0).float().tolist() == [0.0, 2.0, -6.5, 448.0, -448.0]
    assert float8_oracle(torch.tensor([float("nan")]), 1.0).isnan().all()


def test_patchified_rows_times_the_matrix_are_the_embedded_tokens() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 48, 32, 3), dtype=torch.uint8)[:, :32]
    weight, bias = torch.randn(8, 3, 16, 16) / 30, torch.randn(8)
    prefix, mean, std = torch.randn(5, 8), torch.tensor([120.0, 110.0, 100.0]), torch.tensor([60.0, 55.0, 50.0])
    columns = columns_for(5)
    matrix = patch_matrix(weight, bias, prefix, mean, std, columns=columns, dtype=torch.float64)
    tokens = patchify_oracle(images, prefix=5, columns=columns).double() @ matrix.T
    normal = ((images - mean) / std).permute(0, 3, 1, 2).double()
    patches = F.conv2d(normal, weight.double(), bias.double(), stride=16).flatten(2).transpose(1, 2)
    expected = torch.cat((prefix.double().expand(2, -1, -1), patches), dim=1).flatten(0, 1)
    np.testing.assert_allclose(tokens.numpy(), expected.numpy(), atol=1e-6)


def test_a_rounded_patch_matrix_keeps_its_bias_in_two_parts() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(8, 3, 16, 16) / 30, torch.randn(8) * 100
    mean, std = torch.full((3,), 120.0), torch.full((3,), 60.0)
    matrix = patch_matrix(weight, bias, torch.zeros(5, 8), mean, std, columns=columns_for(5), dtype=torch.bfloat16)
    grey = torch.full((1, 32, 32, 3), 120, dtype=torch.uint8)
    tokens = patchify_oracle(grey, prefix=5, columns=columns_for(5)).double() @ matrix.double().T
    np.testing.assert_allclose(tokens[5].numpy(), bias.double().numpy(), rtol=2e-5, atol=2e-3)


@pytest.mark.parametrize(("prefix", "columns"), [(0, 784), (1, 784), (5, 784), (14, 784), (15, 800), (64, 848)])
def test_columns_are_padded_to_sixteen(prefix: int, columns: int) -> None:
    assert columns_for(prefix) == columns
