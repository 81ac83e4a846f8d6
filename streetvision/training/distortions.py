"""The validators' distortions for batches, each picture at a severity of its own: no loop over pictures, no wait.

Down-and-up sampling and blur are linear along each axis, so a severity is one matrix and a whole batch is two batched
products. The numbers and the order are those of `scenes.augment`; its one-picture version is the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F

from streetvision.scenes import augment
from streetvision.scenes.augment import ORDER

LUMA = (0.299, 0.587, 0.114)


def distort(
    pixels: torch.Tensor, severity: torch.Tensor, generator: torch.Generator, names: Sequence[str] = ORDER
) -> torch.Tensor:
    """Distort float pixels [N, 3, H, W] in [0, 255] in the validators' order.

    Severities are int64 [N, 6] in 0 (left out) to 5, a column for each name of ORDER; `names` are those that may occur.
    """
    for column, name in enumerate(ORDER):
        if name in names:
            pixels = apply(pixels, name, severity[:, column], generator).clamp_(0.0, 255.0)
    return pixels


def distorted(images: torch.Tensor, name: str, severity: int, generator: torch.Generator) -> torch.Tensor:
    """uint8 [N, H, W, 3] with one distortion at severity 1 to 5, as uint8 again: for tables of robustness."""
    severities = torch.full((len(images),), severity, dtype=torch.int64, device=images.device)
    pixels = apply(images.permute(0, 3, 1, 2).float(), name, severities, generator)
    return pixels.clamp_(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def apply(pixels: torch.Tensor, name: str, severity: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One distortion of ORDER at int64 severities [N], unclamped; raises KeyError for an unknown name."""
    if name == "saturation":
        return saturate(pixels, _table(augment.SATURATION, 1.0, pixels.device)[severity])
    if name == "contrast":
        return pixels * _table(augment.CONTRAST, 1.0, pixels.device)[severity].view(-1, 1, 1, 1)
    if name == "blocks":
        return _blocks(pixels, _table(augment.BLOCKS, 0.0, pixels.device)[severity], generator)
    if name == "resample":
        return _along_axes(pixels, severity, "resample")
    if name == "noise":
        return pixels + _noise(pixels, _table(augment.NOISE, 0.0, pixels.device)[severity], generator)
    if name == "blur":
        return _along_axes(pixels, severity, "blur")
    raise KeyError(f"unknown distortion {name!r}; known: {', '.join(ORDER)}")


def saturate(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Scale the chroma of [N, 3, H, W] by factor [N] or [1]."""
    red, green, blue = (weight * pixels[:, place : place + 1] for place, weight in enumerate(LUMA))
    return torch.lerp(red + green + blue, pixels, factor.view(-1, 1, 1, 1))


@lru_cache(maxsize=64)
def _table(values: tuple[float, ...], without: float, device: torch.device) -> torch.Tensor:
    """A parameter by severity, on the device once and for all: a copy for each batch would wait for the device."""
    return torch.tensor((without, *values), device=device)


def _blocks(pixels: torch.Tensor, count: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Grey squares of 8 pixels; corners beyond a picture's count fall into a cell outside of it."""
    height, width = pixels.shape[2:]
    helpings = max(1, min(height, width) // 256)
    most = helpings * max(augment.BLOCKS)
    top, left = (
        (torch.rand(len(pixels), most, generator=generator, device=pixels.device) * (side - 8)).long()
        for side in (height, width)
    )
    used = torch.arange(most, device=pixels.device) < helpings * count[:, None]
    corners = torch.where(used, top * width + left, height * width)
    covered = pixels.new_zeros(len(pixels), height * width + 1).scatter_(1, corners, 1.0)
    marked = covered[:, :-1].view(len(pixels), 1, height, width)
    spread = F.max_pool2d(F.pad(marked, (7, 0, 7, 0)), kernel_size=8, stride=1)
    return torch.where(spread > 0, 128.0, pixels)


def _noise(pixels: torch.Tensor, variance: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gaussian in studio-range YCbCr, as RGB."""
    noise = torch.randn(pixels.shape, generator=generator, device=pixels.device, dtype=pixels.dtype)
    mixing = _mixing(pixels.device) * variance.sqrt().view(-1, 1, 1)
    return torch.bmm(mixing, noise.flatten(2)).view_as(pixels)


@lru_cache(maxsize=8)
def _mixing(device: torch.device) -> torch.Tensor:
    return torch.tensor(augment.TO_RGB, device=device) * torch.tensor(augment.NOISE_GAINS, device=device)


def _along_axes(pixels: torch.Tensor, severity: torch.Tensor, name: str) -> torch.Tensor:
    """Apply each picture's matrix to its rows and its columns, with all channels of a row side by side."""
    count, channels, height, width = pixels.shape
    rows = pixels.transpose(1, 2).reshape(count, height * channels, width)
    across = torch.bmm(rows, _matrices(name, width, pixels.device)[severity].transpose(1, 2))
    down = torch.bmm(_matrices(name, height, pixels.device)[severity], across.view(count, height, channels * width))
    return down.view(count, height, channels, width).transpose(1, 2).contiguous()


@lru_cache(maxsize=16)
def _matrices(name: str, side: int, device: torch.device) -> torch.Tensor:
    """[6, side, side] by severity: what each output pixel takes of each input pixel along an axis."""
    unit = torch.eye(side)
    if name == "resample":
        made = [_resampled(unit, factor) for factor in augment.RESAMPLE]
    else:
        made = [_blurred(unit, kernel) for kernel in augment.BLUR]
    return torch.stack([unit, *made]).to(device)


def _resampled(unit: torch.Tensor, factor: int) -> torch.Tensor:
    side = len(unit)
    small = F.interpolate(unit[None], size=max(1, side // factor), mode="linear", align_corners=False)
    return F.interpolate(small, size=side, mode="linear", align_corners=False)[0].T


def _blurred(unit: torch.Tensor, kernel: int) -> torch.Tensor:
    half = kernel // 2
    padded = F.pad(unit[:, None], (half, half), mode="reflect")
    return F.conv1d(padded, torch.from_numpy(augment.gaussian(kernel)).view(1, 1, -1))[:, 0].T
