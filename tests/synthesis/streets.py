"""Small streets and what is known of them: sky above, a grey road between grass, and an orange thing where asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from streetvision.sources.dataset import Example
from streetvision.synthesis.pixels import Pixels, write_pixels

WIDTH, HEIGHT = 96, 64
THING = (0.40, 0.70, 0.46, 0.80)
"""left, top, right, bottom as shares."""


def street(number: int = 0, *, thing: bool = False, light: float = 1.0) -> Pixels:
    rng = np.random.default_rng((7, number))
    pixels = np.empty((HEIGHT, WIDTH, 3), np.float32)
    pixels[: HEIGHT // 2] = (0.62, 0.74, 0.9)
    pixels[HEIGHT // 2 :] = (0.32, 0.45, 0.22)
    for row in range(HEIGHT // 2, HEIGHT):
        reach = 4 + int((row - HEIGHT / 2) * 1.2)
        pixels[row, WIDTH // 2 - reach : WIDTH // 2 + reach] = 0.42
    blocks = rng.uniform(0.2, 0.7, (3, 4, 3)).astype(np.float32)
    pixels[HEIGHT // 4 : HEIGHT // 4 + 18] = np.kron(blocks, np.ones((6, 24, 1), np.float32))
    if thing:
        left, top, right, bottom = THING
        pixels[int(top * HEIGHT) : int(bottom * HEIGHT), int(left * WIDTH) : int(right * WIDTH)] = (0.95, 0.45, 0.05)
    grainy = light * pixels + rng.normal(0.0, 0.01, pixels.shape)
    return np.asarray(np.clip(grainy, 0.0, 1.0), np.float32)


def example(folder: Path, number: int, *, label: bool | None = None, split: str = "train", **tags: str) -> Example:
    shown = number % 2 == 0 if label is None else label
    data = write_pixels(street(number, thing=shown))
    path = folder / f"{number}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Example(
        path, shown, f"place {number}", split, sha256=digest, source="a test", tags={"licence": "MIT", **tags}
    )
