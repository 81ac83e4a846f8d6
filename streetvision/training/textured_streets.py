"""Streets built from photo textures: a ground plane, a wall on either side and a sky, cast ray by ray on the device.

They have the statistics of photographs and endless variety; nothing in them is roadwork.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F

from streetvision.training.photographs import Photographs

FAR = 80.0
"""Depth in metres beyond which a wall gives way to the sky."""


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Float32 uniform in [low, high) on the generator's device."""
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def textured_streets(
    photographs: Photographs,
    horizon: torch.Tensor,
    vanishing: torch.Tensor,
    size: tuple[int, int],
    gen: torch.Generator,
) -> torch.Tensor:
    """float32 [N, 3, H, W] in [0, 255] for a horizon [N] and a vanishing point [N] as shares of height and width."""
    count, (width, height) = len(horizon), size
    ground = _plane_textures(photographs.ground, count, gen)
    lane = _plane_textures(photographs.ground, count, gen)
    wall = _plane_textures(photographs.wall, count, gen)
    sky = _skies(photographs.sky, count, size, gen)
    y = (torch.arange(height, device=gen.device) + 0.5) / height - horizon[:, None]
    x = (torch.arange(width, device=gen.device) + 0.5) / width - vanishing[:, None]
    y, x = (
        value[:, view, None] if view is not None else value[:, None, :] for value, view in ((y, slice(None)), (x, None))
    )
    focal = uniform((count, 1, 1), 0.7, 2.5, gen)
    eye, half, top = (uniform((count, 1, 1), *span, gen) for span in ((1.2, 2.2), (4.0, 15.0), (2.0, 14.0)))
    to_ground = focal * eye / y.clamp(min=1e-3)
    to_wall = focal * half / x.abs().clamp(min=1e-3)
    rise = eye - to_wall * y / focal
    is_wall = (to_wall < to_ground) & (rise < top) & (to_wall < FAR)
    is_ground = (y > 0) & ~is_wall
    across = to_ground * x / focal
    road = across.abs() < half * uniform((count, 1, 1), 0.4, 0.95, gen)
    tile = uniform((count, 1, 1), 3.0, 9.0, gen)
    side = torch.where(x > 0, 0.37, 0.0)
    pixels = torch.where(is_ground[:, None], _sample(ground, across / tile, to_ground / tile), sky)
    pixels = torch.where((is_ground & road)[:, None], _sample(lane, across / tile, to_ground / (2 * tile)), pixels)
    pixels = torch.where((is_ground & _stripes(across, to_ground, half, gen))[:, None], _paint(pixels, gen), pixels)
    bricks = _sample(wall, to_wall / (1.3 * top) + side, 1.0 - rise / top) * torch.where(x > 0, 1.0, 0.8)[:, None]
    pixels = torch.where(is_wall[:, None], bricks, pixels)
    depth = torch.where(is_wall, to_wall, torch.where(is_ground, to_ground, torch.full_like(to_wall, FAR)))
    haze = 1.0 - torch.exp(-depth / uniform((count, 1, 1), 60.0, 400.0, gen))
    far = sky.mean(dim=(2, 3), keepdim=True)
    return pixels + (far - pixels) * (haze * (is_wall | is_ground))[:, None]


def _plane_textures(textures: torch.Tensor, count: int, gen: torch.Generator) -> torch.Tensor:
    chosen = torch.randint(len(textures), (count,), generator=gen, device=gen.device)
    return textures[chosen].permute(0, 3, 1, 2).float()


def _skies(skies: torch.Tensor, count: int, size: tuple[int, int], gen: torch.Generator) -> torch.Tensor:
    chosen = torch.randint(len(skies), (count,), generator=gen, device=gen.device)
    theta = torch.zeros(count, 2, 3, device=gen.device)
    theta[:, 0, 0], theta[:, 1, 1] = uniform((count,), 0.2, 1.0, gen), uniform((count,), 0.2, 1.0, gen)
    theta[:, 0, 2], theta[:, 1, 2] = uniform((count,), -0.4, 0.4, gen), uniform((count,), -0.4, 0.4, gen)
    grid = F.affine_grid(theta, [count, 3, size[1], size[0]], align_corners=False)
    pixels = skies[chosen].permute(0, 3, 1, 2).float()
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def _sample(textures: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Textures [N, 3, S, S] repeated over the plane, mirrored at their seams."""
    shape = (u + v).shape
    grid = torch.stack([_mirror(u).expand(shape), _mirror(v).expand(shape)], dim=-1)
    return F.grid_sample(textures, grid, padding_mode="border", align_corners=False)


def _mirror(at: torch.Tensor) -> torch.Tensor:
    return 2.0 * ((at % 2.0) - 1.0).abs() - 1.0


def _stripes(across: torch.Tensor, depth: torch.Tensor, half: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
    """Lane markings: a line of 10 to 20 cm at every lane, dashed or not."""
    count = len(across)
    lane, thick = uniform((count, 1, 1), 2.8, 4.5, gen), uniform((count, 1, 1), 0.05, 0.12, gen)
    line = ((across + uniform((count, 1, 1), 0.0, 4.0, gen)) / lane % 1.0 * lane - lane / 2).abs() < thick
    dashed = uniform((count, 1, 1), 0.0, 1.0, gen) < 0.6
    gap = (depth / 9.0 + uniform((count, 1, 1), 0.0, 1.0, gen)) % 1.0 > 0.4
    return line & ~(dashed & gap) & (across.abs() < half) & (uniform((count, 1, 1), 0.0, 1.0, gen) < 0.7)


def _paint(pixels: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
    """Worn white or yellow over the ground below it."""
    count = len(pixels)
    chosen = _paints(pixels.device)[torch.randint(2, (count,), generator=gen, device=gen.device)]
    return pixels + (chosen[:, :, None, None] - pixels) * uniform((count, 1, 1, 1), 0.3, 0.9, gen)


@lru_cache(maxsize=8)
def _paints(device: torch.device) -> torch.Tensor:
    return torch.tensor([[225.0, 225.0, 220.0], [215.0, 170.0, 60.0]], device=device)
