"""What waits for a model and what it gets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray, RunnerOutput
from streetvision.engine.views import ViewPass


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of a forward pass."""

    logit: float
    embedding: NDArray[np.float32]
    version: str
    batch_size: int
    seconds: float
    """Of its forward passes."""
    views: int = 1

    @property
    def probability(self) -> float:
        """The logit's sigmoid, stable for any finite logit: exp never sees a large positive number."""
        small = exp(-abs(self.logit))
        return 1 / (1 + small) if self.logit >= 0 else small / (1 + small)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A decoded image and who waits for it."""

    image: ImageArray
    future: asyncio.Future[Answer]
    others: tuple[ImageArray, ...] = ()
    """The pixels of its further passes."""
    passes: tuple[ViewPass, ...] = ()
    """What each of its passes is, the first included; empty where there is only one."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass that gave what it should."""

    output: RunnerOutput
    seconds: float
