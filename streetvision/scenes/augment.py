"""The validators' augmentations: the parameters of each level, drawn once for both backends, and their numpy version.

A validator degrades a photograph at one of four levels before it asks: 0 only crops the centre; 1 rotates by up to 20
degrees, crops a random square of 0.2 to 1.0 of the area and flips; 2 adds mild saturation, contrast and resampling;
3 adds stronger ones, coloured noise and blur. STRESS goes on to the strongest severities known of every distortion,
grey blocks included. `training.views` and `training.distortions` do the same to batches on a GPU. Source: the image
transforms of the subnet's public validator; both flips are drawn at one half, as it declares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 224
"""Side in pixels of an augmented challenge."""
STRESS = 4
LEVELS = (0, 1, 2, 3)
"""What validators draw from, evenly; STRESS is for measuring beyond it."""

SATURATION = (0.4, 0.3, 0.2, 0.1, 0.0)
CONTRAST = (0.85, 0.725, 0.6, 0.475, 0.35)
BLOCKS = (16, 32, 48, 64, 80)
RESAMPLE = (2, 3, 4, 5, 6)
NOISE = (0.001, 0.002, 0.005, 0.01, 0.05)
BLUR = (7, 9, 13, 17, 21)
"""Per severity 1 to 5: chroma factor, pixel factor, grey 8x8 blocks, scale down and up, variance, kernel side."""

ORDER = ("saturation", "contrast", "blocks", "resample", "noise", "blur")
MAX_SEVERITY: Mapping[int, Mapping[str, int]] = {
    0: {},
    1: {},
    2: {"saturation": 1, "contrast": 1, "resample": 1},
    3: {"saturation": 2, "contrast": 2, "resample": 2, "noise": 2, "blur": 2},
    STRESS: dict.fromkeys(ORDER, 5),
}
"""Each distortion's severity is drawn evenly from 0 (left out) to this."""

ROTATION = 20.0
CROP_AREA = (0.2, 1.0)
NOISE_GAINS = (255.0 * 255.0 / 219.0, 255.0 * 255.0 / 224.0, 255.0 * 255.0 / 224.0)
"""Grey levels of Y, Cb and Cr per unit of the noise's deviation: it is added in studio-range YCbCr."""
TO_RGB = ((1.0, 0.0, 1.403), (1.0, -0.344, -0.714), (1.0, 1.773, 0.0))
"""RGB from Y, Cb, Cr."""

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Recipes:
    """What happens to each of N pictures of one size; arrays of length N.

    A picture is rotated by `angle` degrees (counter-clockwise, black corners), cut to the box left, top, wide, high in
    pixels, scaled to the output's size and flipped; then the distortions follow in ORDER.
    """

    width: int
    height: int
    angle: Floats
    left: Floats
    top: Floats
    wide: Floats
    high: Floats
    flip_x: NDArray[np.bool_]
    flip_y: NDArray[np.bool_]
    severity: Mapping[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.angle)

    def matrices(self) -> Floats:
        """[N, 2, 3]: output position in [0, 1] to source position in [0, 1], both measured between pixel edges."""
        turn = np.deg2rad(self.angle.astype(np.float64))
        cos, sin = np.cos(turn), np.sin(turn)
        sx, sy = np.where(self.flip_x, -self.wide, self.wide), np.where(self.flip_y, -self.high, self.high)
        ox = np.where(self.flip_x, self.left + self.wide, self.left) - self.width / 2
        oy = np.where(self.flip_y, self.top + self.high, self.top) - self.height / 2
        across = np.stack([cos * sx, -sin * sy, cos * ox - sin * oy + self.width / 2], axis=-1) / self.width
        down = np.stack([sin * sx, cos * sy, sin * ox + cos * oy + self.height / 2], axis=-1) / self.height
        return np.stack([across, down], axis=1).astype(np.float32)


def draw_recipes(rng: np.random.Generator, levels: NDArray[np.int64], width: int, height: int) -> Recipes:
    """Draw a recipe for each level in `levels` [N], for pictures of width x height pixels."""
    count, plain = len(levels), levels == 0
    side, left, top = _crops(rng, count, width, height)
    short = float(min(width, height))
    severity = {name: np.zeros(count, np.int64) for name in ORDER}
    for level, limits in MAX_SEVERITY.items():
        chosen = np.flatnonzero(levels == level)
        for name, most in limits.items():
            severity[name][chosen] = rng.integers(0, most + 1, len(chosen))
    side = np.where(plain, short, side)
    return Recipes(
        width=width,
        height=height,
        angle=np.where(plain, 0.0, rng.uniform(-ROTATION, ROTATION, count)).astype(np.float32),
        left=np.where(plain, np.floor((width - short) / 2), left).astype(np.float32),
        top=np.where(plain, np.floor((height - short) / 2), top).astype(np.float32),
        wide=side.astype(np.float32),
        high=side.astype(np.float32),
        flip_x=~plain & (rng.random(count) < 0.5),
        flip_y=~plain & (rng.random(count) < 0.5),
        severity=severity,
    )


