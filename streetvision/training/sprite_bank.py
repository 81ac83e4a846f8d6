"""Sprites on the device: each with smaller copies of itself beside it, so that distant ones do not alias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes.sprites.ordinary_signs import ORDINARY_SIGNS
from streetvision.scenes.sprites.signs import SIGNS as SIGNS_OF_WORKS
from streetvision.scenes.sprites.sprite import atlas
from streetvision.training.sign_sprites import sign_sprites

SIDE = 128
"""Texels of a sprite, across and down, where nothing else is said."""
CLOSE_SIDE = 192
"""The same for what close-ups show."""
SIGNS, CLOSE_SIGNS = 0.06, 0.5
"""Ordinary signs from faces beside each made sprite: in streets and in close-ups, where half of all are look-alikes."""
LEVELS = 5
GAP = 4
"""Empty texels between copies: bilinear lookups must not reach the neighbour."""
ANYWHERE = {kind.name for kind in (*SIGNS_OF_WORKS, *ORDINARY_SIGNS)} - {"a_frame_sign", "drum_sign"}
ANYWHERE |= {"lamp_post", "banner", "balloons", "glare"}
"""Kinds of sprites that are seen against the sky or a wall as well; all others stand or lie on the ground."""
CHANNELS = 5
"""Red, green and blue times alpha, alpha, and the share of light that the shadow takes: all in [0, 1] as uint8."""


@dataclass(frozen=True)
class SpriteBank:
    """N sprites of side S: texels uint8 [N, 5, S + gaps, S * 3 / 2 + gaps], and arrays of length N beside them."""

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
    stands: torch.Tensor
    """Whether it stands or lies on the ground, bool; signs and lights are anywhere."""

    @property
    def side(self) -> int:
        """Texels of the largest copy, across and down."""
        return self.texels.shape[2] - LEVELS * GAP

    @property
    def tall(self) -> torch.Tensor:
        """Height of what it shows, as a share of the side."""
        return self.box[:, 3] - self.box[:, 1]

    def __len__(self) -> int:
        return len(self.works)

    def choose(self, works: torch.Tensor, ground: torch.Tensor, gen: torch.Generator) -> torch.Tensor:
        """Indices of sprites, of works where `works` [...] is true and of look-alikes elsewhere.

        Where there is no `ground` [...] nothing that stands on it is chosen, if the label has anything else.
        """
        draws = torch.rand(works.shape, generator=gen, device=works.device)
        chosen = torch.zeros(works.shape, dtype=torch.long, device=works.device)
        for (label, anywhere), pool in self.pools.items():
            here = (works == label) & (ground != anywhere)
            chosen = torch.where(here, pool[(draws * len(pool)).long()], chosen)
        return chosen

    @cached_property
    def pools(self) -> dict[tuple[bool, bool], torch.Tensor]:
        """Indices by whether they are works and whether they must not stand; found once, as it waits for the device."""
        found = {}
        for label in (True, False):
            found[label, False] = torch.nonzero(self.works == label)[:, 0]
            hanging = torch.nonzero((self.works == label) & ~self.stands)[:, 0]
            found[label, True] = hanging if len(hanging) else found[label, False]
        return found


def level_origin(level: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Left and top texel of the copy of each level: level 0 at the left, the smaller ones below each other."""
    left = torch.where(level > 0, side + GAP, 0)
    top = torch.where(level > 0, side - side * 0.5 ** (level - 1).float() + GAP * (level - 1), 0.0)
    return left, top


