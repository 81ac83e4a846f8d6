"""How a camera and its file change a picture: JPEG blocks, lost detail, haze, on batches of tensors."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from streetvision.training.textured_streets import uniform

LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation of luma at quality 50, from annex K of the JPEG standard (ITU-T T.81)."""
TO_YCC = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))


def jpeg_like(pixels: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """[N, 3, H, W] in [0, 255] as JPEG of quality [N] would return it, chroma at full resolution; 8 divides H and W."""
    count, _, height, width = pixels.shape
    to_ycc = pixels.new_tensor(TO_YCC)
    ycc = torch.einsum("oc,nchw->nohw", to_ycc, pixels - 128.0)
    blocks = ycc.view(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, -1, 64)
    dct = torch.kron(_dct(), _dct()).to(pixels)
    scale = torch.where(quality < 50, 50.0 / quality, 2.0 - quality / 50.0).clamp(min=0.02)
    table = (pixels.new_tensor(LUMA_TABLE).flatten() * scale.view(-1, 1)).clamp(min=1.0)
    table = torch.stack([table, table * 1.5, table * 1.5], dim=1)[:, :, None]
    coefficients = torch.round(blocks @ dct.T / table) * table
    ycc = (coefficients @ dct).view(count, 3, height // 8, width // 8, 8, 8).permute(0, 1, 2, 4, 3, 5)
    to_rgb = torch.linalg.inv(torch.tensor(TO_YCC)).to(pixels)
    return torch.einsum("oc,nchw->nohw", to_rgb, ycc.reshape(count, 3, height, width)) + 128.0


def _dct() -> torch.Tensor:
    """The orthonormal 8-point cosine transform [8, 8]."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / 16) * 0.5
    matrix[0] /= math.sqrt(2.0)
    return matrix


def lose_detail(pixels: torch.Tensor, factor: float) -> torch.Tensor:
    """Down by a factor, averaged, and up again: a crop of a larger frame, enlarged."""
    height, width = pixels.shape[2:]
    small = F.interpolate(pixels, size=(round(height / factor), round(width / factor)), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(height, width), mode="bicubic")


def photograph(pixels: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
    """Vary [N, 3, H, W] in [0, 255] as lenses, light, sensors and files do; groups of pictures differ."""
    count = len(pixels)
    fade, gamma = uniform((count, 1, 1, 1), -0.3, 0.3, gen), uniform((count, 1, 1, 1), -0.3, 0.3, gen).exp()
    veil = uniform((count, 1, 1, 1), 110.0, 235.0, gen) + uniform((count, 3, 1, 1), -12.0, 12.0, gen)
    pixels = pixels + (veil - pixels) * fade.clamp(min=0.0)
    pixels = 255.0 * (pixels.clamp(0.0, 255.0) / 255.0 + 1e-4) ** gamma
    pieces = list(torch.tensor_split(pixels, min(8, count)))
    for index, factor in ((0, 1.3), (1, 1.7), (2, 2.3), (3, 3.2)):
        if index < len(pieces):
            pieces[index] = lose_detail(pieces[index], factor)
    pixels = torch.cat(pieces)
    grain = torch.randn(pixels.shape, generator=gen, device=pixels.device)
    pixels = pixels + grain * uniform((count, 1, 1, 1), -6.0, 9.0, gen).clamp(min=0.0)
    quality = uniform((count,), 25.0, 98.0, gen)
    return jpeg_like(pixels.clamp(0.0, 255.0), quality).clamp(0.0, 255.0)
