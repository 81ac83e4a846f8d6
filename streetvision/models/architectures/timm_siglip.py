"""The image towers of SigLIP and SigLIP 2 under timm's names, such as vit_base_patch16_siglip_224.

Positions are learned for one grid of patches: a tower serves at the size that it was trained at, and trains at another
with its positions resampled. Towers without attention pooling (timm's `gap`) are another architecture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streetvision.models.architecture import SHARED, Architecture, Bounds, Kwargs
from streetvision.models.checks import CheckpointError, check

if TYPE_CHECKING:
    import torch
    from torch import nn

    from streetvision.models.siglip import SiglipTower


class TimmSiglip(Architecture):
    """Its pooled token stands first among its tokens."""

    names = re.compile(r"vit_[a-z0-9]{1,60}_patch(?P<patch>14|16|32)_siglip_[0-9]{2,4}")
    described = "a timm SigLIP name such as vit_base_patch16_siglip_224"
    bounds: Bounds = SHARED
    head = "cls_linear"

    def check(self, kwargs: Mapping[str, object]) -> None:
        """Its width is divided among its heads, too."""
        super().check(kwargs)
        width, heads = kwargs.get("embed_dim"), kwargs.get("num_heads")
        if isinstance(width, int) and isinstance(heads, int):
            check(width % heads == 0, f"embed_dim {width} must be a multiple of num_heads ({heads})")

    def patch_size(self, name: str, kwargs: Kwargs) -> int:
        """As its name says."""
        return int(self.names.sub(r"\g<patch>", name))

    def create(self, name: str, kwargs: Kwargs, *, input_size: int) -> SiglipTower:
        """Built by timm; raises CheckpointError where timm does not know it or builds something else."""
        import timm

        from streetvision.models.siglip import SiglipTower

        sizes: dict[str, Any] = {"img_size": input_size, **kwargs}
        try:
            model: Any = timm.create_model(name, pretrained=False, num_classes=0, **sizes)
        except RuntimeError as error:
            if "Unknown model" not in str(error):
                raise
            raise CheckpointError(f"timm {timm.__version__} does not know the architecture {name!r}.") from error
        if not _pools_by_attention(model):
            raise CheckpointError(f"timm builds {name!r} as {type(model).__name__}, not as the expected SigLIP tower.")
        return SiglipTower(model)

    def at_size(self, state: dict[str, torch.Tensor], name: str, *, input_size: int) -> dict[str, torch.Tensor]:
        """With the positions resampled to that grid of patches (bicubic, antialiased)."""
        from timm.layers.pos_embed import resample_abs_pos_embed

        positions, side = state.get("pos_embed"), input_size // self.patch_size(name, {})
        if positions is None or positions.ndim != 3 or positions.shape[1] == side**2:
            return state
        resampled = resample_abs_pos_embed(positions, [side, side], num_prefix_tokens=0)
        return {**state, "pos_embed": resampled}

    def describe(self, name: str, model: nn.Module) -> tuple[str, Kwargs] | None:
        """By its name, as timm has it."""
        return (name, {}) if self.names.fullmatch(name) and _pools_by_attention(model) else None

    def timm_tokens(self, model: Any, pixels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401  # timm has no types
        """timm's patches behind what it pools of them."""
        import torch

        patches = model.forward_features(pixels)
        return torch.cat((model.forward_head(patches, pre_logits=True)[:, None], patches), dim=1)


def _pools_by_attention(model: object) -> bool:
    from timm.layers.attention_pool import AttentionPoolLatent
    from timm.models.vision_transformer import VisionTransformer
    from torch import nn

    return (
        isinstance(model, VisionTransformer)
        and isinstance(model.attn_pool, AttentionPoolLatent)
        and model.num_prefix_tokens == 0
        and isinstance(model.norm_pre, nn.Identity)
        and isinstance(model.fc_norm, nn.Identity)
    )


ARCHITECTURE = TimmSiglip()
