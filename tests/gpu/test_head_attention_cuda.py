"""The attention-pooling head on a real GPU: over all shapes, inside torch.compile, in a CUDA graph, in the runner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from streetvision_kernels.head_attention_oracle import attention_head_oracle

from streetvision.models.config import HeadConfig
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.runner.cuda_forward import FastForward

from ..kernels.case_rows import cuda_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

LOGIT_TOLERANCE = 1e-5
POOLED_TOLERANCE = 1e-5
SCALARS = {"eps": 0.05, "scale": 0.7, "shift": -0.4}


def case(n: int, d: int, seed: int, tokens: int = 201) -> dict[str, Any]:
    g = torch.Generator("cuda").manual_seed(seed)
    vectors = [torch.randn(3 * d, device="cuda", generator=g) for _ in range(3)]
    return {
        "tokens": torch.randn(n, tokens, d, device="cuda", generator=g).add(0.3).bfloat16(),
        "score": torch.randn(d, device="cuda", generator=g) * 2 / d**0.5,
        "norm_weight": vectors[0],
        "norm_bias": vectors[1],
        "weight": vectors[2] / (3 * d) ** 0.5,
        "bias": torch.randn(1, device="cuda", generator=g),
        "prefix": 5,
    }


def assert_right(got: tuple[torch.Tensor, torch.Tensor], given: dict[str, Any]) -> None:
    wide = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
    logits, pooled = attention_head_oracle(**wide, **SCALARS)
    torch.testing.assert_close(got[0].double(), logits, rtol=0, atol=LOGIT_TOLERANCE)
    torch.testing.assert_close(got[1].double(), pooled, rtol=0, atol=POOLED_TOLERANCE)


def test_every_shape_and_dtype_matches_the_float64_oracle() -> None:
    rows = {row.pop("case"): row for row in cuda_rows("head_attention_cases")}
    assert len(rows) >= 50
    assert rows.pop("lost") == {"finite": False}
    wrong = {k: r for k, r in rows.items() if not (r["logit"] <= LOGIT_TOLERANCE and r["pooled"] <= POOLED_TOLERANCE)}
    assert wrong == {}
    uneven = {k: r for k, r in rows.items() if k.startswith("invariance") and (r["logit"], r["pooled"]) != (0.0, 0.0)}
    assert uneven == {}


@pytest.mark.parametrize("d", [192, 768, 1280])
def test_it_is_right_inside_torch_compile(d: int) -> None:
    from streetvision_kernels.head_attention import fused_attention_head

    @torch.compile(fullgraph=True, dynamic=False)
    def around(tokens: torch.Tensor, **rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return fused_attention_head(tokens=-tokens, **rest, **SCALARS)  # type: ignore[no-any-return]  # untyped kernel

    given = case(3, d, seed=d)
    assert_right(around(**given), given | {"tokens": -given["tokens"]})


def test_a_cuda_graph_replays_it_on_new_inputs() -> None:
    from streetvision_kernels.head_attention import fused_attention_head

    given = case(4, 768, seed=1, tokens=581)
    fused_attention_head(**given, **SCALARS)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = fused_attention_head(**given, **SCALARS)
    for seed in (2, 3, 4):
        given["tokens"].copy_(case(4, 768, seed, tokens=581)["tokens"])
        for output in got:
            output.fill_(float("nan"))
        graph.replay()
        torch.cuda.synchronize()
        assert_right(got, given)


def test_many_images_race_nowhere() -> None:
    from streetvision_kernels.head_attention import fused_attention_head

    given = case(512, 1024, seed=9)
    first = fused_attention_head(**given, **SCALARS)
    assert_right(first, given)
    for _ in range(50):
        again = fused_attention_head(**given, **SCALARS)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def network() -> StreetVisionNet:
    torch.manual_seed(0)
    config = replace(tiny_config(depth=4), head=HeadConfig("cls_mean_attention", 576), temperature=1.3)
    config = replace(config, architecture_kwargs={**config.architecture_kwargs, "init_values": 0.1})
    net = build(config).eval().requires_grad_(False)
    for linear in (net.head.score, net.head.fc):
        torch.nn.init.normal_(linear.weight, std=0.1)
    return net


@torch.inference_mode()
def test_the_fast_forward_serves_it() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 206, (9, 28, 28, 3), generator=generator)
    images = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2).to(torch.uint8).cuda()
    net = network().cuda()
    logits, pooled = net.head(net.tokens(net.preprocess(images)), scale=net.scale, shift=net.shift)
    fast = FastForward(net, torch.device("cuda"))
    got = fast(images)
    assert got[1].shape == (9, 576)
    assert float((got[1] - pooled).norm() / pooled.norm()) < 1.5e-2
    torch.testing.assert_close(got[0], logits, rtol=0, atol=0.05)
    for count in (1, 4):
        part = fast(images[:count])
        assert torch.equal(part[0], got[0][:count]) and torch.equal(part[1], got[1][:count])
