"""The validators' augmentations on batches of tensors, and what a crop leaves in view. Recipes come from `augment`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from streetvision.scenes import augment
from streetvision.scenes.augment import Recipes


def warp(images: torch.Tensor, matrices: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 [N, H, W, 3] through matrices [N, 2, 3] (see Recipes.matrices) -> float32 [N, 3, size, size] in [0, 255].

    One bilinear lookup does rotation, crop, scaling and flips; outside the picture it is black.
    """
    turn, shift = matrices[:, :, :2], matrices[:, :, 2:]
    theta = torch.cat([turn, turn.sum(dim=2, keepdim=True) + 2.0 * shift - 1.0], dim=2)
    grid = F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    planes = images.permute(0, 3, 1, 2).to(grid.dtype)
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def distort(pixels: torch.Tensor, recipes: Recipes, generator: torch.Generator) -> torch.Tensor:
    """Apply the recipes' distortions to float pixels [N, 3, H, W] in [0, 255], in the validators' order."""
    for name in augment.ORDER:
        severity = recipes.severity[name]
        for level in np.unique(severity[severity > 0]):
            rows = _rows(severity == level, pixels.device)
            pixels[rows] = _apply(pixels[rows], name, int(level) - 1, generator).clamp_(0.0, 255.0)
    return pixels


def _rows(chosen: NDArray[np.bool_], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.flatnonzero(chosen)).to(device, non_blocking=True)


def _apply(pixels: torch.Tensor, name: str, step: int, generator: torch.Generator) -> torch.Tensor:
    if name == "saturation":
        return saturate(pixels, torch.full((1,), augment.SATURATION[step], device=pixels.device))
    if name == "contrast":
        return pixels * augment.CONTRAST[step]
    if name == "blocks":
        return _blocks(pixels, augment.BLOCKS[step], generator)
    if name == "resample":
        return _resample(pixels, augment.RESAMPLE[step])
    if name == "noise":
        return pixels + _noise(pixels, augment.NOISE[step], generator)
    return _blur(pixels, augment.BLUR[step])


def saturate(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Scale the chroma of [N, 3, H, W] by factor [N] or [1]."""
    weights = pixels.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    luma = (pixels * weights).sum(dim=1, keepdim=True)
    return luma + (pixels - luma) * factor.view(-1, 1, 1, 1)


def _blocks(pixels: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    height, width = pixels.shape[2:]
    total = max(1, min(height, width) // 256) * count
    corners = torch.rand(2, len(pixels), total, generator=generator, device=pixels.device)
    covered = pixels.new_zeros(len(pixels), 1, height, width)
    top, left = (corners[0] * (height - 8)).long(), (corners[1] * (width - 8)).long()
    covered.view(len(pixels), -1).scatter_(1, top * width + left, 1.0)
    spread = F.max_pool2d(F.pad(covered, (7, 0, 7, 0)), kernel_size=8, stride=1)
    return torch.where(spread > 0, 128.0, pixels)


def _resample(pixels: torch.Tensor, factor: int) -> torch.Tensor:
    height, width = pixels.shape[2:]
    small = F.interpolate(pixels, size=(height // factor, width // factor), mode="bilinear", align_corners=False)
    return F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)


def _noise(pixels: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(pixels.shape, generator=generator, device=pixels.device, dtype=pixels.dtype)
    mixing = torch.tensor(augment.TO_RGB) * (torch.tensor(augment.NOISE_GAINS) * variance**0.5)
    return torch.einsum("oc,nchw->nohw", mixing.to(pixels), noise)


@lru_cache(maxsize=8)
def _kernel(side: int) -> torch.Tensor:
    return torch.from_numpy(augment.gaussian(side))


def _blur(pixels: torch.Tensor, side: int) -> torch.Tensor:
    weights, half = _kernel(side).to(pixels), side // 2
    padded = F.pad(pixels, (half, half, half, half), mode="reflect")
    across = F.conv2d(padded, weights.view(1, 1, 1, side).expand(3, 1, 1, side), groups=3)
    return F.conv2d(across, weights.view(1, 1, side, 1).expand(3, 1, side, 1), groups=3)


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
