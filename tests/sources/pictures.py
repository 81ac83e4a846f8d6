"""Small pictures of the tests' own, sound and broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from streetvision.sources.source import Item, SourcePicture


def pixels(seed: int, side: int = 64) -> Image.Image:
    """Soft random blotches: pictures of two seeds are as unlike as two scenes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(seed: int, quality: int = 90, side: int = 64) -> bytes:
    return encoded(pixels(seed, side), quality=quality)


def picture(seed: int, label: bool, *, key: str = "", group: str = "", data: bytes | None = None) -> SourcePicture:
    key = key or f"{seed:04d}"
    return SourcePicture(key, jpeg(seed) if data is None else data, label, group or key, "CC0-1.0")


class ListSource:
    """Items in the order of their keys."""

    def __init__(self, items: Sequence[Item], name: str = "list", *, grows: bool = False) -> None:
        self.items, self.name, self.grows = list(items), name, grows
        self.asked_after: list[str | None] = []

    def pictures(self, after: str | None = None) -> Iterator[Item]:
        self.asked_after.append(after)
        return iter([item for item in self.items if after is None or item.key > after])


def class_folders(folder: Path, count: int = 4) -> Path:
    for number in range(count):
        for label, offset in (("roadwork", 0), ("none", 1000)):
            path = folder / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(number + offset))
    return folder
