"""Every backbone that a recipe may name is built, tuned by LoRA and told apart by depth; nothing large is allocated."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.eva import Eva

from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import build
from streetvision.training.recipe import TuneRecipe
from streetvision.training.tuning import choose_weights, layer_of, learning

NAMES = [
    "vit_small_patch16_dinov3",
    "vit_small_plus_patch16_dinov3",
    "vit_base_patch16_dinov3",
    "vit_large_patch16_dinov3",
    "vit_huge_plus_patch16_dinov3",
    "vit_7b_patch16_dinov3",
    "vit_small_patch16_dinov3_qkvb",
    "vit_base_patch16_lingbot",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [224, 768])
def test_lora_reaches_every_linear_of_every_block(name: str, size: int) -> None:
    with torch.device("meta"):
        probe = timm.create_model(name, num_classes=0, dynamic_img_size=False, img_size=size)
        assert isinstance(probe, Eva)
        head = HeadConfig(embedding_dim=2 * probe.num_features)
        net = build(ModelConfig("m", "0.0.1", name, input_size=size, head=head))
        choose_weights(net, TuneRecipe(method="lora", rank=2))
    linears = {
        key
        for key, module in probe.named_modules()
        if isinstance(module, torch.nn.Linear) and key.startswith("blocks.")
    }
    adapted = {key.split(".lora_A")[0] for key in learning(net.backbone) if "lora_A" in key}
    assert adapted == linears
    depth = len(net.backbone.blocks)
    assert {layer_of(f"net.backbone.{key}", depth) for key in learning(net.backbone)} == set(range(1, depth + 1))
