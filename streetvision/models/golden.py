"""The golden check: sixteen fixed pictures that every model must answer sanely before it may serve.

The pictures are stored without loss, one below the other, so that they are the same on every machine and in every
release: answers to them were recorded in registries. Half of them show works. They are drawings: a good model need not
be right about them, but it tells them apart, and it answers them as it did when it was added to the registry.
`make pictures` drew them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streetvision.models.logits import sigmoid

GOLDEN_COUNT = 16
GOLDEN_FILE = Path(__file__).parents[1] / "assets" / "golden.png"
_SIDE = 224
TOLERANCE = 0.05
"""Largest difference in probability from the recorded answer: bfloat16 on a GPU against float32 on a CPU."""
MIN_SPREAD = 1e-3
"""Logits of different pictures that are all within this are one constant answer."""


def golden_images(size: int) -> NDArray[np.uint8]:
    """The golden pictures for an input of `size` pixels a side: uint8 [16, size, size, 3], RGB, the same every time."""
    if size < 16:
        raise ValueError(f"golden pictures measure at least 16 pixels a side, not {size}")
    return resized(_stored(), size)


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Square pictures of another size by nearest neighbours, as an ensemble gives them to its members."""
    places = (np.arange(size) * 2 + 1) * images.shape[1] // (2 * size)
    return np.ascontiguousarray(images[:, places][:, :, places])


@cache
def _stored() -> NDArray[np.uint8]:
    """Read once: health checks ask again and again."""
    with Image.open(GOLDEN_FILE) as strip:
        return np.asarray(strip.convert("RGB")).reshape(GOLDEN_COUNT, _SIDE, _SIDE, 3)


def golden_problem(
    logits: NDArray[np.float32], recorded: Sequence[float] | None, count: int = GOLDEN_COUNT
) -> str | None:
    """What is wrong with logits [count] on the first golden pictures, as a clause after the version; None if nothing.

    `recorded` are the logits that were written down when the model was added, on all 16 pictures; None: unknown.
    """
    if logits.shape != (count,):
        return f"answers {count} golden pictures with logits of shape {list(logits.shape)}"
    if not np.isfinite(logits).all():
        return "answers golden pictures with NaN or infinity"
    if float(np.ptp(logits)) < MIN_SPREAD:
        return f"gives every golden picture the same answer (logit {float(logits[0]):.3f})"
    return None if recorded is None else _deviation(logits, recorded)


def _deviation(logits: NDArray[np.float32], recorded: Sequence[float]) -> str | None:
    if len(recorded) != GOLDEN_COUNT or not np.isfinite(recorded).all():
        return f"has {len(recorded)} recorded golden answers where {GOLDEN_COUNT} finite ones should be"
    pairs = [(sigmoid(float(now)), sigmoid(then)) for now, then in zip(logits, recorded, strict=False)]
    worst = max(range(len(pairs)), key=lambda index: abs(pairs[index][0] - pairs[index][1]))
    now, then = pairs[worst]
    if not abs(now - then) <= TOLERANCE:
        return f"answers golden picture {worst} with {now:.3f}, but with {then:.3f} when it was added"
    return None
