"""concat(CLS, mean patch token, attended patch token) -> LayerNorm -> linear -> one logit.

A linear score of each patch says how much it counts in the attended token, so that a few patches near a cone are not
lost in the mean of some hundreds. Attention pooling as in Ilse et al., "Attention-based Deep Multiple Instance
Learning" (2018), with a linear score.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from streetvision_kernels.head_attention_oracle import attention_head_oracle
from streetvision_kernels.head_oracle import widened
from torch import nn

from streetvision.models.checks import check
from streetvision.models.config import HeadConfig

Head = Callable[..., tuple[torch.Tensor, torch.Tensor]]


class AttentionHead(nn.Module):
    """concat(CLS, mean P, sum softmax(s) P) -> LayerNorm -> linear -> one raw logit; s = P . w + b, P the patches."""

    def __init__(self, width: int, prefix: int, eps: float) -> None:
        super().__init__()
        self.prefix = prefix
        self.score = nn.Linear(width, 1)
        self.norm = nn.LayerNorm(3 * width, eps=eps)
        self.fc = nn.Linear(3 * width, 1)
        for linear in (self.score, self.fc):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def vectors(self) -> tuple[torch.Tensor, ...]:
        """As `attention_head_oracle` and the kernels take them after the tokens; the scores' bias is not among them."""
        return self.score.weight[0], self.norm.weight, self.norm.bias, self.fc.weight[0], self.fc.bias

    def scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens [N, T, D] -> raw scores of the patches [N, P], row by row of the picture, float32.

        For training that is told which patches show works. The bias b has a part in it alone: the softmax cancels it.
        """
        with torch.autocast(tokens.device.type, enabled=False):
            scores: torch.Tensor = self.score(widened(tokens[:, self.prefix :]))
        return scores[..., 0]

    def forward(
        self, tokens: torch.Tensor, *, scale: float = 1.0, shift: float = 0.0, fused: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [N, T, D] -> logits [N] and raw pooled embeddings [N, 3D], float32, under autocast too.

        `fused` takes the Triton kernel for tokens on CUDA; it has no backward.
        """
        head: Head = _triton_head() if fused and tokens.is_cuda else attention_head_oracle
        with torch.autocast(tokens.device.type, enabled=False):  # a softmax of scores in bfloat16 is another one
            return head(tokens, *self.vectors(), prefix=self.prefix, eps=self.norm.eps, scale=scale, shift=shift)


def embedding_dim(width: int) -> int:
    """Three times the backbone's width."""
    return 3 * width


def build(config: HeadConfig, width: int, prefix: int) -> AttentionHead:
    """The head of that description; raises CheckpointError for one of several classes."""
    check(config.classes == 1, f"a head of kind {config.kind} has one class")
    return AttentionHead(width, prefix, config.eps)


def _triton_head() -> Head:
    """Import the kernel only where it runs: Triton exists on Linux alone."""
    from streetvision_kernels.head_attention import fused_attention_head

    return fused_attention_head  # type: ignore[no-any-return]  # the kernels' import name carries no types
