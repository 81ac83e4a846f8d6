"""What the latent pooling must compute, in plain PyTorch, and without the fold that the kernels rest on."""

from __future__ import annotations

import torch
from streetvision_kernels.layer_norm_oracle import layer_norm_oracle

HEAD = 64


def latent_pool_oracle(
    tokens: torch.Tensor,
    norm: tuple[torch.Tensor, torch.Tensor],
    queries: torch.Tensor,
    values: torch.Tensor,
    *,
    images: int,
    eps: float,
) -> torch.Tensor:
    """softmax over T of scores, weighted sum of values: tokens [N * T, D] -> [N, D], 64 channels a head.

    With x = LayerNorm(tokens): score[t, h] = (x[t] - offset) . queries[h] / gain, and value[t, h] = values[h] x[t].
    """
    gain, offset = norm
    normed = layer_norm_oracle(tokens, gain, offset, eps=eps).view(images, -1, tokens.shape[1])
    plain = layer_norm_oracle(tokens, torch.ones_like(gain), torch.zeros_like(offset), eps=eps).view_as(normed)
    shares = (plain @ queries.T).softmax(dim=1)
    content = (normed @ values.T).view(*normed.shape[:2], -1, HEAD)
    return torch.einsum("nth,nthc->nhc", shares, content).flatten(1)
