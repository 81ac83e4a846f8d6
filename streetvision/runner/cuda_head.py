"""The last launch of the fast forward: each kind of head by a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from streetvision_kernels.class_head import class_head
from streetvision_kernels.head_attention import norm_attention_head
from streetvision_kernels.norm_head import norm_head
from torch import nn

from streetvision.models.heads.cls_cosine import CosineHead
from streetvision.models.heads.cls_mean_attention import AttentionHead
from streetvision.models.heads.cls_mean_linear import PooledHead
from streetvision.models.network import StreetVisionNet
from streetvision.runner.cuda_weights import FastWeights

Kernel = Callable[..., tuple[torch.Tensor, torch.Tensor]]

KERNELS: Mapping[type[nn.Module], Kernel] = {PooledHead: norm_head, AttentionHead: norm_attention_head}


class FusedHead:
    """Tokens of the last block to logits and embeddings, the last norm among it; serves one batch at a time."""

    def __init__(self, net: StreetVisionNet, device: torch.device, *, most: int, pdl: bool) -> None:
        """`most` images a batch; `pdl` launches it while its predecessor ends. The head must be one of `KERNELS`."""
        head: Any = net.head
        self._kernel = KERNELS[type(head)]
        self._vectors = [v.detach().to(device=device, dtype=torch.float32).contiguous() for v in head.vectors()]
        self._arrived = torch.zeros(most, dtype=torch.int32, device=device)
        self._options = {"eps": head.norm.eps, "scale": net.scale, "shift": net.shift, "pdl": pdl}

    def __call__(self, x: torch.Tensor, weights: FastWeights, *, images: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Residual stream [N * T, D] -> calibrated logits [N] and raw pooled embeddings [N, E], float32."""
        return self._kernel(
            x,
            (weights.norm.gain, weights.norm.offset),
            *self._vectors,
            self._arrived,
            images=images,
            prefix=weights.prefix,
            token_eps=weights.norm.eps,
            **self._options,
        )


class VectorHead:
    """What an attention has pooled to logits and embeddings."""

    def __init__(self, net: StreetVisionNet, device: torch.device, *, pdl: bool) -> None:
        """`pdl` launches it while its predecessor ends. The head must be a ClassHead or a CosineHead."""
        head: Any = net.head
        positive = torch.zeros(head.fc.out_features).index_fill_(0, head.positive.cpu(), 1.0)
        vectors = (head.fc.weight, head.fc.bias, positive)
        self._vectors = [v.detach().to(device=device, dtype=torch.float32).contiguous() for v in vectors]
        self._unit = isinstance(head, CosineHead)
        self._options: dict[str, Any] = {"scale": net.scale, "shift": net.shift, "pdl": pdl}

    def __call__(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled vectors [N, D] -> calibrated logits [N] and the vectors themselves [N, D], float32."""
        logits, embedding = class_head(pooled, *self._vectors, unit=self._unit, **self._options)
        return logits, embedding
