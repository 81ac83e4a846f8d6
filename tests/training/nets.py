"""Networks and batches small enough to learn in a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.heads import head_kind
from streetvision.models.network import StreetVisionNet, build
from streetvision.models.versions import ModelVersion
from streetvision.training.batch import Batch
from streetvision.training.recipe import (
    AugmentRecipe,
    DataRecipe,
    LossRecipe,
    ModelRecipe,
    OptimiserRecipe,
    Recipe,
    RunRecipe,
    TuneRecipe,
)

SIZE = 32
SECTIONS = {
    "model": ModelRecipe,
    "data": DataRecipe,
    "tune": TuneRecipe,
    "loss": LossRecipe,
    "optimiser": OptimiserRecipe,
    "augment": AugmentRecipe,
    "run": RunRecipe,
}


def small_config(
    *, depth: int = 2, kind: str = "cls_mean_linear", name: str = "vit_small_patch16_dinov3", **kwargs: Any
) -> ModelConfig:
    head = HeadConfig(kind=kind, embedding_dim=head_kind(kind).embedding_dim(32))
    sizes = {"embed_dim": 32, "num_heads": 1, "depth": depth, **kwargs}
    return ModelConfig("small", "0.0.1", name, architecture_kwargs=sizes, input_size=SIZE, head=head)


def small_net(**kwargs: Any) -> StreetVisionNet:
    torch.manual_seed(3)
    return build(small_config(**kwargs))


def recipe(**sections: dict[str, Any]) -> Recipe:
    """The defaults with some keys changed: recipe(tune={"method": "lora"})."""
    return replace(Recipe(), **{name: SECTIONS[name](**keys) for name, keys in sections.items()})


def batch(count: int = 4, seed: int = 0, *, patches: bool = False) -> Batch:
    """Bright pictures are roadwork."""
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.arange(count) % 2).float()
    pixels = torch.rand(count, 3, SIZE, SIZE, generator=generator) * 100 + targets.view(-1, 1, 1, 1) * 100
    shown = targets.view(-1, 1).expand(-1, (SIZE // 16) ** 2).contiguous() if patches else None
    return Batch(pixels, targets, torch.ones(count), shown)


def never(name: str) -> Path:
    raise AssertionError(name)


def version_at(folder: Path, config: ModelConfig) -> ModelVersion:
    save_checkpoint(folder, config, small_net(kind=config.head.kind).state_dict())
    return ModelVersion("1.0.0", "m", folder, "", "", "", True, None, "", card={})
