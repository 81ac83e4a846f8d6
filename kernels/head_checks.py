"""What every launcher of a head checks before its kernel reads memory."""

from __future__ import annotations

import torch


def check_tokens(tokens: torch.Tensor) -> None:
    """Raise ValueError unless these are tokens [N, T, D] as the kernels without a norm read them."""
    if tokens.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise ValueError(f"tokens must be float16, bfloat16 or float32, not {tokens.dtype}")
    if tokens.ndim != 3 or tokens.shape[0] < 1 or tokens.stride(2) != 1:
        raise ValueError(f"tokens must be [N, T, D] with N >= 1 and contiguous channels, not {tuple(tokens.shape)}")


def check_rows(tokens: torch.Tensor, arrived: torch.Tensor, images: int) -> None:
    """Raise ValueError unless tokens [N * T, D] and counters [>= N] are those of N `images`."""
    if tokens.shape[0] % images or not tokens.is_contiguous() or len(arrived) < images:
        raise ValueError(f"tokens {tuple(tokens.shape)} or counters [{len(arrived)}] do not fit {images} images")


def check_head(tokens: int, prefix: int, embedding: int, vectors: tuple[torch.Tensor, ...], bias: torch.Tensor) -> None:
    """Raise ValueError unless `prefix` leaves one of an image's tokens, and norm and linear layer fit an embedding."""
    if not 1 <= prefix < tokens:
        raise ValueError(f"prefix must leave a CLS and a patch token of {tokens}, not {prefix}")
    if any(v.shape != (embedding,) or not v.is_contiguous() for v in vectors) or bias.shape != (1,):
        raise ValueError(f"norm_weight, norm_bias and weight must be contiguous [{embedding}], bias must be [1]")
