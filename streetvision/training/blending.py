"""Two pictures in one, for distillation: what a teacher says of them needs no label, and few photographs become many.

See Beyer et al., 2022, "Knowledge distillation: A good teacher is patient and consistent": pictures mixed in any
proportion, far from any real one, still tell a network how its teacher sees.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from streetvision.training.batch import Batch
from streetvision.training.textured_streets import uniform


def blended(batch: Batch, count: int, generator: torch.Generator) -> Batch:
    """Every other one of the first `2 * count` pictures with another one of the batch laid over it.

    Half of them show it through everywhere, half in a rectangle of whole patches. They lose their label.
    """
    if batch.patches is None:
        raise ValueError("blending needs patch targets")
    device, size = batch.pixels.device, batch.pixels.shape[-1]
    rows = torch.arange(0, min(2 * count, len(batch.targets)), 2, device=device)
    partners = torch.randint(len(batch.targets), (len(rows),), generator=generator, device=device)
    grid = math.isqrt(batch.patches.shape[1])
    shown = _shown(len(rows), grid, generator)
    over = shown.repeat_interleave(size // grid, 2).repeat_interleave(size // grid, 3)
    pixels, patches, weights = batch.pixels.clone(), batch.patches.clone(), batch.weights.clone()
    pixels[rows] = pixels[rows].lerp(batch.pixels[partners], over)
    patches[rows] = patches[rows].lerp(batch.patches[partners], shown.flatten(1))
    return replace(batch, pixels=pixels, patches=patches, weights=weights.index_fill_(0, rows, 0.0))


def _shown(count: int, grid: int, generator: torch.Generator) -> torch.Tensor:
    """How much of the other picture every patch shows [count, 1, grid, grid]: a constant, or 0 and 1."""
    constant = uniform((count, 1, 1, 1), 0.0, 1.0, generator).expand(-1, -1, grid, grid)
    corners = torch.rand((count, 2, 2), generator=generator, device=generator.device).sort(dim=2).values * grid
    at = torch.arange(grid, device=generator.device) + 0.5
    inside = (at >= corners[..., :1]) & (at < corners[..., 1:])
    rectangle = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None].float()
    whole = torch.arange(count, device=generator.device) % 2 == 0
    return torch.where(whole.view(-1, 1, 1, 1), constant, rectangle)
