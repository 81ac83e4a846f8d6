"""The engine's seams: what goes in, what comes out, and what can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streetvision.models.router import RouterOutcome

ImageArray = NDArray[np.uint8]

EMBEDDED = "embedded"
"""Who answers unless a backend on other machines does: the model in this process."""


@dataclass(frozen=True, slots=True)
class RunnerOutput:
    """One batch's result: calibrated logits, float32 [N], and pooled embeddings, float32 [N, D]."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class Runner(Protocol):
    """A model on a device; anything that honours this contract can replace it.

    Never two calls at once, but more than one thread in turn. A thread calls `warmup` before it calls `run`, with no
    buckets when they are warm already: torch's thread count and compile settings belong to a thread.
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
    def resize(self) -> str:
        """How an image becomes square: `squash` or `crop`, as the checkpoint says."""
        ...

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes that run without padding, ascending; the last is the largest batch accepted."""
        ...

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        """Compile and run each bucket, so that no request pays for it; returns the seconds that one warm run takes.

        No buckets: only make the calling thread ready to `run`.
        """
        ...

    def run(self, images: ImageArray) -> RunnerOutput:
        """Run uint8 images [N, H, W, 3] with 1 <= N <= buckets[-1]; raises RunnerFailure on NaN or a device error."""
        ...


@runtime_checkable
class Resampling(Protocol):
    """A Runner whose pictures are not scaled by the bicubic filter, or which says so."""

    @property
    def resample(self) -> str:
        """Filter that scales a picture to its input, by Pillow's name in lower case."""
        ...


@dataclass(frozen=True, slots=True)
class ServedBy:
    """What computes a model's answers, so that two starts or two replays can be compared afterwards."""

    runner: str
    """As the setting `runner` names it."""
    device: str
    precision: str
    """`float32`, `bf16`, `int8`, `fp8`, or torch's own name of a dtype."""
    reason: str
    """Why it is that precision, as a sentence."""
    threads: int | None = None
    """Of a CPU; None on a GPU."""


@runtime_checkable
class Telling(Protocol):
    """A Runner that says what computes; one without it is told of as nothing."""

    @property
    def served_by(self) -> ServedBy:
        """After warm-up."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A Runner that holds more than Python's reference counting frees: cycles, graphs, device memory."""

    def close(self) -> None:
        """Free everything, on the last thread that used it; nothing is called afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class PrepareStep:
    """One step of getting a model ready in the background is done."""

    stage: Literal["load", "warm", "touch"]
    """`load`: weights are read. `warm`: a bucket has run beside serving. `touch`: on the thread that will serve it."""
    bucket: int | None
    """The batch size; None while loading."""
    seconds: float
    done: int
    total: int


class Role(StrEnum):
    """What a lane is to the requests."""

    ACTIVE = "active"
    """Answers callers."""
    CANARY = "canary"
    """Answers the callers whose image falls under its share."""
    SHADOW = "shadow"
    """Answers nobody: it sees images after the reply."""


@dataclass(frozen=True, slots=True)
class OtherAnswer:
    """What the active model said to the same image."""

    version: str
    probability: float | None
    """None when it failed."""
    logit: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one image ended in one lane, for listeners.

    A request gives one outcome with `comparison` False: role ACTIVE, or CANARY when the canary answered. When a canary
    fails and the active model answers instead there are two: CANARY with its `error`, then ACTIVE with the answer.

    With `comparison` True nobody was answered, and `other` is set: role SHADOW (the shadow's answer, with the one that
    the caller got), or role CANARY (its answer again, with what the active model says to that image). So error rates
    and latencies of a canary are counted where `comparison` is False, its agreement where it is True.
    """

    role: Role
    version: str
    """Of the lane's model."""
    image_key: str
    """sha256 of the image's bytes, hexadecimal; empty when the request was refused before its bytes were looked at."""
    probability: float | None
    """None when there is an error."""
    logit: float | None
    error: str | None
    """bad_image, image_too_large, overloaded, deadline, closed or runner, as EngineError.reason; None when answered."""
    seconds: float
    """From admission to the answer; of a comparison, decoding and forward pass."""
    inference: float | None
    """Seconds of the forward pass; None when there is an error."""
    headroom: float | None
    """Seconds that were left until the caller's deadline, at most 0 when missed; None for a comparison."""
    batch_size: int
    """0 when there is an error."""
    views: int
    """0 when there is an error."""
    comparison: bool = False
    other: OtherAnswer | None = None


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
    decoded: float | None = None
    """Share of the pixels that could be decoded of a file without its end; None for a whole file."""
    members: tuple[float, ...] = ()
    """Of an ensemble or a model with views: the logit of each member that answered, the mean over its views."""
    router: RouterOutcome | None = None
    """Of an ensemble with a router: why its second member answered, or why not."""
    served_by: str = EMBEDDED
    """EMBEDDED, or the name of the backend whose answer this is."""


class EngineError(Exception):
    """Why a request got no prediction; `reason` is a stable metric label, the message is safe to send to the caller."""

    reason = "engine"


class BadImage(EngineError):
    """The bytes are not an image this miner accepts."""

    reason = "bad_image"


class ImageTooLarge(BadImage):
    """An image beyond a limit that the operator can raise: bytes, pixels, or the memory that decoding it takes."""

    reason = "image_too_large"


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


class DeviceLost(RunnerFailure):
    """The device under the model is lost to this process: no retry heals it, and no model is to blame."""

    reason = "device"
