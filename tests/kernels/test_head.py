"""The fused head under Triton's interpreter, against the oracle in float64; tests/gpu runs it for real."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from streetvision_kernels.head_oracle import head_oracle

from .case_rows import interpreted_rows

# All sums are float32 over a few hundred values of size 1 to 5: rounding stays near 5e-7.
LOGIT_TOLERANCE = 5e-6
POOLED_TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def cases() -> dict[str, dict[str, float]]:
    return {row.pop("case"): row for row in interpreted_rows("head_cases")}


def test_the_interpreted_kernel_matches_the_float64_oracle(cases: dict[str, dict[str, float]]) -> None:
    wrong = {
        name: row
        for name, row in cases.items()
        if not (row["logit"] <= LOGIT_TOLERANCE and row["pooled"] <= POOLED_TOLERANCE)
    }
    assert wrong == {}
    covered = " ".join(cases)
    for part in ("d192", "d384", "d768", "d1024", "prefix1", "prefix5", "t201", "float16", "bfloat16", "strided"):
        assert part in covered


def test_an_image_gets_the_same_bits_in_any_batch(cases: dict[str, dict[str, float]]) -> None:
    assert cases["invariance-d192"] == {"logit": 0.0, "pooled": 0.0}


def test_the_oracle_is_the_formula_of_its_docstring() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(2, 7, 3))
    gain, offset, weight = rng.normal(size=(3, 6))
    pooled = np.concatenate((tokens[:, 0], tokens[:, 5:].mean(1)), axis=1)
    normed = (pooled - pooled.mean(1, keepdims=True)) / np.sqrt(pooled.var(1, keepdims=True) + 0.1) * gain + offset
    logits, embeddings = head_oracle(
        torch.from_numpy(tokens),
        *(torch.from_numpy(v) for v in (gain, offset, weight)),
        torch.tensor([0.4], dtype=torch.float64),
        prefix=5,
        eps=0.1,
        scale=0.5,
        shift=-2.0,
    )
    np.testing.assert_allclose(logits.numpy(), (normed @ weight + 0.4) * 0.5 + 2.0, rtol=1e-12)
    np.testing.assert_allclose(embeddings.numpy(), pooled, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tokens": torch.zeros(2, 6, 8, dtype=torch.float64)}, "must be float16"),
        ({"tokens": torch.zeros(0, 6, 8)}, "N >= 1"),
        ({"tokens": torch.zeros(2, 8, 6).transpose(1, 2)}, "contiguous channels"),
        ({"tokens": torch.zeros(2, 8)}, r"\[N, T, D\]"),
        ({"prefix": 6}, "prefix must leave"),
        ({"prefix": 0}, "prefix must leave"),
        ({"weight": torch.zeros(8)}, r"contiguous \[16\]"),
        ({"weight": torch.zeros(32)[::2]}, r"contiguous \[16\]"),
        ({"bias": torch.zeros(2)}, r"bias must be \[1\]"),
    ],
)
def test_wrong_shapes_never_reach_the_kernel(change: dict[str, object], sentence: str) -> None:
    head = pytest.importorskip("streetvision_kernels.head", reason="triton exists on Linux alone")
    arguments: dict[str, object] = {
        "tokens": torch.zeros(2, 6, 8),
        "norm_weight": torch.ones(16),
        "norm_bias": torch.zeros(16),
        "weight": torch.zeros(16),
        "bias": torch.zeros(1),
        "prefix": 5,
        "eps": 1e-5,
    }
    with pytest.raises(ValueError, match=sentence):
        head.fused_head(**(arguments | change))
