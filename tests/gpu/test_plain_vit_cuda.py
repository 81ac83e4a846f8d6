"""A converted classifier (a plain ViT with a head on CLS) on CUDA: compiled and in graphs, as every other model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import LoadedModel, StreetVisionNet, build
from streetvision.runner.torch_runner import TorchRunner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run make test-gpu on a GPU machine"),
]

SIZES = {"patch_size": 16, "embed_dim": 192, "depth": 3, "num_heads": 3, "mlp_ratio": 4.0, "qkv_bias": True}
HEADS = {
    "one": HeadConfig("cls_linear", 192),
    "four": HeadConfig("cls_linear", 192, classes=4, positive=(1, 3)),
    "pooled": HeadConfig(embedding_dim=384),
}
BUCKETS = (1, 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)


def described(head: str) -> ModelConfig:
    return ModelConfig("plain", "1.0.0", "vit", {**SIZES, "norm_eps": 1e-12}, head=HEADS[head], temperature=1.3)


def network(head: str) -> StreetVisionNet:
    torch.manual_seed(0)
    net = build(described(head))
    with torch.no_grad():
        net.head.fc.weight.normal_(std=0.07)
    return net


@pytest.mark.parametrize("compile", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("head", HEADS)
def test_it_answers_like_float32_on_the_cpu(head: str, compile: bool) -> None:
    config = described(head)
    runner = TorchRunner(LoadedModel(network(head), config), device="cuda", buckets=BUCKETS, compile=compile)
    assert sorted(runner.warmup()) == list(BUCKETS)
    with torch.inference_mode():
        logits, embeddings = network(head).eval().forward_uint8(torch.from_numpy(IMAGES.copy()))
    got = runner.run(IMAGES)
    np.testing.assert_allclose(got.logits, logits.numpy(), rtol=0, atol=5e-2)
    assert got.embeddings.shape == tuple(embeddings.shape)
    assert embeddings.shape[1] == config.head.embedding_dim
    again, alone = runner.run(IMAGES), runner.run(IMAGES[:1])
    np.testing.assert_array_equal(again.logits, got.logits)
    np.testing.assert_allclose(alone.logits, got.logits[:1], rtol=0, atol=2e-2)
