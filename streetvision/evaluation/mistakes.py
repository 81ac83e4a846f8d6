"""The surest wrong answers, as small pictures of our own making: what to look at first."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from streetvision.evaluation.distortions import upright
from streetvision.evaluation.predictions import Answers
from streetvision.sources.dataset import Example

MOST = 8
"""Of each kind."""
SIDE, QUALITY = 240, 68


@dataclass(frozen=True, slots=True)
class Mistake:
    """One picture that was answered wrongly."""

    name: str
    """Of its file, without folders."""
    label: bool
    probability: float
    jpeg: str
    """Base64 of a small JPEG; empty where the file has gone or changed meanwhile."""


def mistakes(told: Answers, *, most: int = MOST) -> list[Mistake]:
    """At most `most` missed works and as many false alarms, the surest first."""
    return [
        Mistake(example.path.name, example.label, float(told.sample.probabilities[place]), thumbnail(example))
        for place, example in _surest(told, most)
    ]


def _surest(told: Answers, most: int) -> Iterator[tuple[int, Example]]:
    sample = told.sample
    for label in (True, False):
        wrong = np.flatnonzero((sample.said != sample.labels) & (sample.labels == label))
        order = wrong[np.argsort(-np.abs(sample.logits[wrong]), kind="stable")]
        yield from ((int(place), told.examples[place]) for place in order[:most])


def thumbnail(example: Example) -> str:
    """A picture that the engine answered before, small and encoded anew."""
    try:
        image = upright(example.path.read_bytes(), 2 * SIDE)
        image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return base64.b64encode(buffer.getvalue()).decode("ascii")
