"""JPEGs of the sizes that dashcams and phones send, made where they are needed: drawn scenes, cut and encoded anew."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from streetvision.base.process_pool import map_on_cores
from streetvision.scenes.photographic import encode_jpeg
from streetvision.scenes.scenes import render_scene
from streetvision.sources.dataset import Example

FIRST_SCENE = 700_000_000
"""Neither training nor other benchmarks use scenes from here on."""
SIZES = ((1280, 720), (1280, 720), (1280, 720), (1280, 720), (640, 480), (640, 480), (640, 480), (1920, 1080))
QUALITY = 90


def make_pictures(folder: Path, count: int, workers: int, per_scene: int = 32) -> list[Example]:
    """`count` files in `folder`/roadwork and `folder`/plain, each with a cut of its own out of `count` / 32 scenes."""
    for name in ("roadwork", "plain"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    work = partial(_pictures, folder=folder, count=per_scene)
    made = map_on_cores(work, range(FIRST_SCENE, FIRST_SCENE + -(-count // per_scene)), workers)
    return [example for group in made for example in group][:count]


def known_pictures(folder: Path) -> list[Example]:
    """Those that `make_pictures` made there before, in the same order for each process."""
    paths = sorted(folder.glob("*/*.jpg"), key=lambda path: path.name)
    return [Example(path, path.parent.name == "roadwork", path.stem, "train") for path in paths]


def _pictures(seed: int, folder: Path, count: int) -> list[Example]:
    rng = np.random.default_rng((23, seed))
    label = seed % 2 == 0
    scene = Image.fromarray(render_scene(seed, roadwork=label, size=(960, 600)).image)
    made = list[Example]()
    for number in range(count):
        path = folder / ("roadwork" if label else "plain") / f"{seed}-{number}.jpg"
        data = encode_jpeg(_cut(scene, SIZES[number % len(SIZES)], rng), QUALITY)
        path.write_bytes(data)
        made.append(Example(path, label, path.stem, "train", sha256=hashlib.sha256(data).hexdigest()))
    return made


def _cut(scene: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A random part at that size, with the grain of a sensor: a smooth picture would be too cheap to decode."""
    share = rng.uniform(0.6, 1.0)
    wide, high = share * scene.width, share * scene.height
    left, top = rng.random() * (scene.width - wide), rng.random() * (scene.height - high)
    cut = scene.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + wide, top + high))
    grain = rng.integers(-6, 7, (size[1], size[0], 1), dtype=np.int16)
    return Image.fromarray((np.asarray(cut) + grain).clip(0, 255).astype(np.uint8))
