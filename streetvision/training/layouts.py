"""Where sprites go in a picture: along a street by perspective, or one of them large and near."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from streetvision.training.rendering import MAX_OBJECTS
from streetvision.training.sprite_bank import SpriteBank
from streetvision.training.textured_streets import uniform

SLOTS = MAX_OBJECTS
"""Sprites in a picture at most: as many as fit the table of objects."""
TALLEST, SMALLEST = 0.5, 0.035
"""Height of a sprite in a street as a share of the picture's."""
CLOSEST, CLOSE = 0.85, 0.14
"""The same of what a close-up shows."""
COMPANIONS = 4
"""Things in a close-up at most, the main one among them."""
LOWER = 0.62
"""Row below which what stands has its foot in a close-up that shows ground, as a share of the height."""


@dataclass(frozen=True)
class Backdrop:
    """Of the backgrounds of N pictures: what a layout has to know."""

    vanishing: torch.Tensor
    """Where the lanes meet on the horizon, as shares of width and height [N, 2]."""
    ground: torch.Tensor
    """Whether there is ground to stand on, bool [N]: not before a wall or a sky."""


@dataclass(frozen=True)
class Layout:
    """Where sprites go: tensors [N, SLOTS], nearest first; lengths in pixels."""

    sprite: torch.Tensor
    present: torch.Tensor
    x: torch.Tensor
    """Centre."""
    y: torch.Tensor
    """Row on which it stands."""
    side: torch.Tensor
    """Side of its square."""
    lean: torch.Tensor
    """Radians."""
    flip: torch.Tensor
    """-1 for mirrored, else 1."""


def along_street(
    bank: SpriteBank,
    labels: torch.Tensor,
    backdrop: Backdrop,
    size: tuple[int, int],
    gen: torch.Generator,
) -> Layout:
    """Place works where the label [N] says so and look-alikes everywhere, by perspective on one ground plane.

    One in ten is astray, above or below its place, if it is something that does not stand.
    """
    (width, height), count, vanishing = size, len(labels), backdrop.vanishing
    shape = (count, SLOTS)
    slots = torch.arange(SLOTS, device=gen.device).expand(shape)
    first = torch.randint(1, 6, (count, 1), generator=gen, device=gen.device)
    works = labels[:, None] & (slots < first)
    sprite = bank.choose(works, backdrop.ground[:, None].expand(shape), gen)
    present = (slots < first) | (uniform(shape, 0.0, 1.0, gen) < uniform((count, 1), 0.0, 0.8, gen))
    present &= labels[:, None] | (uniform((count, 1), 0.0, 1.0, gen) < 0.9)
    row = (slots < first) & (uniform((count, 1), 0.0, 1.0, gen) < 0.5)
    sprite = torch.where(row, sprite[:, :1], sprite)
    tall = height * SMALLEST * (TALLEST / SMALLEST) ** uniform(shape, 0.0, 1.0, gen)
    x = uniform(shape, 0.02, 0.98, gen) * width
    nearer = 1.0 + slots * uniform((count, 1), 0.08, 0.6, gen)
    centre = vanishing[:, :1] * width
    tall = torch.where(row, tall[:, :1] / nearer, tall)
    x = torch.where(row, centre + (x[:, :1] - centre) / nearer + uniform(shape, -2.0, 2.0, gen), x)
    side = (tall / bank.tall[sprite]).clamp(max=1.2 * width)
    eye = uniform((count, 1), 1.1, 2.4, gen)
    line = vanishing[:, 1:] * height
    below = side / bank.metres[sprite] * eye
    fits = below.clamp(min=0.1 * height - line, max=(1.05 * height - line).clamp(min=8.0)) / below
    y, side = line + below * fits, (side * fits).clamp(max=1.2 * width)
    astray = (uniform(shape, 0.0, 1.0, gen) < 0.1) & ~row & ~bank.stands[sprite]
    y = torch.where(astray, uniform(shape, 0.2, 1.0, gen) * height, y)
    lean = uniform(shape, -0.08, 0.08, gen) * torch.where(uniform(shape, 0.0, 1.0, gen) < 0.05, 12.0, 1.0)
    flip = torch.where(uniform(shape, 0.0, 1.0, gen) < 0.25, -1.0, 1.0)
    return _ordered(Layout(sprite, present, x, y, side, lean, flip), y)


def close_up(
    bank: SpriteBank,
    labels: torch.Tensor,
    backdrop: Backdrop,
    size: tuple[int, int],
    gen: torch.Generator,
) -> Layout:
    """One large thing, works where the label [N] says so, and up to three others about as near.

    What stands has its foot in the lower part of a picture that shows ground; signs and lights are anywhere. Size and
    place are drawn alike for works and look-alikes, so that neither tells them apart; perspective is not asked for,
    since lenses zoom.
    """
    (width, height), count = size, len(labels)
    shape = (count, SLOTS)
    slots = torch.arange(SLOTS, device=gen.device).expand(shape)
    works = labels[:, None] & ((slots == 0) | (uniform(shape, 0.0, 1.0, gen) < 0.4))
    sprite = bank.choose(works, backdrop.ground[:, None].expand(shape), gen)
    others = uniform((count, 1), 0.0, 1.0, gen) ** 1.5 * COMPANIONS
    present = (slots < others.ceil().clamp(min=1.0)) & (labels[:, None] | (uniform((count, 1), 0.0, 1.0, gen) < 0.95))
    main = CLOSE * (CLOSEST / CLOSE) ** uniform((count, 1), 0.0, 1.0, gen).sqrt()
    tall = height * main * torch.where(slots == 0, 1.0, uniform(shape, 0.35, 1.1, gen))
    side = (tall / bank.tall[sprite]).clamp(max=1.1 * width)
    tall = side * bank.tall[sprite]
    highest = torch.where(bank.stands[sprite], tall.clamp(min=LOWER * height), tall)
    bottom = highest + (1.1 * height - highest) * uniform(shape, -0.08, 1.0, gen)
    y = bottom - (bank.box[sprite][..., 3] - bank.ground[sprite]) * side
    x = uniform(shape, 0.12, 0.88, gen) * width
    lean = uniform(shape, -0.06, 0.06, gen) * torch.where(uniform(shape, 0.0, 1.0, gen) < 0.04, 10.0, 1.0)
    flip = torch.where(uniform(shape, 0.0, 1.0, gen) < 0.1, -1.0, 1.0)
    return _ordered(Layout(sprite, present, x, y, side, lean, flip), side)


def _ordered(layout: Layout, nearness: torch.Tensor) -> Layout:
    """The same with its slots by `nearness` [N, SLOTS], the greatest first and empty ones last."""
    order = torch.where(layout.present, nearness, -math.inf).argsort(dim=1, descending=True)
    return Layout(**{one.name: getattr(layout, one.name).gather(1, order) for one in fields(Layout)})
