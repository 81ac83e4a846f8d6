"""The vision transformer of 2020: learned positions, a class token, LayerNorm before each half of a block, GELU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from streetvision.models.architecture import SHARED, Architecture, Bounds, Kwargs
from streetvision.models.checks import check

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

PLAIN_VIT = "vit"


class PlainVit(Architecture):
    """It must give all of its sizes."""

    names = re.compile(PLAIN_VIT)
    described = PLAIN_VIT
    bounds: Bounds = SHARED | {"patch_size": (int, 4, 64), "norm_eps": (float, 1e-15, 1e-2)}
    required = tuple(bounds)

    def check(self, kwargs: Mapping[str, object]) -> None:
        """Its width is divided among its heads, too."""
        super().check(kwargs)
        width, heads = kwargs["embed_dim"], kwargs["num_heads"]
        if isinstance(width, int) and isinstance(heads, int):
            check(width % heads == 0, f"embed_dim {width} must be a multiple of num_heads ({heads})")

    def patch_size(self, kwargs: Kwargs) -> int:
        """As described."""
        return int(kwargs["patch_size"])

    def create(self, name: str, kwargs: Kwargs, *, input_size: int) -> VisionTransformer:
        """Built by timm from its sizes."""
        return _create(input_size, **dict(kwargs))


def _create(input_size: int, *, norm_eps: float, **sizes: Any) -> VisionTransformer:  # noqa: ANN401  # checked before
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    return VisionTransformer(
        img_size=input_size,
        num_classes=0,
        global_pool="token",
        norm_layer=partial(nn.LayerNorm, eps=norm_eps),
        **sizes,
    )


ARCHITECTURE = PlainVit()
