"""A network as the graph for MAX takes it; needs no MAX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from streetvision.models.network import StreetVisionNet, build
from streetvision.runner.max_weights import Weights, missing_for_max, plan_of, weights_of
from streetvision.runner.parts import CENTRE

from ..engine.quick import CONFIG, PICTURES

GATED = replace(
    CONFIG,
    architecture="vit_small_plus_patch16_dinov3",
    temperature=1.6,
    threshold=0.3,
    head=replace(CONFIG.head, kind="cls_mean_attention", embedding_dim=192),
)
SMALL = {"embed_dim": 64, "depth": 1, "num_heads": 1}


@pytest.fixture(params=[CONFIG, GATED], ids=["gelu", "swiglu"])
def net(request: pytest.FixtureRequest) -> StreetVisionNet:
    torch.manual_seed(0)
    return build(request.param).eval()


def linear(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def test_the_plan_says_what_the_graph_depends_on() -> None:
    plain, gated = (plan_of(build(config)) for config in (CONFIG, GATED))
    assert (plain.size, plain.tokens, plain.prefix, plain.width, plain.blocks) == (48, 14, 5, 64, 2)
    assert (plain.gated, plain.attends) == (False, False)
    assert (gated.gated, gated.attends) == (True, True)


def test_pixels_mean_and_deviation_are_in_the_patches(net: StreetVisionNet) -> None:
    images, weights = torch.from_numpy(PICTURES[:2]), weights_of(net, torch.float32)
    rows = (images.float() - CENTRE).view(2, 3, 16, 3, 16, 3).permute(0, 1, 3, 2, 4, 5).reshape(2, 9, -1)
    with torch.inference_mode():
        expected = net.backbone.patch_embed(net.preprocess(images)).reshape(2, 9, -1)
    torch.testing.assert_close(linear(rows, weights, "patches"), expected, rtol=0, atol=1e-4)


def test_layer_scale_is_in_the_second_products(net: StreetVisionNet) -> None:
    block, weights, x = net.backbone.blocks[1], weights_of(net, torch.float32), torch.randn(3, 64)
    with torch.inference_mode():
        torch.testing.assert_close(linear(x, weights, "block1.proj"), block.attn.proj(x) * block.gamma_1)


def test_temperature_and_threshold_are_in_the_heads_last_layer(net: StreetVisionNet) -> None:
    weights, x = weights_of(net, torch.float32), torch.randn(3, net.head.fc.in_features)
    with torch.inference_mode():
        torch.testing.assert_close(linear(x, weights, "fc"), net.head.fc(x) * net.scale - net.shift)


def test_only_products_are_rounded_and_nothing_of_the_network_is_shared(net: StreetVisionNet) -> None:
    weights = weights_of(net, torch.bfloat16)
    short = {name for name, weight in weights.items() if weight.dtype == torch.bfloat16}
    assert {"prefix", "patches.weight", "block0.qkv.weight", "block1.fc2.bias"} <= short
    assert not short & {"sin", "cos", "norm.gain", "block0.norm1.gain", "head.gain", "fc.weight", "score"}
    assert weights["norm.gain"].data_ptr() != net.backbone.norm.weight.data_ptr()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"architecture": "vit_base_patch16_siglip_224", "architecture_kwargs": SMALL}, "is no DINOv3"),
        ({"architecture_kwargs": {**CONFIG.architecture_kwargs, "num_heads": 2}}, "heads of 64 channels"),
        ({"head": replace(CONFIG.head, kind="cls_linear", embedding_dim=64)}, "does not pool CLS with patches"),
    ],
)
def test_a_network_that_no_graph_is_built_for_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem in (missing_for_max(build(replace(CONFIG, **changes))) or "")
