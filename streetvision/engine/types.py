"""The engine's seams: what goes in, what comes out, and what can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RunnerOutput:
    """One batch's result: calibrated logits, float32 [N], and pooled embeddings, float32 [N, D]."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class Runner(Protocol):
    """A model on a device; anything that honours this contract can replace it.

    One thread calls `warmup` and `run`, the same for both: compilers keep state for each thread.
    """

    @property
    def version(self) -> str:
        """Version of the model that answers, for logs and predictions."""
        ...

    @property
    def input_size(self) -> int:
        """Side of the square input in pixels."""
        ...

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes that run without padding, ascending; the last is the largest batch accepted."""
        ...

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """Compile and run each bucket, so that no request pays for it; returns the seconds that one warm run takes."""
        ...

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 images [N, H, W, 3] with 1 <= N <= buckets[-1]; raises RunnerFailure on NaN or a device error."""
        ...


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one request's time went, in seconds."""

    decode: float
    queue: float
    inference: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one image."""

    probability: float
    """P(roadwork) in [0, 1], never NaN."""
    logit: float
    embedding: NDArray[np.float32]
    """Pooled embedding [D]."""
    model_version: str
    views: int
    """Test-time views averaged into the logit."""
    batch_size: int
    """Requests that shared the forward pass, before padding to a bucket."""
    width: int
    height: int
    """Size of the image as sent, in pixels, after EXIF orientation."""
    timings: Timings


class EngineError(Exception):
    """Why a request got no prediction; `reason` is a stable metric label, the message is safe to send to the caller."""

    reason = "engine"


class BadImage(EngineError):
    """The bytes are not an image this miner accepts."""

    reason = "bad_image"


class Overloaded(EngineError):
    """The queue is full or the deadline cannot be met: refused at once rather than computed in vain."""

    reason = "overloaded"


class DeadlineMissed(EngineError):
    """The deadline passed while the request waited."""

    reason = "deadline"


class EngineClosed(EngineError):
    """The engine is draining or closed."""

    reason = "closed"


class RunnerFailure(EngineError):
    """The model failed on this batch (device error, NaN)."""

    reason = "runner"
