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
from streetvision.training.layouts import Backdrop, Layout
from streetvision.training.pasting import paste
from streetvision.training.photographs import KINDS, Photographs
from streetvision.training.rendering import MAX_OBJECTS, OBJECT_FIELDS
from streetvision.training.sprite_bank import SIDE, SIGNS, SpriteBank
from streetvision.training.textured_streets import textured_streets, uniform

CLEAR = 2.5
"""How much smaller than a drawn object a sprite may be and count as seen; of several, each may be smaller still."""


@dataclass(frozen=True)
class Composites:
    """Pictures uint8 [N, H, W, 3], whether works were laid in [N], and the objects [N, MAX_OBJECTS, OBJECT_FIELDS]."""

    images: torch.Tensor
    labels: torch.Tensor
    objects: torch.Tensor


Arrange = Callable[[SpriteBank, torch.Tensor, Backdrop, tuple[int, int], torch.Generator], Layout]
WITHOUT_GROUND = ("wall", "sky")
"""Backgrounds before which nothing stands."""


@dataclass(frozen=True)
class Style:
    """How pictures of one sort are made."""

    arrange: Arrange
    """Works where the label [N] says so, on backgrounds of that sort and size."""
    backgrounds: Mapping[str, float]
    """Shares of KINDS, "textured" and "drawn"; those that are not there leave theirs to the others."""
    mixture: Mapping[int, float]
    """Shares of the validators' levels and of whole pictures in which they are shown."""
    side: int = SIDE
    """Texels of their sprites."""
    signs: float = SIGNS
    """Ordinary signs beside each made sprite."""
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
        canvas, horizon, ground = self._backgrounds(horizon, vanishing, scenes, gen)
        backdrop = Backdrop(torch.stack([vanishing, horizon], dim=1), ground)
        layout = self.style.arrange(self.bank, labels, backdrop, self.size, gen)
        pixels, seen = paste(self.bank, layout, canvas, horizon, gen)
        objects = objects_table(self.bank, layout, seen, self.size)
        images = pixels.clamp_(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1)
        return Composites(images, labels, objects)

    def _backgrounds(
        self, horizon: torch.Tensor, vanishing: torch.Tensor, scenes: torch.Tensor | None, gen: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pictures float32 [N, 3, H, W] of the kinds there are, their horizons, and whether they show ground."""
        pieces, ground = [], torch.ones_like(horizon, dtype=torch.bool)
        for name, rows in self._by_kind(len(horizon), scenes is not None):
            if name == "textured":
                piece = textured_streets(self.photographs, horizon[rows], vanishing[rows], self.size, gen)
            else:
                source = scenes if name == "drawn" and scenes is not None else self.photographs.of(name)
                piece, line = crops(source, rows.stop - rows.start, self.size, gen)
                known = uniform((rows.stop - rows.start,), 0.0, 1.0, gen) < 0.7
                horizon[rows] = torch.where(known, line, horizon[rows])
            ground[rows].fill_(name not in WITHOUT_GROUND)
            pieces.append(_blurred(piece) if self.style.out_of_focus else piece)
        return torch.cat(pieces), horizon, ground

    def _by_kind(self, count: int, drawn: bool) -> list[tuple[str, slice]]:
        """The kinds of background there are and which of `count` pictures get each."""
        there = {name: len(self.photographs.of(name)) > 0 for name in KINDS}
        there |= {"textured": self.photographs.has_streets, "drawn": drawn}
        return shared_out(count, {name: share for name, share in self.style.backgrounds.items() if there[name]})


def shared_out(count: int, shares: Mapping[str, float]) -> list[tuple[str, slice]]:
    """Which of `count` pictures each kind gets by its share, the last the rest; kinds that get none are left out."""
    total = sum(shares.values())
    edges = [0, *accumulate(round(count * share / total) for share in list(shares.values())[:-1]), count]
    spans = [slice(start, stop) for start, stop in pairwise(min(edge, count) for edge in edges)]
    return [(name, span) for name, span in zip(shares, spans, strict=True) if span.stop > span.start]


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
