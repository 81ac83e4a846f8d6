from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.eva import Eva

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import StreetVisionNet, build, load, tiny_config

CONFIG = replace(tiny_config(depth=2, width=64), input_size=48, temperature=1.6, threshold=0.3)


@pytest.fixture(scope="module")
def net() -> StreetVisionNet:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    net = build(CONFIG)
    with torch.no_grad():
        net.head.fc.weight.normal_()
    return net.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (3, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_preprocessing_is_the_usual_normalisation(net: StreetVisionNet, images: torch.Tensor) -> None:
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (CONFIG.mean, CONFIG.std))
    expected = (images.permute(0, 3, 1, 2).double() / 255 - mean) / std
    torch.testing.assert_close(net.preprocess(images).double(), expected, rtol=1e-6, atol=1e-6)


def test_service_differs_from_training_by_temperature_and_threshold_alone(
    net: StreetVisionNet, images: torch.Tensor
) -> None:
    with torch.inference_mode():
        raw, embedding = net(net.preprocess(images))
        served, served_embedding = net.forward_uint8(images)
    torch.testing.assert_close(served, raw / 1.6 - torch.logit(torch.tensor(0.3)), rtol=1e-5, atol=1e-6)
    assert torch.equal(embedding, served_embedding)
    assert served.dtype == embedding.dtype == torch.float32
    assert embedding.shape == (3, 128)


def test_a_probability_at_the_threshold_becomes_one_half() -> None:
    net = build(CONFIG)
    with torch.no_grad():
        net.head.fc.weight.zero_()
        net.head.fc.bias.fill_(float(torch.logit(torch.tensor(0.3))) * 1.6)
    served, _ = net.eval().forward_uint8(torch.zeros(1, 48, 48, 3, dtype=torch.uint8))
    assert torch.sigmoid(served).item() == pytest.approx(0.5, abs=1e-6)


def test_the_embedding_is_cls_and_mean_patch_without_registers(net: StreetVisionNet, images: torch.Tensor) -> None:
    with torch.inference_mode():
        tokens = net.tokens(net.preprocess(images))
        _, embedding = net(net.preprocess(images))
    assert tokens.shape == (3, 1 + 4 + 9, 64)
    torch.testing.assert_close(embedding[:, :64], tokens[:, 0])
    torch.testing.assert_close(embedding[:, 64:], tokens[:, 5:].mean(1))


def test_a_fixed_image_size_computes_what_timm_computes_dynamically(net: StreetVisionNet, images: torch.Tensor) -> None:
    kwargs: dict[str, Any] = dict(CONFIG.architecture_kwargs)
    dynamic = timm.create_model(CONFIG.architecture, num_classes=0, **kwargs).eval()
    assert isinstance(dynamic, Eva)
    dynamic.load_state_dict(net.backbone.state_dict())
    pixels = net.preprocess(images)
    with torch.inference_mode():
        torch.testing.assert_close(net.tokens(pixels), dynamic.forward_features(pixels), rtol=0, atol=0)


def test_the_same_weights_serve_an_input_of_another_size(net: StreetVisionNet) -> None:
    larger = build(replace(CONFIG, input_size=80)).eval()
    larger.load_state_dict(net.state_dict())
    kwargs: dict[str, Any] = dict(CONFIG.architecture_kwargs)
    dynamic = timm.create_model(CONFIG.architecture, num_classes=0, **kwargs).eval()
    assert isinstance(dynamic, Eva)
    dynamic.load_state_dict(net.backbone.state_dict())
    pixels = torch.randn(2, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(larger.tokens(pixels), dynamic.forward_features(pixels), rtol=0, atol=0)


def test_low_precision_keeps_the_rope_table_and_the_head_in_float32(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    net = build(CONFIG)
    rope: Any = net.backbone.rope
    table = rope.pos_embed_cached.clone()
    net.for_inference("cpu", torch.bfloat16)
    assert torch.equal(rope.pos_embed_cached, table)
    assert net.dtype == torch.bfloat16
    assert {p.dtype for p in net.head.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in net.parameters())
    logits, _ = net.forward_uint8(images)
    assert logits.dtype == torch.float32


def test_all_weights_receive_a_gradient(images: torch.Tensor) -> None:
    net = build(replace(CONFIG, architecture_kwargs={**CONFIG.architecture_kwargs, "init_values": 1.0}))
    logits, _ = net(net.preprocess(images))
    logits.square().sum().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_a_loaded_checkpoint_answers_like_the_network_that_was_saved(
    tmp_path: Path, net: StreetVisionNet, images: torch.Tensor
) -> None:
    save_checkpoint(tmp_path / "m", CONFIG, net.state_dict())
    loaded = load(tmp_path / "m")
    assert loaded.config.temperature == 1.6
    with torch.inference_mode():
        for mine, theirs in zip(loaded.net.forward_uint8(images), net.forward_uint8(images), strict=True):
            assert torch.equal(mine, theirs)
