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
    from torch import nn

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

    def patch_size(self, name: str, kwargs: Kwargs) -> int:
        """As described."""
        return int(kwargs["patch_size"])

    def create(self, name: str, kwargs: Kwargs, *, input_size: int) -> VisionTransformer:
        """Built by timm from its sizes."""
        return _create(input_size, **dict(kwargs))

    def describe(self, name: str, model: nn.Module) -> tuple[str, Kwargs] | None:
        """By its sizes, whatever timm calls it."""
        return (PLAIN_VIT, _sizes(model)) if _is_plain(model) else None


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


def _is_plain(model: Any) -> bool:  # noqa: ANN401  # timm's modules carry no types
    from timm.layers.attention import Attention
    from timm.layers.mlp import Mlp
    from timm.models.vision_transformer import Block, VisionTransformer
    from torch import nn

    if type(model) is not VisionTransformer:
        return False
    block: Any = model.blocks[0]
    return (
        model.has_class_token
        and model.num_prefix_tokens == 1
        and not model.no_embed_class
        and isinstance(model.norm_pre, nn.Identity)
        and isinstance(model.norm, nn.LayerNorm)
        and type(block) is Block
        and type(block.attn) is Attention
        and type(block.mlp) is Mlp
        and isinstance(block.mlp.act, nn.GELU)
    )


def _sizes(model: Any) -> Kwargs:  # noqa: ANN401  # timm's modules carry no types
    block = model.blocks[0]
    return {
        "patch_size": model.patch_embed.patch_size[0],
        "embed_dim": model.embed_dim,
        "depth": len(model.blocks),
        "num_heads": block.attn.num_heads,
        "mlp_ratio": block.mlp.fc1.out_features / model.embed_dim,
        "qkv_bias": block.attn.qkv.bias is not None,
        "norm_eps": model.norm.eps,
    }


ARCHITECTURE = PlainVit()
