"""The fused head on a real GPU: over all shapes, inside torch.compile and in a CUDA graph. No plugin needed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from streetvision_kernels.head_oracle import head_oracle

from ..kernels.case_rows import cuda_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

LOGIT_TOLERANCE = 5e-6
POOLED_TOLERANCE = 2e-6
SCALARS = {"eps": 0.05, "scale": 0.7, "shift": -0.4}


def case(n: int, d: int, seed: int) -> dict[str, Any]:
    g = torch.Generator("cuda").manual_seed(seed)
    vectors = [torch.randn(2 * d, device="cuda", generator=g) for _ in range(3)]
    return {
        "tokens": torch.randn(n, 201, d, device="cuda", generator=g).add(0.3).bfloat16(),
        "norm_weight": vectors[0],
        "norm_bias": vectors[1],
        "weight": vectors[2] / (2 * d) ** 0.5,
        "bias": torch.randn(1, device="cuda", generator=g),
        "prefix": 5,
    }


def assert_right(got: tuple[torch.Tensor, torch.Tensor], given: dict[str, Any]) -> None:
    wide = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
    logits, pooled = head_oracle(**wide, **SCALARS)
    torch.testing.assert_close(got[0].double(), logits, rtol=0, atol=LOGIT_TOLERANCE)
    torch.testing.assert_close(got[1].double(), pooled, rtol=0, atol=POOLED_TOLERANCE)


def test_every_shape_and_dtype_matches_the_float64_oracle() -> None:
    rows = cuda_rows("head_cases")
    assert len(rows) >= 40
    wrong = [r for r in rows if not (r["logit"] <= LOGIT_TOLERANCE and r["pooled"] <= POOLED_TOLERANCE)]
    assert wrong == []
    uneven = [r for r in rows if r["case"].startswith("invariance") and (r["logit"], r["pooled"]) != (0.0, 0.0)]
    assert uneven == []


@pytest.mark.parametrize("d", [192, 384, 768, 1024])
def test_it_is_right_inside_torch_compile(d: int) -> None:
    from streetvision_kernels.head import fused_head

    @torch.compile(fullgraph=True, dynamic=False)
    def around(tokens: torch.Tensor, **rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return fused_head(tokens=-tokens, **rest, **SCALARS)  # type: ignore[no-any-return]  # untyped kernel

    given = case(3, d, seed=d)
    assert_right(around(**given), given | {"tokens": -given["tokens"]})


def test_compiled_alone_it_is_as_exact_as_eager() -> None:
    from streetvision_kernels.head import fused_head

    given = case(7, 384, seed=5)
    compiled: Any = torch.compile(fused_head, fullgraph=True, dynamic=False)
    assert_right(compiled(**given, **SCALARS), given)


def test_a_cuda_graph_replays_it_on_new_inputs() -> None:
    from streetvision_kernels.head import fused_head

    given = case(4, 768, seed=1)
    fused_head(**given, **SCALARS)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = fused_head(**given, **SCALARS)
    for seed in (2, 3, 4):
        given["tokens"].copy_(case(4, 768, seed)["tokens"])
        for output in got:
            output.fill_(float("nan"))
        graph.replay()
        torch.cuda.synchronize()
        assert_right(got, given)


def test_many_images_race_nowhere() -> None:
    from streetvision_kernels.head import fused_head

    given = case(512, 1024, seed=9)
    first = fused_head(**given, **SCALARS)
    assert_right(first, given)
    for _ in range(50):
        again = fused_head(**given, **SCALARS)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
