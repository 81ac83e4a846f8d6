"""Photographs and photo textures that training uses where an operator has some: they never travel with the package.

A folder holds JPEG files in any of `street` (roads and towns without roadwork), `other` (any photograph), `ground`
(asphalt, grass, gravel from above), `wall` (facades from the front) and `sky`; and PNG files with transparency in any
of `cutout` (things that are no works), `sign` and `works_sign` (faces of ordinary signs and of signs of works).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from streetvision.training.sprite_bank import Cutouts

KINDS = ("street", "other", "ground", "wall", "sky")
PHOTO_SIZE = (1024, 768)
TEXTURE_SIZE = (256, 256)
HELD_OUT_EVERY = 3
"""Of street photographs and of faces of signs every third, by a hash of its name, is kept for judging."""


@dataclass(frozen=True)
class Photographs:
    """uint8 [P, H, W, 3] of each kind on a device; a kind may have none."""

    street: torch.Tensor
    other: torch.Tensor
    ground: torch.Tensor
    wall: torch.Tensor
    sky: torch.Tensor

    def of(self, kind: str) -> torch.Tensor:
        """Those of one of KINDS."""
        pictures: torch.Tensor = getattr(self, kind)
        return pictures

    @property
    def has_streets(self) -> bool:
        """Whether streets can be built from textures."""
        return min(len(self.ground), len(self.wall), len(self.sky)) > 0


def held_out(file: Path) -> bool:
    """Whether a street photograph or the face of a sign judges and so never trains."""
    return zlib.crc32(file.name.encode()) % HELD_OUT_EVERY == 0


def photograph_files(folders: Sequence[Path], kind: str) -> list[Path]:
    """The JPEG files of one of KINDS in all folders, in order."""
    return _files(folders, kind, "*.jpg")


def load_photographs(folders: Sequence[Path], device: torch.device, *, judging: bool = False) -> Photographs:
    """Read every kind; of the street photographs those that train, or with `judging` those that are held out."""
    loaded = {}
    for kind in KINDS:
        files = [one for one in photograph_files(folders, kind) if kind != "street" or held_out(one) == judging]
        size = TEXTURE_SIZE if kind in ("ground", "wall") else PHOTO_SIZE
        loaded[kind] = _read(files, size).to(device)
    return Photographs(**loaded)


def cutouts_in(folders: Sequence[Path], *, judging: bool = False) -> Cutouts:
    """Every kind of cut-out; of the signs those that train, or with `judging` those that are held out."""
    things, signs, works = (_files(folders, kind, "*.png") for kind in ("cutout", "sign", "works_sign"))
    signs, works = ([face for face in faces if held_out(face) == judging] for faces in (signs, works))
    return Cutouts(things, signs, works)


def _files(folders: Sequence[Path], kind: str, pattern: str) -> list[Path]:
    return [file for folder in folders for file in sorted((folder / kind).glob(pattern))]


def _read(files: Sequence[Path], size: tuple[int, int]) -> torch.Tensor:
    pixels: NDArray[np.uint8] = np.zeros((len(files), size[1], size[0], 3), np.uint8)
    with ThreadPoolExecutor() as pool:
        for index, photograph in enumerate(pool.map(partial(_reduced, size=size), files)):
            pixels[index] = photograph
    return torch.from_numpy(pixels)


def _reduced(file: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
