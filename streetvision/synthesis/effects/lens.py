"""What stands between the street and the sensor: blur of a shaking or unfocused camera, dirt and drops on the glass."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from streetvision.synthesis.effects.fields import Field, Pixels, blur, mix, ramp, smooth_noise

LONGEST_SHAKE, WIDEST_DISC = 0.022, 0.006
"""Of the picture's width: beyond these a person could no longer say what is to be seen."""


def out_of_focus(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Shaken along a line, or out of focus."""
    width = pixels.shape[1]
    if rng.random() < 0.5:
        kernel = _line(rng.uniform(0.35, 1.0) * LONGEST_SHAKE * width, float(rng.uniform(-0.5, 0.5)))
    else:
        kernel = _disc(rng.uniform(0.35, 1.0) * WIDEST_DISC * width)
    return _filtered(pixels, kernel)


def dirt(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Specks, smears of a wiper and drops on a windscreen, all far out of focus."""
    shape = pixels.shape[:2]
    smears = ramp(smooth_noise(shape, 5.0, rng, 5), 0.5, 2.2) * _arcs(shape, rng)
    veil = np.clip(0.7 * smears + 0.10, 0.0, 0.65) * float(rng.uniform(0.7, 1.15))
    tone = np.array([0.66, 0.62, 0.56], np.float32) * float(rng.uniform(0.6, 1.1))
    dusty = mix(pixels, tone, np.asarray(veil, np.float32))
    specks = _spots(shape, round(rng.uniform(40, 140)), (0.003, 0.016), rng)
    dusty = mix(dusty, dusty * 0.35, np.clip(1.4 * blur(specks, shape[1] / 300), 0.0, 1.0) * 0.8)
    wet = _drops(dusty, rng) if rng.random() < 0.6 else dusty
    return np.asarray(np.clip(wet, 0.0, 1.0), np.float32)


def _line(length: float, lean: float) -> Field:
    reach = max(1, round(length / 2))
    kernel: Field = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-reach, reach, 6 * reach + 1):
        kernel[round(reach + step * np.sin(lean)), round(reach + step * np.cos(lean))] += 1.0
    return np.asarray(kernel / kernel.sum(), np.float32)


def _disc(radius: float) -> Field:
    reach = max(1, round(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(rows, columns), 0.0, 1.0).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(pixels: Pixels, kernel: Field) -> Pixels:
    reach = kernel.shape[0] // 2
    planes = F.pad(torch.from_numpy(pixels).permute(2, 0, 1)[:, None], (reach,) * 4, mode="reflect")
    filtered = F.conv2d(planes, torch.from_numpy(kernel)[None, None])
    return np.ascontiguousarray(filtered[:, 0].permute(1, 2, 0).numpy())


def _arcs(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Where a wiper leaves dirt: rings around a point below the picture."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot(columns - rng.uniform(0.2, 0.8) * width, rows - rng.uniform(1.1, 1.5) * height)
    rings = np.sin(radius / width * rng.uniform(60, 160) + rng.uniform(0, 6)) * 0.25
    return np.asarray(0.75 + rings, np.float32)


def _spots(shape: tuple[int, int], count: int, sizes: tuple[float, float], rng: np.random.Generator) -> Field:
    """Round spots [H, W] in [0, 1]; sizes as shares of the width."""
    height, width = shape
    layer = np.zeros(shape, np.float32)
    for _ in range(count):
        radius = sizes[0] * (sizes[1] / sizes[0]) ** rng.random() * width
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        top, left = max(0, int(y - 2 * radius)), max(0, int(x - 2 * radius))
        part = layer[top : int(y + 2 * radius) + 1, left : int(x + 2 * radius) + 1]
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float32)
        away = np.hypot(columns + left - x, (rows + top - y) * rng.uniform(0.8, 1.25))
        np.maximum(part, np.clip((radius - away) / (0.35 * radius + 1.0), 0.0, 1.0), out=part)
    return layer


def _drops(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Each drop shows the whole street small and upside down, bright at its lower edge."""
    height, width = pixels.shape[:2]
    wet = pixels.copy()
    for _ in range(int(rng.integers(6, 28))):
        radius = rng.uniform(0.006, 0.02) * width
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        top, left = max(0, int(y - radius)), max(0, int(x - radius))
        part = wet[top : int(y + radius) + 1, left : int(x + radius) + 1]
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]].astype(np.float32)
        down, right = (rows + top - y) / radius, (columns + left - x) / radius
        seen_y = np.clip(y - down * 0.22 * height, 0, height - 1).astype(int)
        seen_x = np.clip(x - right * 0.22 * width, 0, width - 1).astype(int)
        rim = 0.8 + 0.35 * np.clip(down, -1.0, 1.0)
        share = np.clip((1.0 - np.hypot(down, right)) * 3.0, 0.0, 1.0) * 0.85
        part[:] = mix(part, np.asarray(pixels[seen_y, seen_x] * rim[..., None], np.float32), share.astype(np.float32))
    return wet
