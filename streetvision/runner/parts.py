"""What a forward of ours multiplies by, under names of its own: a backbone taken apart, nothing rounded yet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

HEAD_DIM = 64
"""Channels of an attention head: the only number that the forwards of ours compute."""

CENTRE = 128
"""Taken from every pixel, so that bfloat16 holds it exactly."""

Linear = tuple[torch.Tensor, torch.Tensor | None]
"""Weight [N, K] and bias [N]."""


@dataclass(frozen=True)
class BlockParts:
    """A transformer block: LayerNorm before each half, and perhaps a layer scale [D] after it."""

    norm1: nn.LayerNorm
    qkv: Linear
    """Queries, keys, values: [3 D, D]."""
    proj: Linear
    gamma1: torch.Tensor | None
    norm2: nn.LayerNorm
    mlp: nn.Module
    """As `mlp_weights` reads it."""
    gamma2: torch.Tensor | None


@dataclass(frozen=True)
class PoolParts:
    """Attention pooling by one learned query, with all folded that does not depend on the picture.

    The query is a constant, so a token's score is its product with one vector a head, and what is common to all tokens
    cancels in the softmax. Shares add up to one, so values can be taken of the pooled token instead of every token.
    """

    queries: torch.Tensor
    """float64 [H, D]: normalised token . query is its score, before the softmax over tokens."""
    values: torch.Tensor
    """float64 [D, D]: rows of a head, 64 each, applied to the tokens that this head has pooled."""
    proj: Linear
    """With the values' bias in its own."""
    norm: nn.LayerNorm
    mlp: nn.Module
    """Added onto what `proj` answers."""


@dataclass(frozen=True)
class NetworkParts:
    """A backbone of T tokens and D channels."""

    width: int
    tokens: int
    patches: tuple[torch.Tensor, torch.Tensor]
    """Weight [D, 3, 16, 16] and bias [D]."""
    prefix: torch.Tensor
    """CLS and registers [P, D]; P may be 0."""
    positions: torch.Tensor | None
    """Added to the embedded tokens [T, D]."""
    rotation: tuple[torch.Tensor, torch.Tensor] | None
    """Sine and cosine [T, 32] of rotary positions: channel i turns with channel i + 32; prefix tokens are still."""
    blocks: tuple[BlockParts, ...]
    norm: nn.LayerNorm
    pool: PoolParts | None
    """Of the tokens after the last norm; its answer is what the head takes for CLS."""


def folded(
    weight: torch.Tensor, bias: torch.Tensor | None, gamma: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight [N, K] and bias [N] in float64, with the layer scale `gamma` [N] in them."""
    matrix = weight.detach().double()
    offset = None if bias is None else bias.detach().double()
    if gamma is None:
        return matrix, offset
    factor = gamma.detach().double()
    return matrix * factor[:, None], None if offset is None else offset * factor


def folded_patches(
    patches: tuple[torch.Tensor, torch.Tensor], mean: torch.Tensor, std: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [D, 768] and bias [D] in float64 over a patch's pixels (row, column, channel) less CENTRE.

    `mean` and `std` [3], of pixels of 0 to 255, are folded in.
    """
    kernel, offset = patches
    pixels = (kernel.double() / std.double()[:, None, None]).permute(0, 2, 3, 1).flatten(1)
    shift = (CENTRE - mean.double()).repeat(pixels.shape[1] // len(mean))
    return pixels, offset.double() + pixels @ shift
