"""The geometry of augmentations on batches of tensors, and what a crop leaves in view; `views` draws it."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def warp(images: torch.Tensor, matrices: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 [N, H, W, 3] through matrices [N, 2, 3] (see `views`) -> float32 [N, 3, size, size] in [0, 255].

    One bilinear lookup does rotation, crop, scaling and flips; outside the picture it is black.
    """
    turn, shift = matrices[:, :, :2], matrices[:, :, 2:]
    theta = torch.cat([turn, turn.sum(dim=2, keepdim=True) + 2.0 * shift - 1.0], dim=2)
    grid = F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    planes = images.permute(0, 3, 1, 2).to(grid.dtype)
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def kept_share(boxes: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Share [N, K] of each box (left, top, right, bottom in [0, 1] of the source) that the output still shows."""
    steps = (torch.arange(5, device=boxes.device, dtype=boxes.dtype) + 0.5) / 5
    x = boxes[..., 0:1] + (boxes[..., 2:3] - boxes[..., 0:1]) * steps
    y = boxes[..., 1:2] + (boxes[..., 3:4] - boxes[..., 1:2]) * steps
    points = torch.stack([x[..., None, :].expand(*x.shape, 5), y[..., :, None].expand(*y.shape, 5)], dim=-1).flatten(
        2, 3
    )
    landed = torch.einsum("nij,nkpj->nkpi", _inverse(matrices), points - matrices[:, None, None, :, 2])
    return ((landed >= 0) & (landed <= 1)).all(dim=-1).to(boxes.dtype).mean(dim=-1)


def zoom(matrices: torch.Tensor) -> torch.Tensor:
    """How many times larger an area of the source appears in the output, as a share of the picture: [N]."""
    return 1.0 / _determinant(matrices).abs()


def _determinant(matrices: torch.Tensor) -> torch.Tensor:
    return matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]


def _inverse(matrices: torch.Tensor) -> torch.Tensor:
    """Of the linear part, in closed form: linalg.inv checks for singularity and so waits for the device."""
    a, b, c, d = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1]
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-c, a], dim=-1)], dim=1)
    return adjugate / _determinant(matrices)[:, None, None]


def patch_targets(boxes: torch.Tensor, shown: torch.Tensor, matrices: torch.Tensor, grid: int) -> torch.Tensor:
    """1 where the centre of a patch of the output lies in a box that is `shown` [N, K], else 0: [N, grid * grid]."""
    at = (torch.arange(grid, device=boxes.device, dtype=boxes.dtype) + 0.5) / grid
    v, u = torch.meshgrid(at, at, indexing="ij")
    ones = torch.ones_like(u)
    source = torch.einsum("nij,jp->npi", matrices, torch.stack([u, v, ones]).flatten(1))[:, :, None, :]
    boxes = boxes[:, None]
    inside = (source >= boxes[..., :2]).all(dim=-1) & (source <= boxes[..., 2:]).all(dim=-1)
    return (inside & shown[:, None]).any(dim=2).to(boxes.dtype)
