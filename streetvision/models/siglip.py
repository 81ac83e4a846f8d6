"""The image tower of SigLIP and SigLIP 2: a vision transformer whose tokens a learned query pools by attention.

Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (2023); Tschannen et al., "SigLIP 2" (2025). There is no
class token: what the attention pooling (MAP, Zhai et al., "Scaling Vision Transformers", 2022) makes of the patches is
what the text tower was trained against.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.utils.checkpoint import checkpoint_sequential


class SiglipTower(nn.Module):
    """timm's parts under timm's names, answering the pooled token first, where other backbones have CLS.

    So every head, and whatever else reads CLS and patches, takes it as it is.
    """

    num_prefix_tokens = 1

    def __init__(self, model: VisionTransformer) -> None:
        """Take over the parts of timm's `model`, which has no class token and pools by attention."""
        super().__init__()
        known: Any = model
        self.patch_embed = known.patch_embed
        self.pos_embed = known.pos_embed
        self.blocks = known.blocks
        self.norm = known.norm
        self.attn_pool = known.attn_pool
        self.num_features: int = known.num_features
        self._checkpointing = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute the blocks again in the backward instead of keeping what is between them."""
        self._checkpointing = enable

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised [N, 3, S, S] -> tokens [N, 1 + P, D]: pooled, then the patches after the last norm."""
        x = self.patch_embed(pixels) + self.pos_embed
        if self._checkpointing and self.training:
            x = checkpoint_sequential(self.blocks, len(self.blocks), x, use_reentrant=False)  # type: ignore[no-untyped-call]  # torch
        else:
            x = self.blocks(x)
        patches = self.norm(x)
        return torch.cat((self.attn_pool(patches)[:, None], patches), dim=1)
