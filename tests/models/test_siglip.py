"""SigLIP's image tower as an architecture: timm's answers, the pooled token first, and heads on top of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from streetvision.hub.importers import Wishes, add_model
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import build, load
from streetvision.registry.registry import Registry

NAME = "vit_base_patch16_siglip_224"
SIZES: dict[str, int | float | bool] = {"embed_dim": 64, "depth": 2, "num_heads": 1}


def described(**changes: Any) -> ModelConfig:
    config = ModelConfig("tower", "1.0.0", NAME, SIZES, 64, head=HeadConfig("cls_linear", 64))
    return replace(config, **changes)


@torch.inference_mode()
def test_its_tokens_are_timms_patches_behind_what_timm_pools_of_them() -> None:
    torch.manual_seed(0)
    net = build(described()).eval()
    sizes: Any = SIZES
    theirs: Any = timm.create_model(NAME, num_classes=0, img_size=64, **sizes).eval()
    theirs.load_state_dict(net.backbone.state_dict())
    pixels = torch.randn(2, 3, 64, 64)
    tokens = net.tokens(pixels)
    assert tokens.shape == (2, 1 + 16, 64)
    torch.testing.assert_close(tokens[:, 0], theirs(pixels))
    torch.testing.assert_close(tokens[:, 1:], theirs.forward_features(pixels))


def test_every_head_takes_them_and_all_weights_learn() -> None:
    for kind, dim in (("cls_linear", 64), ("cls_cosine", 64), ("cls_mean_linear", 128), ("cls_mean_attention", 192)):
        net = build(described(head=HeadConfig(kind, dim)))
        net.backbone.set_grad_checkpointing(True)
        logits, embeddings = net.train()(torch.randn(2, 3, 64, 64))
        assert logits.shape == (2,) and embeddings.shape == (2, dim)
        logits.sum().backward()
        # The softmax cancels a bias of the scores, in the head as in the pooling.
        silent = {name for name, value in net.named_parameters() if value.grad is None}
        assert silent <= {"head.score.bias"}


@torch.inference_mode()
def test_computing_blocks_again_changes_nothing() -> None:
    torch.manual_seed(0)
    net, pixels = build(described()), torch.randn(2, 3, 64, 64)
    plain = net.train().tokens(pixels)
    net.backbone.set_grad_checkpointing(True)
    torch.testing.assert_close(net.tokens(pixels), plain)


@torch.inference_mode()
def test_the_cosine_head_is_what_siglip_compares_by() -> None:
    torch.manual_seed(0)
    net = build(described(head=HeadConfig("cls_cosine", 64, classes=5, positive=(1, 3)))).eval()
    texts, scale, bias = F.normalize(torch.randn(5, 64), dim=-1), 90.0, -12.0
    net.head.fc.weight.copy_(texts * scale)
    net.head.fc.bias.fill_(bias)
    tokens = torch.randn(3, 17, 64)
    logits, embeddings = net.head(tokens)
    each = scale * F.normalize(tokens[:, 0], dim=-1) @ texts.T + bias
    expected = each[:, [1, 3]].logsumexp(1) - each[:, [0, 2, 4]].logsumexp(1)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    assert torch.equal(embeddings, tokens[:, 0])


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, config = build(described()), described()
    save_checkpoint(tmp_path / "model", config, net.state_dict())
    loaded = load(tmp_path / "model")
    assert loaded.config.architecture == NAME
    for name, value in net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], value)


def test_a_backbone_of_timms_is_imported_with_a_head_on_the_pooled_vector(tmp_path: Path) -> None:
    tag = f"{NAME}.v2_webli"
    torch.manual_seed(1)
    save_file(timm.create_model(tag, pretrained=False, num_classes=0).state_dict(), tmp_path / "weights.safetensors")
    registry = Registry(tmp_path / "models")
    added = add_model(f"timm:{tag}", registry, Wishes(weights=tmp_path / "weights.safetensors"))
    config = load(added.folder, untrained=True).config
    assert (config.architecture, config.input_size, config.mean) == (NAME, 224, (0.5, 0.5, 0.5))
    assert config.head == HeadConfig("cls_linear", 768)
    assert added.servable is False


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "vit_base_patch16_siglip_gap_224"}, "architecture must be vit or a timm DINOv3 name such as"),
        ({"architecture_kwargs": {"num_heads": 5, "embed_dim": 64}}, r"embed_dim 64 must be a multiple of num_heads"),
        ({"architecture_kwargs": {"img_size": 64}}, "unknown key 'img_size'"),
        ({"input_size": 72}, "input_size must be a multiple of 16, not 72"),
        ({"architecture": "vit_so400m_patch14_siglip_224", "input_size": 224}, None),
    ],
)
def test_descriptions_are_checked(changes: dict[str, Any], sentence: str | None) -> None:
    if sentence is None:
        described(**changes)
        return
    with pytest.raises(CheckpointError, match=sentence):
        described(**changes)


def test_a_name_that_timm_does_not_know_is_a_sentence() -> None:
    with pytest.raises(CheckpointError, match="does not know the architecture 'vit_huge_patch16_siglip_224'"):
        build(described(architecture="vit_huge_patch16_siglip_224"))
