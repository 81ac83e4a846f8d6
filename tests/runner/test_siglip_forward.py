"""The forwards of ours on a SigLIP tower: timm's answers on a CPU, and the packing for a GPU in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("triton", reason="triton exists on Linux alone")

from streetvision_kernels.attention_oracle import attention_oracle
from streetvision_kernels.class_head_oracle import class_head_oracle
from streetvision_kernels.latent_pool_oracle import latent_pool_oracle
from streetvision_kernels.patchify_oracle import patchify_oracle

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import StreetVisionNet, build
from streetvision.runner.cpu_forward import SmallForward, missing_for_small
from streetvision.runner.cuda_weights import FastWeights, Product, pack, unsupported
from streetvision.runner.torch_runner import TorchRunner

from .test_cpu_forward import APART, PRECISIONS, answers_as_timm_does, images

HEADS = {
    "one": HeadConfig("cls_linear", 128),
    "four": HeadConfig("cls_linear", 128, classes=4, positive=(1, 3)),
    "prompts": HeadConfig("cls_cosine", 128, classes=5, positive=(0, 2)),
}


def described(head: str = "one", side: int = 64) -> ModelConfig:
    sizes: dict[str, int | float | bool] = {"embed_dim": 128, "depth": 3, "num_heads": 2}
    config = ModelConfig("tower", "1.0.0", "vit_base_patch16_siglip_224", sizes, side, head=HEADS[head])
    return replace(config, temperature=1.6, threshold=0.3)


def network(config: ModelConfig) -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(config).eval().requires_grad_(False)
    for name, weight in net.backbone.named_parameters():
        if name.endswith("bias") or "latent" in name:
            weight.normal_(std=0.3)
        if "norm" in name and name.endswith("weight"):
            weight.normal_(mean=1.0, std=0.2)
    nn.init.normal_(net.backbone.pos_embed, std=0.5)
    nn.init.normal_(net.backbone.attn_pool.latent, std=3.0)
    nn.init.normal_(net.head.fc.weight, std=3.0 if config.head.kind == "cls_cosine" else 128**-0.5)
    return net


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("head", "side"), [("one", 64), ("one", 96), ("four", 64), ("prompts", 64)])
def test_a_cpu_answers_as_timm_does(head: str, side: int, precision: str) -> None:
    answers_as_timm_does(network(described(head, side)), precision)


def test_the_networks_own_tanh_form_is_kept_in_float32() -> None:
    net, given = network(described()), images(3)
    for mlp in (*(block.mlp for block in net.backbone.blocks), net.backbone.attn_pool.mlp):
        mlp.act = nn.GELU(approximate="tanh")
    logits, pooled = net.forward_uint8(given)
    got, embedded = SmallForward(net)(given)
    assert float((embedded - pooled).norm() / pooled.norm()) < APART["float32"]
    torch.testing.assert_close(got, logits, rtol=0, atol=1e-4)


def test_a_head_on_patches_too_is_served_on_a_cpu_and_left_to_timm_on_a_gpu() -> None:
    net, given = network(replace(described(), head=HeadConfig("cls_mean_linear", 256))), images(3)
    torch.testing.assert_close(SmallForward(net)(given)[0], net.forward_uint8(given)[0], rtol=0, atol=1e-4)
    assert unsupported(net) == "its head is not one on the pooled vector alone"


def multiply(x: torch.Tensor, product: Product) -> torch.Tensor:
    return F.linear(x, product.matrix.float(), None if product.bias is None else product.bias.float())


def answers(net: StreetVisionNet, weights: FastWeights, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The packed network in plain PyTorch, by the kernels' oracles."""
    pool, positions, width = weights.pool, weights.positions, (weights.width,)
    assert pool is not None and positions is not None and weights.cos is None
    rows = patchify_oracle(given, prefix=0, columns=weights.patches.shape[1])
    x = F.linear(rows, weights.patches.float()) + positions.float().repeat(len(given), 1)
    for block in weights.blocks:
        qkv = multiply(F.layer_norm(x, width, block.norm1.gain, block.norm1.offset, block.norm1.eps), block.qkv)
        x = x + multiply(attention_oracle(qkv, None, None, tokens=weights.tokens), block.proj)
        normed = F.layer_norm(x, width, block.norm2.gain, block.norm2.offset, block.norm2.eps)
        x = x + multiply(F.gelu(multiply(normed, block.fc1)), block.fc2)
    norm = (weights.norm.gain, weights.norm.offset)
    values = pool.values.float()
    heads = latent_pool_oracle(x, norm, pool.queries, values, images=len(given), eps=weights.norm.eps)
    pooled = multiply(heads, pool.proj)
    normed = F.layer_norm(pooled, width, pool.norm.gain, pool.norm.offset, pool.norm.eps)
    pooled = pooled + multiply(F.gelu(multiply(normed, pool.fc1)), pool.fc2)
    head: Any = net.head
    positive = torch.zeros(head.fc.out_features).index_fill_(0, head.positive, 1.0)
    unit = net.head.__class__.__name__ == "CosineHead"
    vectors = (head.fc.weight, head.fc.bias, positive)
    found: tuple[torch.Tensor, torch.Tensor]
    found = class_head_oracle(pooled, *vectors, unit=unit, scale=net.scale, shift=net.shift)
    return found


@pytest.mark.parametrize("head", HEADS)
def test_the_network_packed_for_a_gpu_is_the_network_up_to_bfloat16(head: str) -> None:
    net, given = network(described(head)), images(5)
    assert unsupported(net) is None
    logits, pooled = net.forward_uint8(given)
    got, embedded = answers(net, pack(net, torch.device("cpu")), given)
    assert float((embedded - pooled).norm() / pooled.norm()) < 8e-3
    assert float((got - logits).abs().max()) < 0.1 * float(logits.std()) + 0.02


def test_heads_of_other_sizes_are_left_to_timm() -> None:
    net = build(replace(described(), architecture_kwargs={"embed_dim": 128, "depth": 1, "num_heads": 4}))
    assert unsupported(net) == missing_for_small(net) == "its attention has no heads of 64 channels"
    coarse = replace(described(), architecture="vit_base_patch32_siglip_256")
    assert missing_for_small(build(coarse)) == "its patches do not measure 16 pixels"


def test_a_version_is_served_by_the_fast_forward(tmp_path: Path) -> None:
    config = described("prompts")
    net = network(config)
    save_checkpoint(tmp_path / "model", config, net.state_dict())
    runner = TorchRunner(tmp_path / "model", device="cpu", buckets=(1, 4), threads=1)
    runner.warmup()
    assert runner.fast and runner.precision.name == "float32"
    given = images(3)
    np.testing.assert_allclose(runner.run(given.numpy()).logits, net.forward_uint8(given)[0].numpy(), rtol=0, atol=1e-4)
