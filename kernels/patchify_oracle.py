"""What patchify must compute, in plain PyTorch, and the weight that its rows are multiplied by."""

from __future__ import annotations

import torch

PATCH = 16
CENTRE = 128


def patchify_oracle(images: torch.Tensor, *, prefix: int, columns: int) -> torch.Tensor:
    """uint8 [N, S, S, 3] -> float32 [N * T, columns]: a patch's pixels (row, column, channel) less 128, and its choice.

    Choice: columns 768 and 769 are 1 for a patch, column 770 + t for prefix token t; the rest is 0.
    """
    count, side = images.shape[:2]
    grid = side // PATCH
    patches = images.reshape(count, grid, PATCH, grid, PATCH, 3).permute(0, 1, 3, 2, 4, 5).reshape(count, grid**2, -1)
    rows = torch.zeros(count, grid**2 + prefix, columns, device=images.device)
    rows[:, prefix:, : patches.shape[-1]] = patches.float() - CENTRE
    rows[:, prefix:, patches.shape[-1] :][..., :2] = 1.0
    for token in range(prefix):
        rows[:, token, patches.shape[-1] + 2 + token] = 1.0
    return rows.flatten(0, 1)


def patch_matrix(
    weight: torch.Tensor,
    bias: torch.Tensor,
    prefix_tokens: torch.Tensor,
    mean: torch.Tensor,
    std: torch.Tensor,
    *,
    columns: int,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Matrix [D, columns] in `dtype`: patchify's rows times it are the tokens of a normalised image.

    `weight` [D, 3, 16, 16] and `bias` [D] are the patch embedding's, `prefix_tokens` [P, D] are CLS and registers,
    `mean` and `std` [3] normalise pixels of 0 to 255. The bias is worked out from the weight as rounded, in two parts.
    """
    pixels = (weight.double() / std.double()[:, None, None]).permute(0, 2, 3, 1).flatten(1).to(dtype)
    shift = (CENTRE - mean.double()).repeat(PATCH * PATCH)
    full = bias.double() + pixels.double() @ shift
    coarse = full.to(dtype)
    fine = (full - coarse.double()).to(dtype)
    parts = (pixels, coarse[:, None], fine[:, None], prefix_tokens.to(dtype).T)
    matrix = torch.cat(parts, dim=1)
    return torch.nn.functional.pad(matrix, (0, columns - matrix.shape[1])).contiguous()
