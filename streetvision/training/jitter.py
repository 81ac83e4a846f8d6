"""Differences between cameras and their moods: exposure, white balance, saturation, sharpness, grain."""

from __future__ import annotations

import torch

from streetvision.training import augment_torch


def jitter(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Vary exposure, white balance, saturation, sharpness and grain of [N, 3, H, W] in [0, 255]."""
    count = len(pixels)

    def draw(shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=pixels.device)

    gain = draw((count, 1, 1, 1), 0.7, 1.3) * draw((count, 3, 1, 1), 0.9, 1.1)
    pixels = augment_torch.saturate(pixels * gain + draw((count, 1, 1, 1), -18.0, 18.0), draw((count,), 0.5, 1.4))
    half = count // 2
    soft = torch.nn.functional.avg_pool2d(pixels[:half], 3, stride=1, padding=1, count_include_pad=False)
    pixels[:half] += draw((half, 1, 1, 1), -0.7, 1.0) * (soft - pixels[:half])
    grain = torch.randn(pixels[half:].shape, generator=generator, device=pixels.device)
    pixels[half:] += grain * draw((count - half, 1, 1, 1), 0.0, 12.0)
    return pixels.clamp_(0.0, 255.0)
