"""How a camera and its file change a picture: JPEG blocks, lost detail, haze, on batches of tensors."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F

from streetvision.training.compiling import compiled_on_cuda
from streetvision.training.jitter import draw_mood, varied
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


class Tables(NamedTuple):
    """What JPEG computes with, on a device."""

    dct: torch.Tensor
    """The cosine transform of a block of 64 [64, 64]."""
    luma: torch.Tensor
    """[64]"""
    to_ycc: torch.Tensor
    """[3, 3], as `to_rgb`."""
    to_rgb: torch.Tensor


@lru_cache(maxsize=8)
def tables(device: torch.device) -> Tables:
    """Made once for a device: a copy for each batch would wait for it."""
    to_ycc, luma = torch.tensor(TO_YCC), torch.tensor(LUMA_TABLE, dtype=torch.float32).flatten()
    made = (torch.kron(_dct(), _dct()), luma, to_ycc, torch.linalg.inv(to_ycc))
    return Tables(*(one.to(device) for one in made))


def jpeg_like(pixels: torch.Tensor, quality: torch.Tensor, given: Tables) -> torch.Tensor:
    """[N, 3, H, W] in [0, 255] as JPEG of quality [N] would return it, chroma at full resolution; 8 divides H and W."""
    count, _, height, width = pixels.shape
    ycc = _mixed(pixels - 128.0, given.to_ycc)
    blocks = ycc.view(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, -1, 64)
    scale = torch.where(quality < 50, 50.0 / quality, 2.0 - quality / 50.0).clamp(min=0.02)
    table = (given.luma * scale.view(-1, 1)).clamp(min=1.0)
    table = torch.stack([table, table * 1.5, table * 1.5], dim=1)[:, :, None]
    coefficients = torch.round(blocks @ given.dct.T / table) * table
    ycc = (coefficients @ given.dct).view(count, 3, height // 8, width // 8, 8, 8).permute(0, 1, 2, 4, 3, 5)
    return _mixed(ycc.reshape(count, 3, height, width), given.to_rgb) + 128.0


def _mixed(pixels: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Channels of [N, 3, H, W] through a matrix [3, 3]; as sums, which a compiler fuses with what is around them."""
    first, second, third = (pixels[:, at : at + 1] * matrix[:, at].view(1, 3, 1, 1) for at in range(3))
    return first + second + third


def _dct() -> torch.Tensor:
    """The orthonormal 8-point cosine transform [8, 8]."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / 16) * 0.5
    matrix[0] /= math.sqrt(2.0)
    return matrix


def lose_detail(pixels: torch.Tensor, factor: float) -> torch.Tensor:
    """Down by a factor, averaged, and up again: a crop of a larger frame, enlarged.

    Linear along each axis, so it is two products with matrices, where torch's resizing takes many times as long.
    """
    height, width = pixels.shape[2:]
    across = pixels @ _detail(width, factor, pixels.device).T
    return _detail(height, factor, pixels.device) @ across


@lru_cache(maxsize=64)
def _detail(side: int, factor: float, device: torch.device) -> torch.Tensor:
    """[side, side]: what each pixel along an axis takes of each one after losing detail."""
    unit = torch.eye(side)[None, None]
    small = F.interpolate(unit, size=(round(side / factor), side), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(side, side), mode="bicubic")[0, 0].to(device)


class Air(NamedTuple):
    """What lies between N pictures' streets and the sensor."""

    veil: torch.Tensor
    """Colour of the haze [N, 3, 1, 1]."""
    fade: torch.Tensor
    """How thick it is [N, 1, 1, 1]."""
    gamma: torch.Tensor
    """[N, 1, 1, 1]"""


def photograph(pixels: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
    """Vary [N, 3, H, W] in [0, 255] as lenses, light, sensors and files do; groups of pictures differ."""
    count = len(pixels)
    fade, gamma = uniform((count, 1, 1, 1), -0.3, 0.3, gen), uniform((count, 1, 1, 1), -0.3, 0.3, gen).exp()
    veil = uniform((count, 1, 1, 1), 110.0, 235.0, gen) + uniform((count, 3, 1, 1), -12.0, 12.0, gen)
    pixels = through_air(pixels, Air(veil, fade.clamp(min=0.0), gamma))
    pieces = list(torch.tensor_split(pixels, min(8, count)))
    for index, factor in ((0, 1.3), (1, 1.7), (2, 2.3), (3, 3.2)):
        if index < len(pieces):
            pieces[index] = lose_detail(pieces[index], factor)
    pixels = torch.cat(pieces)
    noise = torch.randn(pixels.shape, generator=gen, device=pixels.device)
    grain = uniform((count, 1, 1, 1), -6.0, 9.0, gen).clamp(min=0.0)
    return as_file(pixels, noise, grain, uniform((count,), 25.0, 98.0, gen), tables(pixels.device))


def moody(pixels: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
    """As `jitter` at full strength, compiled on a GPU."""
    return in_mood(pixels, draw_mood(pixels, gen))


in_mood = compiled_on_cuda(varied)


@compiled_on_cuda
def through_air(pixels: torch.Tensor, air: Air) -> torch.Tensor:
    """Haze, then another curve of brightness."""
    pixels = pixels + (air.veil - pixels) * air.fade
    return 255.0 * (pixels.clamp(0.0, 255.0) / 255.0 + 1e-4) ** air.gamma


@compiled_on_cuda
def as_file(
    pixels: torch.Tensor, noise: torch.Tensor, grain: torch.Tensor, quality: torch.Tensor, given: Tables
) -> torch.Tensor:
    """The sensor's grain, standard normal noise [N, 3, H, W] times [N, 1, 1, 1], then JPEG of quality [N]."""
    return jpeg_like((pixels + noise * grain).clamp(0.0, 255.0), quality, given).clamp(0.0, 255.0)
