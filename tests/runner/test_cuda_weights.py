"""Taking a network apart for the fast forward: what is folded computes the same, and what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("triton", reason="triton exists on Linux alone")

from streetvision_kernels.attention_oracle import attention_oracle
from streetvision_kernels.patchify_oracle import patchify_oracle
from streetvision_kernels.swiglu_oracle import swiglu_oracle

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import StreetVisionNet, build, tiny_config
from streetvision.runner.cuda_weights import FastWeights, Product, inverse_scale, pack, unsupported

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def config(**kwargs: Any) -> ModelConfig:
    base = tiny_config(depth=2)
    return replace(base, input_size=64, architecture_kwargs={**base.architecture_kwargs, "init_values": 0.3, **kwargs})


def network(described: ModelConfig) -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(described).eval()
    blocks: Any = net.backbone.blocks
    for block in blocks:
        for norm in (block.norm1, block.norm2):
            nn.init.normal_(norm.weight, mean=1.0, std=0.2)
            nn.init.normal_(norm.bias, std=0.2)
        if block.attn.q_bias is not None:
            nn.init.normal_(block.attn.q_bias)
    return net


def multiply(x: torch.Tensor, product: Product) -> torch.Tensor:
    matrix = product.matrix.float() * (1.0 if product.scales is None else float(product.scales.weight))
    return F.linear(x, matrix, None if product.bias is None else product.bias.float())


def tokens(weights: FastWeights) -> torch.Tensor:
    """The packed network in plain PyTorch."""
    rows = patchify_oracle(IMAGES, prefix=weights.prefix, columns=weights.patches.shape[1])
    x = F.linear(rows, weights.patches.float())
    width = (weights.width,)
    for block in weights.blocks:
        qkv = multiply(F.layer_norm(x, width, block.norm1.gain, block.norm1.offset, block.norm1.eps), block.qkv)
        turns = [None if part is None else part.float() for part in (weights.cos, weights.sin)]
        heads = attention_oracle(qkv, *turns, tokens=weights.tokens)
        x = x + multiply(heads, block.proj)
        normed = F.layer_norm(x, width, block.norm2.gain, block.norm2.offset, block.norm2.eps)
        hidden = multiply(normed, block.fc1)
        x = x + multiply(swiglu_oracle(hidden) if block.gated else F.gelu(hidden), block.fc2)
    return F.layer_norm(x, width, weights.norm.gain, weights.norm.offset, weights.norm.eps)


def error(net: StreetVisionNet, weights: FastWeights) -> float:
    expected = net.tokens(net.preprocess(IMAGES)).flatten(0, 1)
    return float((tokens(weights) - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    "kwargs", [{}, {"qkv_bias": True}, {"num_reg_tokens": 0}, {"mlp_ratio": 2.0}, {"swiglu_mlp": True}]
)
@torch.inference_mode()
def test_the_packed_network_is_the_network_up_to_bfloat16(kwargs: dict[str, Any]) -> None:
    net = network(config(**kwargs))
    assert unsupported(net) is None
    assert error(net, pack(net, CPU)) < 6e-3


@pytest.mark.parametrize(
    "name",
    [
        "vit_tiny_patch16_dinov3_qkvb",
        "vit_small_patch16_dinov3_qkvb",
        "vit_small_plus_patch16_dinov3",
        "vit_huge_plus_patch16_dinov3",
        "vit_small_patch16_lingbot",
        "vit_giant_patch16_lingbot",
    ],
)
@torch.inference_mode()
def test_timms_relatives_of_dinov3_are_packed(name: str) -> None:
    """With two blocks, and narrower where they are large: what differs between them is in the block."""
    kwargs: dict[str, Any] = {"depth": 2, "embed_dim": 192, "num_heads": 3}
    net = network(replace(tiny_config(), architecture=name, architecture_kwargs=kwargs, input_size=64))
    for block in net.backbone.blocks:
        block.gamma_1.data.fill_(0.5)
        block.gamma_2.data.fill_(0.5)
    assert error(net, pack(net, CPU)) < 8e-3


@torch.inference_mode()
def test_float8_matrices_and_scales_are_the_network_up_to_float8() -> None:
    net = network(config())
    names = [f"{index}.{name}" for index in range(2) for name in ("qkv", "proj", "fc1", "fc2")]
    weights = pack(net, CPU, dict.fromkeys(names, 3.0))
    assert weights.float8
    for block in weights.blocks:
        assert {p.matrix.dtype for p in (block.qkv, block.proj, block.fc1, block.fc2)} == {torch.float8_e4m3fn}
        assert block.fc1.scales is not None and block.fc1.scales.inverse_out is not None
        assert float(block.fc1.scales.inverse_out) == pytest.approx(block.fc2.inverse8)
    assert 6e-3 < error(net, weights) < 6e-2


def test_room_is_left_above_the_largest_activation() -> None:
    assert inverse_scale(7.0) * 7.0 == pytest.approx(224.0)
    assert inverse_scale(0.0) > 0


def test_the_rope_table_leaves_prefix_tokens_as_they_are() -> None:
    weights = pack(network(config()), CPU)
    assert weights.cos is not None and weights.sin is not None
    assert weights.cos.shape == weights.sin.shape == (16 + 5, 32)
    assert (weights.cos[:5] == 1).all() and (weights.sin[:5] == 0).all()
    assert not (weights.sin[5:] == 0).all()


def test_heads_of_another_size_are_refused_in_a_sentence() -> None:
    net = network(config(num_heads=6))
    problem = unsupported(net)
    assert problem is not None and "heads of 64 channels" in problem
    with pytest.raises(ValueError, match="heads of 64 channels"):
        pack(net, CPU)


def test_another_head_is_refused() -> None:
    head = HeadConfig(kind="cls_linear", embedding_dim=192, classes=2, positive=(1,))
    problem = unsupported(build(replace(config(), head=head)))
    assert problem is not None and "head on CLS and pooled patches" in problem


def test_an_unusual_activation_is_refused() -> None:
    net = network(config())
    block: Any = net.backbone.blocks[1]
    block.mlp.act = nn.ReLU()
    assert unsupported(net) == "its activation is not GELU"
    gated = network(config(swiglu_mlp=True))
    block = gated.backbone.blocks[1]
    block.mlp.act = nn.GELU()
    assert unsupported(gated) == "the activation of its gates is not SiLU"
