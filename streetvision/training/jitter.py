"""Differences between cameras and their moods: exposure, white balance, saturation, sharpness, grain."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from streetvision.training.distortions import saturate


class Mood(NamedTuple):
    """How N pictures of one shape vary; the first half in sharpness, the others in grain."""

    gain: torch.Tensor
    """[N, 3, 1, 1]"""
    offset: torch.Tensor
    """[N, 1, 1, 1]"""
    saturation: torch.Tensor
    """[N]"""
    softness: torch.Tensor
    """[N // 2, 1, 1, 1]; below 0 it sharpens."""
    noise: torch.Tensor
    """Standard normal, [N - N // 2, 3, H, W]."""
    grain: torch.Tensor
    """How strong the noise is, [N - N // 2, 1, 1, 1]."""


def jitter(pixels: torch.Tensor, generator: torch.Generator, strength: float = 1.0) -> torch.Tensor:
    """Vary exposure, white balance, saturation, sharpness and grain of [N, 3, H, W] in [0, 255]; strength 0 is off."""
    return varied(pixels, draw_mood(pixels, generator, strength)) if strength else pixels


def draw_mood(pixels: torch.Tensor, generator: torch.Generator, strength: float = 1.0) -> Mood:
    """One for pictures of that shape."""
    count, half = len(pixels), len(pixels) // 2

    def draw(shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=pixels.device)

    def factor(shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return draw(shape, low, high).pow(strength)

    gain = factor((count, 1, 1, 1), 0.7, 1.3) * factor((count, 3, 1, 1), 0.9, 1.1)
    offset = strength * draw((count, 1, 1, 1), -18.0, 18.0)
    saturation = factor((count,), 0.5, 1.4)
    softness = strength * draw((half, 1, 1, 1), -0.7, 1.0)
    noise = torch.randn(pixels[half:].shape, generator=generator, device=pixels.device)
    return Mood(gain, offset, saturation, softness, noise, draw((count - half, 1, 1, 1), 0.0, 12.0 * strength))


def varied(pixels: torch.Tensor, mood: Mood) -> torch.Tensor:
    """Pictures [N, 3, H, W] in that mood."""
    pixels = saturate(pixels * mood.gain + mood.offset, mood.saturation)
    half = len(mood.softness)
    first, second = pixels[:half], pixels[half:]
    soft = F.avg_pool2d(first, 3, stride=1, padding=1, count_include_pad=False)
    first = first + mood.softness * (soft - first)
    return torch.cat([first, second + mood.noise * mood.grain]).clamp_(0.0, 255.0)
