"""What a picture is shown as, drawn on the device for a whole batch: a validator's cut, or the whole as since May 2026.

Geometry is a matrix [2, 3] a picture from output positions in [0, 1] to positions in [0, 1] of the squashed canvas; the
picture's true width and height enter into it. `scenes.augment` draws a validator's cut in the same way with numpy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch

from streetvision.engine.views import ResizeRule
from streetvision.scenes.augment import CROP_AREA, MAX_SEVERITY, ORDER, ROTATION

DRAWS = 10
"""Of a crop's area, until one fits the picture."""


class Dice:
    """Uniform random numbers on the generator's device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """float32 [shape] in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def chance(self, count: int, share: float) -> torch.Tensor:
        """bool [count], true for about that share."""
        return self.uniform(count) < share


@dataclass(frozen=True)
class Cut:
    """A validator's geometry, as `Recipes` has it: float32 [N], in pixels of the true picture and degrees."""

    width: torch.Tensor
    height: torch.Tensor
    angle: torch.Tensor
    left: torch.Tensor
    top: torch.Tensor
    side: torch.Tensor
    flip_x: torch.Tensor
    flip_y: torch.Tensor

    def matrices(self) -> torch.Tensor:
        """[N, 2, 3]: output position in [0, 1] to source position in [0, 1], both measured between pixel edges."""
        turn = torch.deg2rad(self.angle)
        cos, sin = torch.cos(turn), torch.sin(turn)
        sx, sy = torch.where(self.flip_x, -self.side, self.side), torch.where(self.flip_y, -self.side, self.side)
        ox = torch.where(self.flip_x, self.left + self.side, self.left) - self.width / 2
        oy = torch.where(self.flip_y, self.top + self.side, self.top) - self.height / 2
        across = torch.stack([cos * sx, -sin * sy, cos * ox - sin * oy + self.width / 2], dim=-1)
        down = torch.stack([sin * sx, cos * sy, sin * ox + cos * oy + self.height / 2], dim=-1)
        return torch.stack([across / self.width[:, None], down / self.height[:, None]], dim=1)


def draw_cuts(sizes: torch.Tensor, plain: torch.Tensor, dice: Dice) -> Cut:
    """A validator's cut of pictures of true `sizes` [N, 2]; the `plain` [N] ones show the central square, upright.

    Plain ones are mirrored at times, which a validator does not do: a mirrored street is a street.
    """
    count, (width, height) = len(sizes), sizes.float().unbind(dim=1)
    short = torch.minimum(width, height)
    drawn = ((width * height)[:, None] * dice.uniform(count, DRAWS, low=CROP_AREA[0], high=CROP_AREA[1])).sqrt().round()
    fits = drawn <= short[:, None]
    centred = plain | ~fits.any(dim=1)
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
    side = torch.where(centred, short, drawn.gather(1, first).squeeze(1))
    left, top = (
        torch.floor(torch.where(centred, (whole - side) / 2, dice.uniform(count) * (whole - side + 1)))
        for whole in (width, height)
    )
    angle = torch.where(plain, 0.0, dice.uniform(count, low=-ROTATION, high=ROTATION))
    return Cut(width, height, angle, left, top, side, dice.chance(count, 0.5), dice.chance(count, 0.5) & ~plain)


def draw_levels(count: int, levels: Mapping[int, float], dice: Dice) -> torch.Tensor:
    """int64 [count]: positions in `levels`, whose values are their shares."""
    bounds = _bounds(tuple(levels.values()), dice.device)
    return torch.bucketize(dice.uniform(count), bounds[:-1], right=True)


@lru_cache(maxsize=16)
def _bounds(shares: tuple[float, ...], device: torch.device) -> torch.Tensor:
    return (torch.tensor(shares) / math.fsum(shares)).cumsum(0).to(device)


def is_plain(chosen: torch.Tensor, levels: Mapping[int, float]) -> torch.Tensor:
    """bool [N]: which of the `chosen` positions in `levels` mean level 0, that only shows the central square."""
    return chosen == (list(levels).index(0) if 0 in levels else -1)


def draw_severities(chosen: torch.Tensor, levels: Mapping[int, float], dice: Dice) -> torch.Tensor:
    """int64 [N, 6], a column for each name of ORDER, evenly from 0 to the most of each picture's level."""
    most = _most(tuple(levels), dice.device)[chosen]
    return (dice.uniform(len(chosen), len(ORDER)) * (most + 1)).long()


@lru_cache(maxsize=16)
def _most(levels: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor([[MAX_SEVERITY[level].get(name, 0) for name in ORDER] for level in levels], device=device)


def occurring(levels: Mapping[int, float]) -> list[str]:
    """The distortions that these levels ever draw, in order."""
    return [name for name in ORDER if any(name in MAX_SEVERITY[level] for level, share in levels.items() if share)]


def whole(sizes: torch.Tensor, rule: ResizeRule) -> torch.Tensor:
    """[N, 2, 3]: what service shows a model of pictures of true `sizes` [N, 2]: all of it, or its central square."""
    width, height = sizes.float().unbind(dim=1)
    short = torch.minimum(width, height)
    spans = torch.ones_like(sizes, dtype=torch.float32)
    if rule == "crop":
        spans = torch.stack([short / width, short / height], dim=1)
    return torch.cat([torch.diag_embed(spans), ((1 - spans) / 2)[:, :, None]], dim=2)


def reframed(matrices: torch.Tensor, least: float, dice: Dice) -> torch.Tensor:
    """Show only a part of each view, each axis by itself cut to at least `least`, half of the time; mirror half."""
    count = len(matrices)
    spans = torch.where(dice.uniform(count, 2) < 0.5, dice.uniform(count, 2, low=least), 1.0)
    starts = dice.uniform(count, 2) * (1 - spans)
    mirrored = torch.stack([dice.chance(count, 0.5), torch.zeros_like(spans[:, 0], dtype=torch.bool)], dim=1)
    scale, offset = torch.where(mirrored, -spans, spans), torch.where(mirrored, starts + spans, starts)
    return _composed(matrices, torch.diag_embed(scale), offset)


def turned(matrices: torch.Tensor, share: float, dice: Dice) -> torch.Tensor:
    """Let that share of the views lie on one side or the other, as phones send portraits whose tag was lost."""
    count = len(matrices)
    draw = dice.uniform(count)
    quarter = torch.where(draw < share / 2, 1.0, torch.where(draw < share, -1.0, 0.0))
    upright = 1.0 - quarter.abs()
    turn = torch.stack([torch.stack([upright, quarter], dim=1), torch.stack([-quarter, upright], dim=1)], dim=1)
    return _composed(matrices, turn, 0.5 - turn.sum(dim=2) / 2)


def _composed(matrices: torch.Tensor, linear: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """The view that looks through [N, 2, 2] and [N, 2] first and then through `matrices`."""
    shift = (matrices[:, :, :2] * offset[:, None]).sum(dim=2) + matrices[:, :, 2]
    product = (matrices[:, :, :2, None] * linear[:, None]).sum(dim=2)
    return torch.cat([product, shift[:, :, None]], dim=2)
