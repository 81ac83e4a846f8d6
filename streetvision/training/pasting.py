"""Sprites laid over pictures on the device, each in the light, haze and shadow of its place.

Chance is drawn for all slots first, so that what is done for one sprite has none in it and can be compiled: eight
sprites a picture in dozens of operations each would pass over memory hundreds of times.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from streetvision.training.compiling import compiled_on_cuda
from streetvision.training.layouts import Layout
from streetvision.training.sprite_bank import LEVELS, SpriteBank, level_origin
from streetvision.training.textured_streets import uniform


class Laid(NamedTuple):
    """N pictures [N, C, H, W] while sprites are laid into them, the nearest first."""

    colour: torch.Tensor
    """What sprites show."""
    free: torch.Tensor
    """Share of each pixel that no sprite covers yet."""
    light: torch.Tensor
    """Share of the light that shadows leave."""


class Piece(NamedTuple):
    """One sprite for each of N pictures; numbers are [N, 1, 1] unless said otherwise."""

    texels: torch.Tensor
    """uint8 [N, 5, h, w], as in `SpriteBank`."""
    present: torch.Tensor
    """1 where there is one, else 0."""
    x: torch.Tensor
    y: torch.Tensor
    side: torch.Tensor
    lean: torch.Tensor
    flip: torch.Tensor
    ground: torch.Tensor
    left: torch.Tensor
    """First column and row of the copy to read, and its side, in texels."""
    top: torch.Tensor
    scale: torch.Tensor
    gain: torch.Tensor
    """Light of the place [N, 3, 1, 1]."""
    haze: torch.Tensor
    far: torch.Tensor
    """Colour of the haze [N, 3, 1, 1]."""
    saturation: torch.Tensor
    contrast: torch.Tensor
    shadow: torch.Tensor
    """How dark it is."""
    cut: torch.Tensor
    """Angle of an edge beyond which something hides the sprite."""
    kept: torch.Tensor
    """How far from the foot that edge lies, in sides."""


def paste(
    bank: SpriteBank, layout: Layout, canvas: torch.Tensor, horizon: torch.Tensor, gen: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay sprites over the canvas [N, 3, H, W], nearest first; returns it and the pixels seen of each [N, SLOTS]."""
    # Two tensors of ones: one in two places would be compiled by itself.
    free, light = torch.ones_like(canvas[:, :1]), torch.ones_like(canvas[:, :1])
    laid, seen = Laid(torch.zeros_like(canvas), free, light), []
    for piece in pieces_of(bank, layout, canvas, horizon, gen):
        laid, shown = lay(*laid, piece)
        seen.append(shown)
    return laid.colour + laid.free * canvas * laid.light, torch.stack(seen, dim=1)


@compiled_on_cuda
def lay(colour: torch.Tensor, free: torch.Tensor, light: torch.Tensor, piece: Piece) -> tuple[Laid, torch.Tensor]:
    """Lay one sprite into each picture behind those before; also returns the pixels seen of it [N]."""
    right, down = _place(piece, (colour.shape[3], colour.shape[2]))
    texels = _sampled(piece, right, down)
    alpha = (texels[:, 3] * piece.present * _uncut(piece, right, down))[:, None]
    rgb = 255.0 * texels[:, :3] / texels[:, 3:4].clamp(min=1e-3)
    rgb = _graded(rgb, piece).clamp(max=255.0)
    rgb = rgb + (piece.far - rgb) * piece.haze[:, None]
    share = free * alpha
    dark = (texels[:, 4] * piece.present * piece.shadow)[:, None]
    return Laid(colour + share * rgb, free * (1.0 - alpha), light * (1.0 - dark)), share.sum(dim=(1, 2, 3))


