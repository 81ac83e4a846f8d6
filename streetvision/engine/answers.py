"""What waits for a model and what it gets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import EMBEDDED, ImageArray, RunnerOutput
from streetvision.engine.views import ViewPass
from streetvision.models.logits import sigmoid
from streetvision.models.router import RouterOutcome


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
    members: tuple[float, ...] = ()
    """As Prediction has them."""
    router: RouterOutcome | None = None
    served_by: str = EMBEDDED
    """As Prediction has it."""

    @property
    def probability(self) -> float:
        """The logit's sigmoid."""
        return sigmoid(self.logit)


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
    asked: NDArray[np.bool_] | None = None
    """[N]: for which rows a router asks the second member; None without a router."""