def _crops(
    rng: np.random.Generator, count: int, width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Squares of a random area: the first of ten draws that fits the picture, else the largest in its centre."""
    draws = np.round(np.sqrt(width * height * rng.uniform(*CROP_AREA, (count, 10))))
    fits = draws <= min(width, height)
    some = fits.any(axis=1)
    side = np.where(some, draws[np.arange(count), fits.argmax(axis=1)], float(min(width, height)))
    left, top = (np.floor(rng.random(count) * (whole - side + 1)) for whole in (width, height))
    left = np.where(some, left, np.floor((width - side) / 2))
    top = np.where(some, top, np.floor((height - side) / 2))
    return side, left, top


def augment(image: Pixels, level: int, rng: np.random.Generator, *, size: int = SIZE) -> Pixels:
    """One picture [H, W, 3] as a validator of this level would send it: [size, size, 3], uint8 RGB."""
    recipes = draw_recipes(rng, np.array([level]), image.shape[1], image.shape[0])
    return apply_recipe(image, recipes, 0, rng, size=size)


def apply_recipe(image: Pixels, recipes: Recipes, index: int, rng: np.random.Generator, *, size: int = SIZE) -> Pixels:
    """Apply the recipe of that index to one picture of the recipes' size; `rng` feeds noise and blocks."""
    picture = _cut(Image.fromarray(image), recipes, index, size)
    pixels = np.asarray(picture)
    for name in ORDER:
        severity = int(recipes.severity[name][index])
        if severity:
            pixels = distort(pixels, name, severity, rng)
    return pixels


def _cut(image: Image.Image, recipes: Recipes, index: int, size: int) -> Image.Image:
    angle = float(recipes.angle[index])
    if angle:
        image = image.rotate(angle, Image.Resampling.NEAREST)
    left, top = float(recipes.left[index]), float(recipes.top[index])
    box = (left, top, left + float(recipes.wide[index]), top + float(recipes.high[index]))
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if recipes.flip_x[index]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if recipes.flip_y[index] else image


def distort(image: Pixels, name: str, severity: int, rng: np.random.Generator) -> Pixels:
    """Apply one distortion of ORDER at severity 1 to 5 to uint8 [H, W, 3]; raises KeyError for an unknown name."""
    step = severity - 1
    pixels = image.astype(np.float32)
    if name == "saturation":
        luma = pixels @ np.array((0.299, 0.587, 0.114), np.float32)
        result = luma[:, :, None] + (pixels - luma[:, :, None]) * np.float32(SATURATION[step])
    elif name == "contrast":
        result = pixels * np.float32(CONTRAST[step])
    elif name == "blocks":
        return _blocks(image, BLOCKS[step], rng)
    elif name == "resample":
        return _resample(image, RESAMPLE[step])
    elif name == "noise":
        result = pixels + _noise(pixels.shape, NOISE[step], rng)
    elif name == "blur":
        result = _blur(pixels, BLUR[step])
    else:
        raise KeyError(f"unknown distortion {name!r}; known: {', '.join(ORDER)}")
    return np.clip(result, 0.0, 255.0).astype(np.uint8)


def _blocks(image: Pixels, count: int, rng: np.random.Generator) -> Pixels:
    """Grey squares of 8 pixels; as many per 256 pixels of the shorter side, at least one helping."""
    result = image.copy()
    for _ in range(max(1, min(image.shape[:2]) // 256) * count):
        top, left = rng.integers(0, image.shape[0] - 8), rng.integers(0, image.shape[1] - 8)
        result[top : top + 8, left : left + 8] = 128
    return result


def _resample(image: Pixels, factor: int) -> Pixels:
    """Down by a whole factor and up again, bilinear without a low-pass filter."""
    height, width = image.shape[:2]
    small = _bilinear(image.astype(np.float32), height // factor, width // factor)
    return _bilinear(np.rint(small), height, width).astype(np.uint8)


def _bilinear(pixels: Floats, height: int, width: int) -> Floats:
    for axis, target in ((0, height), (1, width)):
        source = pixels.shape[axis]
        at = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0.0, source - 1.0)
        low = at.astype(np.int64)
        share = (at - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        below, above = np.take(pixels, low, axis), np.take(pixels, np.minimum(low + 1, source - 1), axis)
        pixels = below + (above - below) * share
    return pixels


def _noise(shape: tuple[int, ...], variance: float, rng: np.random.Generator) -> Floats:
    gains = np.array(NOISE_GAINS, np.float32) * np.float32(sqrt(variance))
    return (rng.standard_normal(shape, dtype=np.float32) * gains) @ np.array(TO_RGB, np.float32).T


def gaussian(kernel: int) -> Floats:
    """Weights [kernel] of a Gaussian whose deviation is a sixth of the kernel's side."""
    at = np.arange(kernel) - (kernel - 1) / 2
    weights = np.exp(-(at**2) / (2 * (kernel / 6) ** 2))
    result: Floats = (weights / weights.sum()).astype(np.float32)
    return result


def _blur(pixels: Floats, kernel: int) -> Floats:
    half = kernel // 2
    for axis in (0, 1):
        padding = [(half, half) if axis == other else (0, 0) for other in range(3)]
        padded, size = np.pad(pixels, padding, mode="reflect"), pixels.shape[axis]
        pixels = sum(
            (
                np.take(padded, np.arange(step, step + size), axis) * weight
                for step, weight in enumerate(gaussian(kernel))
            ),
            start=np.zeros_like(pixels),
        )
    return pixels
