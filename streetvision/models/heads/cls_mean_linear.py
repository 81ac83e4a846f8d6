"""concat(CLS, mean patch token) -> LayerNorm -> linear -> one logit; in training and in service the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from streetvision_kernels.head_oracle import head_oracle
from torch import nn

from streetvision.models.checks import check
from streetvision.models.config import HeadConfig

Head = Callable[..., tuple[torch.Tensor, torch.Tensor]]


class PooledHead(nn.Module):
    """concat(CLS, mean patch token) -> LayerNorm -> linear -> one raw logit."""

    def __init__(self, width: int, prefix: int, eps: float) -> None:
        super().__init__()
        self.prefix = prefix
        self.norm = nn.LayerNorm(2 * width, eps=eps)
        self.fc = nn.Linear(2 * width, 1)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    def vectors(self) -> tuple[torch.Tensor, ...]:
        """As `head_oracle` and the kernels take them after the tokens."""
        return self.norm.weight, self.norm.bias, self.fc.weight[0], self.fc.bias

    def forward(
        self, tokens: torch.Tensor, *, scale: float = 1.0, shift: float = 0.0, fused: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [N, T, D] -> logits [N] and raw pooled embeddings [N, 2D], float32.

        `fused` takes the Triton kernel for tokens on CUDA; it has no backward.
        """
        head: Head = _triton_head() if fused and tokens.is_cuda else head_oracle
        return head(tokens, *self.vectors(), prefix=self.prefix, eps=self.norm.eps, scale=scale, shift=shift)


def embedding_dim(width: int) -> int:
    """Twice the backbone's width."""
    return 2 * width


def build(config: HeadConfig, width: int, prefix: int) -> PooledHead:
    """The head of that description; raises CheckpointError for one of several classes."""
    check(config.classes == 1, f"a head of kind {config.kind} has one class")
    return PooledHead(width, prefix, config.eps)


def _triton_head() -> Head:
    """Import the kernel only where it runs: Triton exists on Linux alone."""
    from streetvision_kernels.head import fused_head

    return fused_head  # type: ignore[no-any-return]  # the kernels' import name carries no types for mypy
