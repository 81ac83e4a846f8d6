"""DINOv3 under timm's names, such as vit_small_patch16_dinov3, in timm's sizes or in others.

EUPE is DINOv3 with a bias of queries, keys and values (`..._dinov3_qkvb`), LingBot-Vision likewise under a name of its
own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streetvision.models.architecture import SHARED, Architecture, Bounds, Kwargs
from streetvision.models.checks import CheckpointError, check

if TYPE_CHECKING:
    import torch
    from timm.models.eva import Eva
    from torch import nn

PATCH = 16


class TimmDinov3(Architecture):
    """Positions are rotations, which the attention applies."""

    names = re.compile(r"vit_[a-z0-9_]{1,150}_patch16_(dinov3(_qkvb)?|lingbot)")
    described = "a timm DINOv3 name such as vit_small_patch16_dinov3"
    imported_size = 224  # the side that challenges had; without positions of its own any multiple of 16 can be trained
    bounds: Bounds = SHARED | {
        "num_reg_tokens": (int, 0, 64),
        "init_values": (float, 1e-9, 10.0),
        "rope_temperature": (float, 1.0, 1e6),
        "swiglu_mlp": (bool, 0, 1),
    }

    def check(self, kwargs: Mapping[str, object]) -> None:
        """A head's channels are rotated in fours, too."""
        super().check(kwargs)
        width, heads = kwargs.get("embed_dim"), kwargs.get("num_heads")
        if isinstance(width, int) and isinstance(heads, int):
            fits = width % (4 * heads) == 0
            check(fits, f"embed_dim {width} must be a multiple of 4 x num_heads ({heads}) for RoPE")

    def patch_size(self, name: str, kwargs: Kwargs) -> int:
        """Always the same."""
        return PATCH

    def create(self, name: str, kwargs: Kwargs, *, input_size: int) -> Eva:
        """Built by timm; raises CheckpointError where timm does not know it or builds something else.

        The image size is fixed at construction, so that timm keeps the RoPE table as a buffer: with a dynamic size it
        builds the table from CPU tensors in every forward, which a CUDA graph cannot capture.
        """
        import timm
        from timm.models.eva import Eva

        sizes: dict[str, Any] = {"img_size": input_size, **kwargs}
        try:
            backbone = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=False, **sizes)
        except RuntimeError as error:
            if "Unknown model" not in str(error):
                raise
            raise CheckpointError(f"timm {timm.__version__} does not know the architecture {name!r}.") from error
        if not isinstance(backbone, Eva):
            raise CheckpointError(f"timm builds {name!r} as {type(backbone).__name__}, not as the expected Eva.")
        return backbone

    def describe(self, name: str, model: nn.Module) -> tuple[str, Kwargs] | None:
        """By its name, as timm has it."""
        from timm.models.eva import Eva

        return (name, {}) if self.names.fullmatch(name) and isinstance(model, Eva) else None

    def cast(self, backbone: nn.Module, dtype: torch.dtype) -> None:
        """The RoPE table keeps float32: a bfloat16 table would turn the rotation into another one.

        The attention casts back to `dtype` after rotating.
        """
        rope: Any = backbone.rope
        table = getattr(rope, "pos_embed_cached", None)
        if table is None:
            raise CheckpointError("The architecture has no DINOv3 RoPE table, so it cannot be served.")
        table = table.clone()
        super().cast(backbone, dtype)
        rope.pos_embed_cached = table


ARCHITECTURE = TimmDinov3()
