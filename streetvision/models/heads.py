"""The classifiers on top of a backbone's tokens. Their parameters stay in float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from streetvision_kernels.head_oracle import head_oracle
from torch import nn

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

    def forward(
        self, tokens: torch.Tensor, *, scale: float = 1.0, shift: float = 0.0, fused: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [N, T, D] -> logits [N] and raw pooled embeddings [N, 2D], float32.

        `fused` takes the Triton kernel for tokens on CUDA; it has no backward.
        """
        head: Head = _triton_head() if fused and tokens.is_cuda else head_oracle
        return head(
            tokens,
            self.norm.weight,
            self.norm.bias,
            self.fc.weight[0],
            self.fc.bias,
            prefix=self.prefix,
            eps=self.norm.eps,
            scale=scale,
            shift=shift,
        )


class ClassHead(nn.Module):
    """CLS -> linear -> the log-odds of the positive classes under softmax; a single class is the logit itself."""

    positive: torch.Tensor
    negative: torch.Tensor

    def __init__(self, width: int, classes: int, positive: tuple[int, ...]) -> None:
        super().__init__()
        self.fc = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)
        negative = [index for index in range(classes) if index not in positive]
        # On the device beforehand: a CUDA graph cannot capture an upload.
        self.register_buffer("positive", torch.tensor(positive, dtype=torch.long), persistent=False)
        self.register_buffer("negative", torch.tensor(negative, dtype=torch.long), persistent=False)

    def forward(
        self, tokens: torch.Tensor, *, scale: float = 1.0, shift: float = 0.0, fused: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [N, T, D] -> logits [N] and CLS embeddings [N, D], float32; `fused` has no meaning here."""
        cls = tokens[:, 0] if tokens.dtype == torch.float64 else tokens[:, 0].float()
        classes = self.fc(cls)
        if self.fc.out_features == 1:
            raw = classes[:, 0]
        else:
            positive = classes.index_select(1, self.positive).logsumexp(dim=1)
            raw = positive - classes.index_select(1, self.negative).logsumexp(dim=1)
        return raw * scale - shift, cls


def build_head(config: HeadConfig, width: int, prefix: int) -> PooledHead | ClassHead:
    """The head of that description over a backbone of `width` channels and `prefix` tokens before the patches."""
    if config.kind == "cls_linear":
        return ClassHead(width, config.classes, config.positive)
    return PooledHead(width, prefix, config.eps)


def embedding_dim(config: HeadConfig, width: int) -> int:
    """Size of the embedding that the head pools from a backbone of `width` channels."""
    return width if config.kind == "cls_linear" else 2 * width


def _triton_head() -> Head:
    """Import the kernel only where it runs: Triton exists on Linux alone."""
    from streetvision_kernels.head import fused_head

    return fused_head  # type: ignore[no-any-return]  # the kernels' import name carries no types for mypy
