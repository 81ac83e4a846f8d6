"""Differences between cameras and their moods: exposure, white balance, saturation, sharpness, grain."""

from __future__ import annotations

import torch

from streetvision.training.distortions import saturate


def jitter(pixels: torch.Tensor, generator: torch.Generator, strength: float = 1.0) -> torch.Tensor:
    """Vary exposure, white balance, saturation, sharpness and grain of [N, 3, H, W] in [0, 255]; strength 0 is off."""
    if not strength:
        return pixels
    count = len(pixels)

    def draw(shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=pixels.device)

    def factor(shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return draw(shape, low, high).pow(strength)

    gain = factor((count, 1, 1, 1), 0.7, 1.3) * factor((count, 3, 1, 1), 0.9, 1.1)
    offset = strength * draw((count, 1, 1, 1), -18.0, 18.0)
    pixels = saturate(pixels * gain + offset, factor((count,), 0.5, 1.4))
    half = count // 2
    soft = torch.nn.functional.avg_pool2d(pixels[:half], 3, stride=1, padding=1, count_include_pad=False)
    pixels[:half] += strength * draw((half, 1, 1, 1), -0.7, 1.0) * (soft - pixels[:half])
    grain = torch.randn(pixels[half:].shape, generator=generator, device=pixels.device)
    pixels[half:] += grain * draw((count - half, 1, 1, 1), 0.0, 12.0 * strength)
    return pixels.clamp_(0.0, 255.0)
