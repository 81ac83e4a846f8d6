"""The attention-pooling head under Triton's interpreter, against its oracle in float64; tests/gpu runs it for real."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .case_rows import interpreted_rows

# Sums are float32 over a few hundred values of size 1 to 5, and a softmax of scores of that size.
LOGIT_TOLERANCE = 5e-6
POOLED_TOLERANCE = 4e-6


@pytest.fixture(scope="module")
def cases() -> dict[str, dict[str, Any]]:
    return {row.pop("case"): row for row in interpreted_rows("head_attention_cases")}


def test_the_interpreted_kernel_matches_the_float64_oracle(cases: dict[str, dict[str, Any]]) -> None:
    wrong = {
        name: row
        for name, row in cases.items()
        if name != "lost" and not (row["logit"] <= LOGIT_TOLERANCE and row["pooled"] <= POOLED_TOLERANCE)
    }
    assert wrong == {}
    covered = " ".join(cases)
    for part in ("fused", "norm", "d192", "d384", "prefix1", "prefix5", "t805", "float16", "bfloat16", "sharp"):
        assert part in covered


def test_an_image_gets_the_same_bits_in_any_batch(cases: dict[str, dict[str, Any]]) -> None:
    assert cases["invariance-t21-d192"] == {"logit": 0.0, "pooled": 0.0}


def test_a_lost_token_shows(cases: dict[str, dict[str, Any]]) -> None:
    assert cases["lost"] == {"finite": False}


@pytest.mark.parametrize("tokens", [6, 201, 581, 1029, 2309])
def test_many_tokens_are_shared_out_among_few_programs(tokens: int) -> None:
    kernel = pytest.importorskip("streetvision_kernels.head_attention", reason="triton exists on Linux alone")
    sizes = kernel.launch_sizes(tokens, 384)
    assert sizes["PARTS"] <= kernel.MOST_PARTS
    assert sizes["SHARE"] % sizes["ROWS"] == 0
    assert (sizes["PARTS"] - 1) * sizes["SHARE"] < tokens <= sizes["PARTS"] * sizes["SHARE"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tokens": torch.zeros(2, 6, 8, dtype=torch.float64)}, "must be float16"),
        ({"tokens": torch.zeros(0, 6, 8)}, "N >= 1"),
        ({"tokens": torch.zeros(2, 8, 6).transpose(1, 2)}, "contiguous channels"),
        ({"prefix": 6}, "prefix must leave"),
        ({"prefix": 0}, "prefix must leave"),
        ({"score": torch.zeros(24)}, r"score must be contiguous \[8\]"),
        ({"score": torch.zeros(16)[::2]}, r"score must be contiguous \[8\]"),
        ({"weight": torch.zeros(16)}, r"contiguous \[24\]"),
        ({"bias": torch.zeros(2)}, r"bias must be \[1\]"),
    ],
)
def test_wrong_shapes_never_reach_the_kernel(change: dict[str, object], sentence: str) -> None:
    kernel = pytest.importorskip("streetvision_kernels.head_attention", reason="triton exists on Linux alone")
    arguments: dict[str, object] = {
        "tokens": torch.zeros(2, 6, 8),
        "score": torch.zeros(8),
        "norm_weight": torch.ones(24),
        "norm_bias": torch.zeros(24),
        "weight": torch.zeros(24),
        "bias": torch.zeros(1),
        "prefix": 5,
        "eps": 1e-5,
    }
    with pytest.raises(ValueError, match=sentence):
        kernel.fused_attention_head(**(arguments | change))


@pytest.mark.parametrize(("images", "counters"), [(3, 8), (2, 1)])
def test_tokens_that_are_no_whole_images_are_refused(images: int, counters: int) -> None:
    kernel = pytest.importorskip("streetvision_kernels.head_attention", reason="triton exists on Linux alone")
    vectors = (torch.zeros(8), *(torch.zeros(24) for _ in range(3)), torch.zeros(1))
    with pytest.raises(ValueError, match=f"do not fit {images} images"):
        kernel.norm_attention_head(
            torch.zeros(16, 8),
            (torch.ones(8), torch.zeros(8)),
            *vectors,
            torch.zeros(counters, dtype=torch.int32),
            images=images,
            prefix=5,
            token_eps=1e-5,
            eps=1e-5,
        )
