"""Pictures of streets with and without works: sprites laid into photographs on the device, thousands a second.

Works and look-alikes go through the same steps over the same backgrounds, so that nothing but the works themselves
tells the classes apart. A picture keeps what it shows as a table like that of drawn scenes (see `rendering`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F

from streetvision.training.camera_look import lose_detail
from streetvision.training.layouts import Layout
from streetvision.training.photographs import KINDS, Photographs
from streetvision.training.rendering import MAX_OBJECTS, OBJECT_FIELDS
from streetvision.training.sprite_bank import LEVELS, SpriteBank, level_origin
from streetvision.training.textured_streets import textured_streets, uniform

CLEAR = 2.5
"""How much smaller than a drawn object a sprite may be and count as seen; of several, each may be smaller still."""


@dataclass(frozen=True)
class Composites:
    """Pictures uint8 [N, H, W, 3], whether works were laid in [N], and the objects [N, MAX_OBJECTS, OBJECT_FIELDS]."""

    images: torch.Tensor
    labels: torch.Tensor
    objects: torch.Tensor


Arrange = Callable[[SpriteBank, torch.Tensor, torch.Tensor, tuple[int, int], torch.Generator], Layout]


@dataclass(frozen=True)
class Style:
    """How pictures of one sort are made."""

    arrange: Arrange
    """Works where the label [N] says so, by the vanishing points [N, 2] as shares of width and height, and the size."""
    backgrounds: Mapping[str, float]
    """Shares of KINDS, "textured" and "drawn"; those that are not there leave theirs to the others."""
    out_of_focus: bool = False
    """Whether half of the backgrounds are blurred."""


class Compositor:
    """Makes pictures of `size` (width, height) out of a bank of sprites and photographs."""

    def __init__(self, bank: SpriteBank, photographs: Photographs, size: tuple[int, int], style: Style) -> None:
        self.bank = bank
        self.photographs = photographs
        self.size = size
        self.style = style

    def compose(self, labels: torch.Tensor, gen: torch.Generator, scenes: torch.Tensor | None = None) -> Composites:
        """One picture for each label bool [N]; `scenes` uint8 [M, H, W, 3] are drawn streets without works."""
        count = len(labels)
        horizon, vanishing = uniform((count,), 0.15, 0.65, gen), uniform((count,), 0.15, 0.85, gen)
        canvas, horizon = self._backgrounds(horizon, vanishing, scenes, gen)
        layout = self.style.arrange(self.bank, labels, torch.stack([vanishing, horizon], dim=1), self.size, gen)
        pixels, seen = paste(self.bank, layout, canvas, horizon, gen)
        objects = objects_table(self.bank, layout, seen, self.size)
        images = pixels.clamp_(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1)
        return Composites(images, labels, objects)

    def _backgrounds(
        self, horizon: torch.Tensor, vanishing: torch.Tensor, scenes: torch.Tensor | None, gen: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures float32 [N, 3, H, W] and their horizons; the kinds are mixed by what there is."""
        pieces = []
        for name, rows in self._shared_out(len(horizon), scenes is not None):
            if name == "textured":
                piece = textured_streets(self.photographs, horizon[rows], vanishing[rows], self.size, gen)
            else:
                source = scenes if name == "drawn" and scenes is not None else self.photographs.of(name)
                piece, line = crops(source, rows.stop - rows.start, self.size, gen)
                known = uniform((rows.stop - rows.start,), 0.0, 1.0, gen) < 0.7
                horizon[rows] = torch.where(known, line, horizon[rows])
            pieces.append(_blurred(piece) if self.style.out_of_focus else piece)
        return torch.cat(pieces), horizon

    def _shared_out(self, count: int, drawn: bool) -> list[tuple[str, slice]]:
        """The kinds of background there are and which of `count` pictures get each."""
        there = {name: len(self.photographs.of(name)) > 0 for name in KINDS}
        there |= {"textured": self.photographs.has_streets, "drawn": drawn}
        kinds = [(name, share) for name, share in self.style.backgrounds.items() if there[name]]
        total = sum(share for _, share in kinds)
        edges = [0, *accumulate(round(count * share / total) for _, share in kinds[:-1]), count]
        spans = [slice(start, stop) for start, stop in pairwise(min(edge, count) for edge in edges)]
        return [(name, span) for (name, _), span in zip(kinds, spans, strict=True) if span.stop > span.start]


