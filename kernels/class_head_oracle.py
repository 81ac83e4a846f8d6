"""What the heads on one vector an image must compute, in plain PyTorch."""

from __future__ import annotations

import torch


def class_head_oracle(
    vectors: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    positive: torch.Tensor,
    *,
    unit: bool,
    scale: float,
    shift: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [N] and vectors [N, D]; raw = logsumexp of the positive classes less that of the others."""
    x = torch.nn.functional.normalize(vectors, dim=-1) if unit else vectors
    scores = x @ weight.T + bias
    chosen = positive > 0
    raw = scores[:, 0]
    if len(weight) > 1:
        raw = scores[:, chosen].logsumexp(dim=1) - scores[:, ~chosen].logsumexp(dim=1)
    return raw * scale - shift, vectors
