"""Decoding a photo to the model's input against a plain PIL open-convert-resize, alternating in one run.

Each picture is measured in a fresh process: drawing pictures leaves an allocator with large free blocks, which spares
plain decoding the page faults that it has in a miner (and up to a quarter of its time). Raises instead of giving a
figure when the two results differ by more than the tolerance that streetvision.engine.decode states.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from harness import Row, machine, percentile, report
from numpy.typing import NDArray
from PIL import Image

from streetvision.engine.decode import DRAFT_TOLERANCE, DecodeLimits, decode

SIDE = 224
LARGE, MIDDLE, SMALL = (4032, 3024), (1024, 640), (224, 224)
LARGER = ((6000, 4000), (8160, 6120))
"""Phones of 24 and 50 megapixels."""
GRAIN = 5.0
"""Sensor noise in levels: with it a 12-megapixel picture weighs what a phone's photo weighs, 3 to 4 MB."""


def photo_like(size: tuple[int, int], seed: int = 72) -> Image.Image:
    """Detail at every scale, falling off as in photos."""
    width, height = size
    rng = np.random.default_rng(seed)
    light = np.zeros((height, width), np.float32)
    cells, strength = 4, 1.0
    while cells < 2 * width:
        grid = rng.normal(size=(max(2, cells * height // width), cells)).astype(np.float32)
        light += strength * np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BILINEAR))
        cells, strength = cells * 2, strength * 0.6
    tint = Image.fromarray(rng.integers(60, 196, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = 45 * (light / light.std())[..., None] + np.asarray(tint, np.float32)
    return grainy(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), rng)


def grainy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    grain = GRAIN * rng.standard_normal((image.height, image.width, 1), np.float32)
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def enlarged(path: Path) -> Image.Image:
    """A real photo at 4032x3024, with grain where enlarging left none."""
    image = Image.open(path).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC)
    return grainy(image, np.random.default_rng(72))


def jpeg(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


def plain(data: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def ours(data: bytes) -> NDArray[np.uint8]:
    return decode(data, size=SIDE, limits=DecodeLimits(), resize="squash").array


def timed(call: Callable[[bytes], object], data: bytes) -> float:
    started = time.perf_counter()
    call(data)
    return time.perf_counter() - started


def measure(name: str, data: bytes, rounds: int) -> Row:
    gap = np.abs(plain(data).astype(int) - ours(data))
    if gap.mean() > DRAFT_TOLERANCE[0] or gap.max() > DRAFT_TOLERANCE[1]:
        raise ValueError(
            f"{name}: the results differ by {gap.mean():.2f} on average and {gap.max()} at most: no figure"
        )

    pairs = [(timed(plain, data), timed(ours, data)) for _ in range(rounds)]
    slow, fast = (percentile([pair[side] for pair in pairs], 0.5) for side in (0, 1))
    return {
        "image": name,
        "kB": len(data) // 1000,
        "plain_ms": slow * 1e3,
        "ours_ms": fast * 1e3,
        "ratio": slow / fast,
        "mean_gap": float(gap.mean()),
        "max_gap": int(gap.max()),
    }


def images(photos: Path | None) -> dict[str, bytes]:
    found = {}
    for width, height in (LARGE, *LARGER):
        large = photo_like((width, height))
        found[f"synthetic {width}x{height}"] = jpeg(large)
        found[f"synthetic {width}x{height}, progressive"] = jpeg(large, progressive=True)
    found |= {
        "synthetic 1024x640": jpeg(photo_like(MIDDLE)),
        "synthetic 224x224": jpeg(photo_like(SMALL)),
    }
    for path in sorted(photos.glob("*.jpg"))[:3] if photos else []:
        found[f"{path.stem} at 4032x3024"] = jpeg(enlarged(path))
        found[path.stem] = path.read_bytes()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG photos to use as well")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    where = machine()
    jobs = [(name, data, arguments.rounds) for name, data in images(arguments.photos).items()]
    with get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        rows = fresh.starmap(measure, jobs, chunksize=1)
    report("decode", f"Decoding a JPEG to {SIDE}x{SIDE} against plain PIL, medians", rows, where)


if __name__ == "__main__":
    main()