def _blurred(pixels: torch.Tensor) -> torch.Tensor:
    """Half of them as a lens leaves what lies behind the thing in focus, less or more."""
    pieces = list(torch.tensor_split(pixels, 6))
    for index, factor in enumerate((2.0, 4.0, 7.0)):
        pieces[index] = lose_detail(pieces[index], factor) if len(pieces[index]) else pieces[index]
    return torch.cat(pieces)


def crops(
    source: torch.Tensor, count: int, size: tuple[int, int], gen: torch.Generator, least: float = 0.3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random cuts of pictures [P, H, W, 3], float32 [count, 3, h, w], and where a horizon at 0.4 of them lies.

    A cut takes at least that share of a picture's area, and averages four lookups a pixel, so that fine detail does not
    alias.
    """
    chosen = torch.randint(len(source), (count,), generator=gen, device=gen.device)
    scale = uniform((count,), least, 1.0, gen).sqrt()
    wide = (scale * uniform((count,), 0.7, 1.0, gen)).clamp(max=1.0)
    left, top = uniform((count,), -1.0, 1.0, gen) * (1.0 - wide), uniform((count,), -1.0, 1.0, gen) * (1.0 - scale)
    mirror = torch.where(uniform((count,), 0.0, 1.0, gen) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3, device=gen.device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2] = wide * mirror, scale, left, top
    theta[:, 0, 1], theta[:, 1, 0] = uniform((count,), -0.08, 0.08, gen), uniform((count,), -0.06, 0.06, gen)
    grid = F.affine_grid(theta, [count, 3, 2 * size[1], 2 * size[0]], align_corners=False)
    pixels = F.grid_sample(
        source[chosen].permute(0, 3, 1, 2).float(), grid, padding_mode="reflection", align_corners=False
    )
    return F.avg_pool2d(pixels, 2), ((2 * 0.4 - 1.0 - top) / scale + 1.0) / 2.0


def paste(
    bank: SpriteBank, layout: Layout, canvas: torch.Tensor, horizon: torch.Tensor, gen: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay sprites over the canvas [N, 3, H, W], nearest first; returns it and the pixels seen of each [N, SLOTS]."""
    count, _, height, width = canvas.shape
    local = F.adaptive_avg_pool2d(canvas, (6, 8))
    level = canvas.mean(dim=(1, 2, 3)).view(-1, 1)
    follow, air = uniform((count, 1), 0.35, 1.0, gen), uniform((count, 1), 0.0, 0.022, gen) * height
    cast = (canvas.mean(dim=(2, 3)) / level) ** uniform((count, 1), 0.0, 0.9, gen)
    free = torch.ones(count, 1, height, width, device=canvas.device)
    light, colour, seen = torch.ones_like(free), torch.zeros_like(canvas), []
    tops = (horizon * 6).long().clamp(0, 5)
    far = local[torch.arange(count, device=canvas.device), :, tops].mean(dim=2)
    for slot in range(layout.x.shape[1]):
        place = _sprite_place(layout, slot, (width, height))
        texels = _sample_sprite(bank, layout, slot, place)
        alpha = (texels[:, 3:4] * layout.present[:, slot].view(-1, 1, 1, 1)) * _cut(layout, slot, place, gen)
        at = _neighbourhood(local, layout, slot, (width, height)).mean(dim=1, keepdim=True)
        gain = (at.clamp(min=8.0) / 115.0) ** follow * uniform((count, 1), 0.75, 1.3, gen)
        gain = gain.clamp(0.12, 1.7) * cast
        thick = 1.0 - torch.exp(-air / (layout.side[:, slot : slot + 1] * bank.tall[layout.sprite[:, slot : slot + 1]]))
        rgb = 255.0 * texels[:, :3] / texels[:, 3:4].clamp(min=1e-3)
        rgb = _grade(rgb, gain, gen).clamp(max=255.0)
        rgb = rgb + (far[:, :, None, None] - rgb) * thick.view(-1, 1, 1, 1)
        share = free * alpha
        colour += share * rgb
        seen.append(share.sum(dim=(1, 2, 3)))
        free = free * (1.0 - alpha)
        dark = texels[:, 4:5] * layout.present[:, slot].view(-1, 1, 1, 1) * uniform((count, 1, 1, 1), 0.3, 1.0, gen)
        light = light * (1.0 - dark)
    return colour + free * canvas * light, torch.stack(seen, dim=1)


def _grade(rgb: torch.Tensor, gain: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
    """Light of the place, and a sprite's own saturation and contrast."""
    count = len(rgb)
    grey = rgb.mean(dim=1, keepdim=True)
    rgb = grey + (rgb - grey) * uniform((count, 1, 1, 1), 0.55, 1.15, gen)
    rgb = 110.0 + (rgb - 110.0) * uniform((count, 1, 1, 1), 0.7, 1.15, gen)
    return rgb.clamp(min=0.0) * gain[:, :, None, None]


def _neighbourhood(local: torch.Tensor, layout: Layout, slot: int, size: tuple[int, int]) -> torch.Tensor:
    """Mean colour [N, 3] of the canvas around a sprite's foot, from its reduction `local` [N, 3, 6, 8]."""
    rows = (layout.y[:, slot] / size[1] * local.shape[2]).long().clamp(0, local.shape[2] - 1)
    columns = (layout.x[:, slot] / size[0] * local.shape[3]).long().clamp(0, local.shape[3] - 1)
    return local[torch.arange(len(local), device=local.device), :, rows, columns]


def _sprite_place(layout: Layout, slot: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel of the picture lies from a sprite's foot, in its sides, right and down: two of [N, H, W]."""
    x = torch.arange(size[0], device=layout.x.device) + 0.5
    y = torch.arange(size[1], device=layout.x.device) + 0.5
    side = layout.side[:, slot, None, None]
    right = (x - layout.x[:, slot, None, None]) / side
    down = (y[:, None] - layout.y[:, slot, None, None]) / side
    sine, cosine = (value[:, None, None] for value in (layout.lean[:, slot].sin(), layout.lean[:, slot].cos()))
    return (cosine * right + sine * down) * layout.flip[:, slot, None, None], cosine * down - sine * right


def _sample_sprite(
    bank: SpriteBank, layout: Layout, slot: int, place: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """The sprite's texels [N, 5, H, W] in [0, 1] as the picture sees them."""
    sprite = layout.sprite[:, slot]
    texels = bank.texels[sprite]
    level = torch.log2(bank.side / layout.side[:, slot]).round().clamp(0, LEVELS - 1).long()
    left, top = (value.to(torch.float32)[:, None, None] for value in level_origin(level, bank.side))
    scale = (bank.side * 0.5 ** level.float())[:, None, None]
    right, down = place
    u, v = right + 0.5, down + bank.ground[sprite][:, None, None]
    outside = (u < 0) | (u > 1) | (v < 0) | (v > 1)
    column = (left + u * scale) / texels.shape[3] * 2 - 1
    line = (top + v * scale) / texels.shape[2] * 2 - 1
    grid = torch.stack([column, line], dim=-1).masked_fill(outside[..., None], -4.0)
    return F.grid_sample(texels.float() / 255.0, grid, padding_mode="zeros", align_corners=False)


def _cut(layout: Layout, slot: int, place: tuple[torch.Tensor, torch.Tensor], gen: torch.Generator) -> torch.Tensor:
    """1 where a sprite is whole; in one of eight a slanting edge hides a part of it: [N, 1, H, W]."""
    count, (right, down) = len(layout.x), place
    angle = uniform((count, 1, 1), 0.0, 6.2832, gen)
    offset = uniform((count, 1, 1), -0.15, 0.5, gen) + 9.0 * (uniform((count, 1, 1), 0.0, 1.0, gen) > 0.1)
    edge = angle.cos() * right + angle.sin() * (down + 0.4)
    return ((offset - edge) * layout.side[:, slot, None, None]).clamp(0.0, 1.0)[:, None]


def objects_table(bank: SpriteBank, layout: Layout, seen: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The works in each picture as [N, MAX_OBJECTS, OBJECT_FIELDS]; look-alikes leave empty rows."""
    width, height = size
    works = bank.works[layout.sprite] & layout.present
    left, top, right, bottom = bank.box[layout.sprite].unbind(dim=-1)
    half = torch.maximum(0.5 - left, right - 0.5) * layout.side
    top, bottom = (layout.y + (edge - bank.ground[layout.sprite]) * layout.side for edge in (top, bottom))
    box = [(layout.x - half) / width, top / height, (layout.x + half) / width, bottom / height]
    visible = seen / (bank.cover[layout.sprite] * layout.side**2).clamp(min=1.0)
    area = seen / (width * height) * CLEAR * works.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
    table = torch.stack([*(edge.clamp(0.0, 1.0) for edge in box), visible.clamp(max=1.0), area], dim=-1)
    return F.pad(table * works[..., None], (0, OBJECT_FIELDS - table.shape[2], 0, MAX_OBJECTS - table.shape[1]))
