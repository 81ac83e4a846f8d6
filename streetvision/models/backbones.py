"""Building backbones: DINOv3 by its timm name, and the plain vision transformer by its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from streetvision.models.architectures import PLAIN_VIT
from streetvision.models.config import CheckpointError

Backbone = Eva | VisionTransformer
"""Both give tokens by `forward_features`, and have `blocks`, `num_features` and `num_prefix_tokens`."""


def create_backbone(
    name: str,
    kwargs: Mapping[str, int | float | bool],
    *,
    input_size: int,
    drop_path_rate: float = 0.0,
) -> Backbone:
    """A randomly initialised backbone for images of `input_size`; raises CheckpointError for an unknown name.

    The image size is fixed at construction, so that timm keeps DINOv3's RoPE table as a buffer: with a dynamic size it
    builds the table from CPU tensors in every forward, which a CUDA graph cannot capture.
    """
    if name == PLAIN_VIT:
        return _plain_vit(input_size, drop_path_rate, **dict(kwargs))
    return create_dinov3(name, pretrained=False, img_size=input_size, drop_path_rate=drop_path_rate, **kwargs)


def create_dinov3(name: str, *, pretrained: bool, **kwargs: Any) -> Eva:  # noqa: ANN401  # passed on to timm
    """A DINOv3 backbone from timm; raises CheckpointError where timm does not know it or builds something else."""
    try:
        backbone = timm.create_model(name, pretrained=pretrained, num_classes=0, dynamic_img_size=False, **kwargs)
    except RuntimeError as error:
        if "Unknown model" not in str(error):
            raise
        raise CheckpointError(f"timm {timm.__version__} does not know the architecture {name!r}.") from error
    if not isinstance(backbone, Eva):
        raise CheckpointError(f"timm builds {name!r} as {type(backbone).__name__}, not as the expected Eva.")
    return backbone


def _plain_vit(input_size: int, drop_path_rate: float, *, norm_eps: float, **sizes: Any) -> VisionTransformer:  # noqa: ANN401  # checked by ModelConfig
    return VisionTransformer(
        img_size=input_size,
        num_classes=0,
        global_pool="token",
        norm_layer=partial(nn.LayerNorm, eps=norm_eps),
        drop_path_rate=drop_path_rate,
        **sizes,
    )
