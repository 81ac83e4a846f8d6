"""What waits for a backend, and what is on its way there together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetvision.engine.answers import Answer
from streetvision.engine.decode import DecodedImage
from streetvision.engine.types import EngineError, ImageArray


@dataclass(slots=True, eq=False)
class Send:
    """A batch on its way."""

    callers: Sequence[Request]
    started: float
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    late: bool = False


@dataclass(slots=True, eq=False)
class Request:
    """One picture and who waits for it."""

    image: DecodedImage
    deadline: float
    priority: float
    key: str
    order: int
    future: asyncio.Future[Answer]
    send: Send | None = None
    embedded: asyncio.Task[None] | None = None
    refusal: EngineError | None = None
    """Why the embedded model does not answer it."""
    lost: bool = False
    """Whether nothing is to be expected from the backend any more."""


def stacked(images: Sequence[ImageArray]) -> ImageArray:
    """Pictures [H, W, 3] as [N, H, W, 3]; one by itself is not copied."""
    return images[0][None] if len(images) == 1 else np.stack(images)


def rank(request: Request) -> tuple[float, float, int]:
    """Sort key: the earliest deadline, then the higher priority, then the first come."""
    return request.deadline, -request.priority, request.order


def fail(request: Request, error: EngineError) -> None:
    """Tell who waits, if somebody still does."""
    if not request.future.done():
        request.future.set_exception(error)
