"""Draw docs/images/sprites.jpg: a sprite of every kind, works above and look-alikes below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.scenes.sprites.kinds import LOOK_ALIKES, WORKS
from streetvision.scenes.sprites.sprite import Sprite, look_alike_sprite, works_sprite

FILE = Path(__file__).parent.parent / "docs" / "images" / "sprites.jpg"
CELL = 96
COLUMNS = 14
SEED = 4
WALL, ROAD = (166, 168, 168), (118, 118, 120)


def main() -> None:
    """Write the picture."""
    works = [works_sprite(SEED + at, kind=kind.name, longest=CELL - 4) for at, kind in enumerate(WORKS)]
    others = [look_alike_sprite(SEED + at, kind=kind.name, longest=CELL - 4) for at, kind in enumerate(LOOK_ALIKES)]
    strip = np.full((8, COLUMNS * CELL, 3), 255, np.uint8)
    sheet = np.concatenate([_rows(works), strip, _rows(others)])
    Image.fromarray(sheet).save(FILE, quality=82, optimize=True)


def _rows(sprites: list[Sprite]) -> NDArray[np.uint8]:
    cells = [_cell(sprite) for sprite in sprites]
    cells += [np.full((CELL, CELL, 3), 255, np.uint8)] * (-len(cells) % COLUMNS)
    return np.concatenate([np.concatenate(cells[at : at + COLUMNS], axis=1) for at in range(0, len(cells), COLUMNS)])


def _cell(sprite: Sprite) -> NDArray[np.uint8]:
    """The sprite before a wall, on a road that its shadow darkens."""
    ground = np.empty((CELL, CELL, 3), np.float32)
    ground[:], ground[CELL * 5 // 8 :] = WALL, ROAD
    height, width = sprite.shadow.shape
    left = (CELL - width) // 2
    place = ground[CELL - height :, left : left + width]
    place *= 1 - sprite.shadow[..., None] / 255
    alpha = sprite.pixels[..., 3:] / 255
    place[:] = place * (1 - alpha) + sprite.pixels[..., :3] * alpha
    return np.rint(ground).astype(np.uint8)


if __name__ == "__main__":
    main()
