"""A backend in this process that does what a script says: answers after so long, stalls, dies, errs. No network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.transport import RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.engine.types import ImageArray

Forward = Callable[[ImageArray], NDArray[np.float32]]
"""Logits of uint8 [N, S, S, 3]."""


class Mood(Enum):
    """What it does with a batch."""

    WELL = "well"
    STALLS = "stalls"
    """Never answers; what was on its way is lost too."""
    DEAD = "dead"
    """Refuses the connection."""
    NAN = "nan"
    SHORT = "short"
    """Leaves the last row out."""
    OTHER = "other"
    """Answers by other weights."""


@dataclass
class ScriptedTransport:
    """Set `mood` and `seconds` at any time; batches on their way follow."""

    forward: Forward
    seconds: float = 0.0
    """Of a batch; 0 answers at once."""
    name: str = "scripted"
    link: str = ""
    mood: Mood = Mood.WELL
    batches: list[RemoteBatch] = field(default_factory=list)
    cancelled: int = 0
    failure: RemoteFailure | None = None
    """Raised in place of DEAD's own."""

    async def send(self, batch: RemoteBatch) -> RemoteAnswer:
        """As Transport has it."""
        self.batches.append(batch)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            while self.mood is Mood.STALLS:
                await asyncio.sleep(3600.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.mood is Mood.DEAD:
            raise self.failure or RemoteFailure(RemoteTrouble.UNREACHABLE, "connection refused")
        return self._answer(batch)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _answer(self, batch: RemoteBatch) -> RemoteAnswer:
        logits = self.forward(batch.images).astype(np.float32)
        if self.mood is Mood.NAN:
            logits[-1] = np.nan
        if self.mood is Mood.SHORT:
            logits = logits[:-1]
        embeddings = np.repeat(logits[:, None], 4, axis=1)
        model = batch.model
        if self.mood is Mood.OTHER:
            model = replace(model, fingerprint="0" * 64)
        return RemoteAnswer(model, logits, embeddings, self.seconds)
