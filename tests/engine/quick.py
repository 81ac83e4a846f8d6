"""A model and pictures on which the quicker precisions are judged in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from streetvision.engine.types import ImageArray
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.runner.cpu_forward import missing_for_bfloat16, missing_for_int8

BASE = tiny_config(depth=2, width=64, version="1.2.3")
CONFIG = replace(BASE, input_size=48, architecture_kwargs={**BASE.architecture_kwargs, "init_values": 0.5})
PICTURES: ImageArray = np.random.default_rng(0).integers(0, 256, (1000, 48, 48, 3), dtype=np.uint8)
CPU = torch.device("cpu")
QUICK = pytest.mark.skipif(
    (missing_for_bfloat16() or missing_for_int8()) is not None, reason="the processor has no bfloat16 or int8 products"
)


def saved(folder: Path, *, seed: int = 0, steep: float = 0.0) -> Path:
    """`steep` makes the head's answers large, so that small differences show; 0: far from a decision."""
    torch.manual_seed(seed)
    net = build(CONFIG)
    torch.nn.init.normal_(net.head.fc.weight, std=steep)
    torch.nn.init.constant_(net.head.fc.bias, 0.0 if steep else 2.0)
    save_checkpoint(folder, CONFIG, net.state_dict())
    return folder


def counted_drawings(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[int]:
    """One number for each time that `module` drew calibration pictures, which are PICTURES then."""
    sizes: list[int] = []

    def drawn(size: int) -> ImageArray:
        sizes.append(size)
        return PICTURES

    monkeypatch.setattr(module, "calibration_images", drawn)
    return sizes
