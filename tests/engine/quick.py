"""A model and pictures on which the quicker precisions are judged in seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streetvision.engine.types import ImageArray
from streetvision.models.network import tiny_config
from streetvision.runner.cpu_forward import missing_for_bfloat16, missing_for_int8

BASE = tiny_config(depth=2, width=64, version="1.2.3")
CONFIG = replace(BASE, input_size=48, architecture_kwargs={**BASE.architecture_kwargs, "init_values": 0.5})
PICTURES: ImageArray = np.random.default_rng(0).integers(0, 256, (1000, 48, 48, 3), dtype=np.uint8)
CPU = torch.device("cpu")
QUICK = pytest.mark.skipif(
    (missing_for_bfloat16() or missing_for_int8()) is not None, reason="the processor has no bfloat16 or int8 products"
)
