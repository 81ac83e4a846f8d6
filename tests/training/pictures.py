"""A dataset of drawn pictures on disk, quick to decode and easy to learn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.dataset import Example
from streetvision.sources.folder import open_folder
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.training.beginning import begin
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import Recipe
from streetvision.training.run_folder import RunFolder
from streetvision.training.starting import Origins
from streetvision.training.wish import Wish

from .nets import never, small_config, version_at


@dataclass(frozen=True)
class DrawnSet:
    """A Dataset whose roadwork is orange."""

    kept: tuple[Example, ...]
    name: str = "drawn"
    fingerprint: str = "f" * 64

    def examples(self, split: str | None = None) -> list[Example]:
        return [example for example in self.kept if split in (None, example.split)]


def drawn_set(folder: Path, count: int = 24, *, val: int = 12) -> DrawnSet:
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for number in range(count + val):
        label, rng = number % 2 == 0, np.random.default_rng(number)
        pixels = rng.integers(0, 90, (40, 56, 3)).astype(np.uint8)
        if label:
            pixels[8:32, 10:46] = (250, 120, 10)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        split = "train" if number < count else "val"
        kept.append(Example(path, label, f"g{number}", split, sha256=digest, source="drawn"))
    return DrawnSet(tuple(kept))


def small_run(state: Path, recipe: Recipe, pictures: Pictures, started: str = "2026-11-30T11:00:00+00:00") -> RunFolder:
    """A run over a small network that a version brings."""
    found = version_at(state / "small", small_config())
    origins = Origins(never, lambda _: found, "1.0.0")
    return begin(Wish(recipe, "test"), pictures, state, origins, started=started)


def stored_set(state: Path, name: str, count: int = 60) -> None:
    """A dataset that was added, of blotches like no other's; roadwork is orange, and left mirrors right."""
    folder = state / "pictures"
    for number in range(count):
        rng = np.random.default_rng(number)
        half = rng.integers(0, 160, (6, 4, 3))
        pixels = np.concatenate([half, half[:, ::-1]], axis=1)
        if number % 2 == 0:
            pixels = pixels // 2 + np.array([120, 60, 0])
        path = folder / ("roadwork" if number % 2 == 0 else "none") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC).save(path)
    with writing(dataset_folder(name, state)) as store:
        add(open_folder(folder), store)
        arrange(store, Shares())
