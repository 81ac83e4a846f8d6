"""Sprites on the device: each with smaller copies of itself beside it, so that distant ones do not alias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes.sprites.sprite import atlas

SIDE = 128
LEVELS = 5
GAP = 4
"""Empty texels between copies: bilinear lookups must not reach the neighbour."""
CHANNELS = 5
"""Red, green and blue times alpha, alpha, and the share of light that the shadow takes: all in [0, 1] as uint8."""


@dataclass(frozen=True)
class SpriteBank:
    """N sprites: texels uint8 [N, 5, SIDE, SIDE * 3 / 2 + gaps], and arrays of length N on the same device."""

    texels: torch.Tensor
    works: torch.Tensor
    """Whether it shows works, bool."""
    metres: torch.Tensor
    """What the side of the square spans in the world."""
    ground: torch.Tensor
    """The row where it stands, as a share of the side."""
    box: torch.Tensor
    """left, top, right, bottom of what it shows, as shares of the side [N, 4]."""
    cover: torch.Tensor
    """Share of the square that it covers."""

    @property
    def tall(self) -> torch.Tensor:
        """Height of what it shows, as a share of the side."""
        return self.box[:, 3] - self.box[:, 1]

    def __len__(self) -> int:
        return len(self.works)

    def choose(self, works: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
        """Indices of sprites, of works where `works` [...] is true and of look-alikes elsewhere."""
        draws = torch.rand(works.shape, generator=gen, device=works.device)
        chosen = torch.zeros(works.shape, dtype=torch.long, device=works.device)
        for label, pool in self.by_label.items():
            chosen = torch.where(works == label, pool[(draws * len(pool)).long()], chosen)
        return chosen

    @cached_property
    def by_label(self) -> dict[bool, torch.Tensor]:
        """Indices of works and of look-alikes; found once, since it waits for the device."""
        return {label: torch.nonzero(self.works == label)[:, 0] for label in (True, False)}


def level_origin(level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Left and top texel of the copy of each level: level 0 at the left, the smaller ones below each other."""
    left = torch.where(level > 0, SIDE + GAP, 0)
    top = torch.where(level > 0, SIDE - SIDE * 0.5 ** (level - 1).float() + GAP * (level - 1), 0.0)
    return left, top


def pack(pixels: NDArray[np.uint8], shadows: NDArray[np.uint8]) -> torch.Tensor:
    """RGBA [N, SIDE, SIDE, 4] of straight alpha and shadows [N, SIDE, SIDE] -> texels with their smaller copies."""
    rgba = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    alpha = rgba[:, 3:] / 255.0
    whole = torch.cat([rgba[:, :3] * alpha, rgba[:, 3:], torch.from_numpy(shadows)[:, None].float()], dim=1)
    texels = torch.zeros(len(whole), CHANNELS, SIDE + LEVELS * GAP, SIDE + GAP + SIDE // 2 + GAP, dtype=torch.uint8)
    for level in range(LEVELS):
        side = SIDE >> level
        left, top = (int(value) for value in level_origin(torch.tensor(level)))
        small = F.interpolate(whole, size=(side, side), mode="area") if level else whole
        texels[:, :, top : top + side, left : left + side] = small.round().to(torch.uint8)
    return texels


def sprite_bank(
    count: int, first_seed: int, device: torch.device, *, workers: int = 1, cutouts: Sequence[Path] = ()
) -> SpriteBank:
    """`count` made sprites and every cut-out photograph (look-alikes, a few times each) on the device."""
    made = atlas(count, first_seed, SIDE, workers)
    pixels, shadows, works = [made.pixels], [made.shadows], [made.labels.astype(bool)]
    metres, ground = [made.metres], [made.ground]
    if cutouts:
        squares = np.stack([_square(file) for file in cutouts])
        pixels.append(squares)
        shadows.append(np.zeros(squares.shape[:3], np.uint8))
        works.append(np.zeros(len(squares), bool))
        metres.append(np.random.default_rng(0).uniform(0.5, 2.5, len(squares)).astype(np.float32))
        ground.append(np.ones(len(squares), np.float32))
    everything = np.concatenate(pixels)
    packed = [
        pack(everything[at : at + 512], np.concatenate(shadows)[at : at + 512]) for at in range(0, len(everything), 512)
    ]
    cover = (everything[..., 3].mean(axis=(1, 2)) / 255.0).astype(np.float32)
    arrays = (np.concatenate(works), np.concatenate(metres), np.concatenate(ground), _boxes(everything[..., 3]), cover)
    return SpriteBank(torch.cat(packed).to(device), *(torch.from_numpy(one).to(device) for one in arrays))


def _square(file: Path) -> NDArray[np.uint8]:
    """A cut-out photograph with its lower edge on the square's."""
    with Image.open(file) as opened:
        image = opened.convert("RGBA")
    image.thumbnail((SIDE - 4, SIDE - 4))
    square = Image.new("RGBA", (SIDE, SIDE))
    square.paste(image, ((SIDE - image.width) // 2, SIDE - image.height))
    return np.asarray(square)


def _boxes(alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = (np.asarray((alpha > 100).any(axis=axis)) for axis in (2, 1))
    left, top = columns.argmax(axis=1), rows.argmax(axis=1)
    right, bottom = (SIDE - shown[:, ::-1].argmax(axis=1) for shown in (columns, rows))
    box = np.stack([left, top, np.maximum(right, left + 1), np.maximum(bottom, top + 1)], axis=1)
    result: NDArray[np.float32] = (box / SIDE).astype(np.float32)
    return result