def pieces_of(
    bank: SpriteBank, layout: Layout, canvas: torch.Tensor, horizon: torch.Tensor, gen: torch.Generator
) -> list[Piece]:
    """One for each slot of the layout, with its chance."""
    shape, height = layout.x.shape, canvas.shape[2]
    count, sprite = shape[0], layout.sprite
    local = F.adaptive_avg_pool2d(canvas, (6, 8))
    overall = canvas.mean(dim=(1, 2, 3)).view(-1, 1)
    follow, air = uniform((count, 1), 0.35, 1.0, gen), uniform((count, 1), 0.0, 0.022, gen) * height
    cast = (canvas.mean(dim=(2, 3)) / overall) ** uniform((count, 1), 0.0, 0.9, gen)
    brightness = _neighbourhood(local, layout, (canvas.shape[3], height))
    gain = (brightness.clamp(min=8.0) / 115.0) ** follow * uniform(shape, 0.75, 1.3, gen)
    gain = gain.clamp(0.12, 1.7)[..., None] * cast[:, None]
    far = local[torch.arange(count, device=canvas.device), :, (horizon * 6).long().clamp(0, 5)].mean(dim=2)
    level = torch.log2(bank.side / layout.side).round().clamp(0, LEVELS - 1).long()
    left, top = (value.to(torch.float32) for value in level_origin(level, bank.side))
    cut, offset = uniform(shape, 0.0, 6.2832, gen), uniform(shape, -0.15, 0.5, gen)
    numbers = {
        **{"present": layout.present.float(), "x": layout.x, "y": layout.y, "side": layout.side},
        **{"lean": layout.lean, "flip": layout.flip, "ground": bank.ground[sprite]},
        **{"left": left, "top": top, "scale": bank.side * 0.5 ** level.float()},
        "haze": 1.0 - torch.exp(-air / (layout.side * bank.tall[sprite])),
        **{"saturation": uniform(shape, 0.55, 1.15, gen), "contrast": uniform(shape, 0.7, 1.15, gen)},
        **{"shadow": uniform(shape, 0.3, 1.0, gen), "cut": cut},
        "kept": offset + 9.0 * (uniform(shape, 0.0, 1.0, gen) > 0.1),
    }
    return [
        Piece(
            texels=bank.texels[sprite[:, slot]],
            gain=gain[:, slot, :, None, None],
            far=far[:, :, None, None],
            **{name: value[:, slot, None, None] for name, value in numbers.items()},
        )
        for slot in range(shape[1])
    ]


def _graded(rgb: torch.Tensor, piece: Piece) -> torch.Tensor:
    """Light of the place, and a sprite's own saturation and contrast."""
    grey = rgb.mean(dim=1, keepdim=True)
    rgb = grey + (rgb - grey) * piece.saturation[:, None]
    rgb = 110.0 + (rgb - 110.0) * piece.contrast[:, None]
    return rgb.clamp(min=0.0) * piece.gain


def _neighbourhood(local: torch.Tensor, layout: Layout, size: tuple[int, int]) -> torch.Tensor:
    """Brightness [N, SLOTS] of the canvas around each sprite's foot, from its reduction `local` [N, 3, 6, 8]."""
    rows = (layout.y / size[1] * local.shape[2]).long().clamp(0, local.shape[2] - 1)
    columns = (layout.x / size[0] * local.shape[3]).long().clamp(0, local.shape[3] - 1)
    return local.mean(dim=1)[torch.arange(len(local), device=local.device)[:, None], rows, columns]


def _place(piece: Piece, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel of the picture lies from a sprite's foot, in its sides, right and down: two of [N, H, W]."""
    x = torch.arange(size[0], device=piece.x.device) + 0.5
    y = torch.arange(size[1], device=piece.x.device) + 0.5
    right, down = (x - piece.x) / piece.side, (y[:, None] - piece.y) / piece.side
    sine, cosine = piece.lean.sin(), piece.lean.cos()
    return (cosine * right + sine * down) * piece.flip, cosine * down - sine * right


def _sampled(piece: Piece, right: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """The sprite's texels [N, 5, H, W] in [0, 1] as the picture sees them."""
    u, v = right + 0.5, down + piece.ground
    outside = (u < 0) | (u > 1) | (v < 0) | (v > 1)
    column = (piece.left + u * piece.scale) / piece.texels.shape[3] * 2 - 1
    line = (piece.top + v * piece.scale) / piece.texels.shape[2] * 2 - 1
    grid = torch.stack([column, line], dim=-1).masked_fill(outside[..., None], -4.0)
    return F.grid_sample(piece.texels.float() / 255.0, grid, padding_mode="zeros", align_corners=False)


def _uncut(piece: Piece, right: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """1 where a sprite is whole; in one of ten a slanting edge hides a part of it: [N, H, W]."""
    edge = piece.cut.cos() * right + piece.cut.sin() * (down + 0.4)
    return ((piece.kept - edge) * piece.side).clamp(0.0, 1.0)