def pack(pixels: NDArray[np.uint8], shadows: NDArray[np.uint8]) -> torch.Tensor:
    """RGBA [N, S, S, 4] of straight alpha and shadows [N, S, S] -> texels with their smaller copies; 16 divides S."""
    rgba, across = torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), pixels.shape[1]
    alpha = rgba[:, 3:] / 255.0
    whole = torch.cat([rgba[:, :3] * alpha, rgba[:, 3:], torch.from_numpy(shadows)[:, None].float()], dim=1)
    texels = torch.zeros(len(whole), CHANNELS, across + LEVELS * GAP, across + across // 2 + 2 * GAP, dtype=torch.uint8)
    for level in range(LEVELS):
        side = across >> level
        left, top = (int(value) for value in level_origin(torch.tensor(level), across))
        small = F.interpolate(whole, size=(side, side), mode="area") if level else whole
        texels[:, :, top : top + side, left : left + side] = small.round().to(torch.uint8)
    return texels


@dataclass(frozen=True)
class Cutouts:
    """PNG files with transparency: things that are no works, and faces of ordinary signs and of signs of works."""

    things: Sequence[Path] = ()
    signs: Sequence[Path] = ()
    works_signs: Sequence[Path] = ()


def sprite_bank(
    count: int,
    first_seed: int,
    device: torch.device,
    *,
    workers: int = 1,
    cutouts: Cutouts | None = None,
    side: int = SIDE,
    signs: float = SIGNS,
) -> SpriteBank:
    """`count` made sprites, each cut-out thing, and signs on the device.

    Ordinary signs come as this share of `count`, signs of works as a quarter of it, both only where there are faces.
    """
    made = atlas(count, first_seed, side, workers)
    stands = ~np.isin(made.kinds, sorted(ANYWHERE))
    parts = [_Part(made.pixels, made.shadows, made.labels.astype(bool), made.metres, made.ground, stands)]
    given, rng = cutouts or Cutouts(), np.random.default_rng(first_seed)
    if given.things:
        squares = np.stack([_square(file, side) for file in given.things])
        parts.append(_part(squares, False, rng.uniform(0.5, 2.5, len(squares)).astype(np.float32)))
    for faces, share, works in ((given.signs, signs, False), (given.works_signs, signs / 4, True)):
        wanted = round(count * share)
        if faces and wanted:
            pixels, metres = zip(*sign_sprites(faces, wanted, side, first_seed, workers), strict=True)
            parts.append(_part(np.stack(pixels), works, np.array(metres, np.float32)))
    return _bank(parts, device)


class _Part(NamedTuple):
    """Sprites of one origin, as an atlas has them."""

    pixels: NDArray[np.uint8]
    shadows: NDArray[np.uint8]
    works: NDArray[np.bool_]
    metres: NDArray[np.float32]
    ground: NDArray[np.float32]
    stands: NDArray[np.bool_]


def _part(pixels: NDArray[np.uint8], works: bool, metres: NDArray[np.float32]) -> _Part:
    """Sprites that cast no shadow, have their foot on the square's lower edge and may be anywhere."""
    shadows, labels = np.zeros(pixels.shape[:3], np.uint8), np.full(len(pixels), works)
    return _Part(pixels, shadows, labels, metres, np.ones(len(pixels), np.float32), np.zeros(len(pixels), np.bool_))


def _bank(parts: Sequence[_Part], device: torch.device) -> SpriteBank:
    pixels, shadows, *rest, stands = (np.concatenate(column) for column in zip(*parts, strict=True))
    packed = [pack(pixels[at : at + 512], shadows[at : at + 512]) for at in range(0, len(pixels), 512)]
    cover = (pixels[..., 3].mean(axis=(1, 2)) / 255.0).astype(np.float32)
    arrays = (*rest, _boxes(pixels[..., 3]), cover, stands)
    return SpriteBank(torch.cat(packed).to(device), *(torch.from_numpy(one).to(device) for one in arrays))


def _square(file: Path, side: int) -> NDArray[np.uint8]:
    """A cut-out photograph with its lower edge on the square's."""
    with Image.open(file) as opened:
        image = opened.convert("RGBA")
    image.thumbnail((side - 4, side - 4))
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, side - image.height))
    return np.asarray(square)


def _boxes(alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = alpha.shape[1]
    rows, columns = (np.asarray((alpha > 100).any(axis=axis)) for axis in (2, 1))
    left, top = columns.argmax(axis=1), rows.argmax(axis=1)
    right, bottom = (side - shown[:, ::-1].argmax(axis=1) for shown in (columns, rows))
    box = np.stack([left, top, np.maximum(right, left + 1), np.maximum(bottom, top + 1)], axis=1)
    result: NDArray[np.float32] = (box / side).astype(np.float32)
    return result
