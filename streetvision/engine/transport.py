"""The seam to a backend on other machines: what is sent there, what comes back, and what can go wrong on the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streetvision.engine.types import ImageArray


@dataclass(frozen=True, slots=True)
class ModelPin:
    """Exactly which weights shall answer, or did."""

    version: str
    fingerprint: str
    """sha256 of the weights, hexadecimal; two versions of one name differ in it."""


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """Pictures for one model, the earliest deadline first."""

    model: ModelPin
    images: ImageArray
    """uint8 [N, S, S, 3], N >= 1, decoded to the model's input."""
    seconds: tuple[float, ...]
    """[N]: left until each deadline when the batch is sent; clocks of two machines cannot be compared."""
    priorities: tuple[float, ...]
    """[N]: the callers' stakes; among equal deadlines the higher goes first."""
    keys: tuple[str, ...]
    """[N]: sha256 of each picture's bytes, hexadecimal; empty where nobody has worked it out."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What a backend says to a batch. It comes from outside: the caller checks model, shapes and finiteness."""

    model: ModelPin
    """Which weights have answered."""
    logits: NDArray[np.float32]
    """[N], calibrated; in the order of the batch."""
    embeddings: NDArray[np.float32]
    """[N, D], pooled."""
    inference: float
    """Seconds of the forward pass or passes there."""
    waited: float = 0.0
    """Seconds that the batch waited there before its forward pass."""
    replica: str = ""
    """Who answered, for people: a replica or container."""
    refused: tuple[int, ...] = ()
    """Rows that have no answer, because their deadlines could not be met there; what stands in them means nothing."""


class RemoteTrouble(StrEnum):
    """Why a backend gave no answer that counts; labels of metrics, and what findings tell apart."""

    MISSING = "missing"
    """What it needs is not installed on this machine."""
    UNREACHABLE = "unreachable"
    """No connection: a wrong address, or nobody is there."""
    REFUSED = "refused"
    """No token, or one that is not let in."""
    QUOTA = "quota"
    """A quota is exhausted or a spending cap reached."""
    UNKNOWN_VERSION = "unknown_version"
    """The version is not deployed there."""
    OTHER_WEIGHTS = "other_weights"
    """The version is there with other weights, or another model answered."""
    SKEW = "skew"
    """The two sides run releases that do not understand each other."""
    OVERLOADED = "overloaded"
    """It answers, but not in time: the load is more than it can carry."""
    NO_MEMORY = "no_memory"
    """A replica ran out of memory."""
    FAILED = "failed"
    """The model or a replica failed."""
    INVALID = "invalid"
    """An answer of the wrong shape or type, or one that is not finite."""
    LATE = "late"
    """No answer within the time that answers take there."""


class RemoteFailure(Exception):
    """A batch has no answer; the message is one clause without a secret, for the log and the operator."""

    def __init__(self, trouble: RemoteTrouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class Transport(Protocol):
    """The way to one backend. One serves all models of a miner; bound to the event loop of its first call.

    It neither retries nor waits for a deadline: its caller decides when an answer is late, and cancels the call. Calls
    run side by side, as many as the caller wants.
    """

    @property
    def name(self) -> str:
        """What answers are attributed to: `ray`, `modal`."""
        ...

    @property
    def link(self) -> str:
        """A page on the backend for people, such as a dashboard; empty without one."""
        ...

    async def send(self, batch: RemoteBatch) -> RemoteAnswer:
        """Let the backend answer a batch; raises RemoteFailure and nothing else. Gives the work up when cancelled."""
        ...

    async def close(self) -> None:
        """Let go of the connection; nothing is sent afterwards."""
        ...


def checked(batch: RemoteBatch, answer: RemoteAnswer) -> RemoteAnswer:
    """The answer if it is one to this batch, by these weights, and finite; RemoteFailure otherwise."""
    if answer.model != batch.model:
        raise RemoteFailure(RemoteTrouble.OTHER_WEIGHTS, f"{_named(answer.model)} answered for {_named(batch.model)}")
    logits, embeddings = answer.logits, answer.embeddings
    shaped = logits.shape == (len(batch),) and embeddings.ndim == 2 and len(embeddings) == len(batch)
    if not shaped or {logits.dtype, embeddings.dtype} != {np.dtype(np.float32)}:
        raise RemoteFailure(
            RemoteTrouble.INVALID,
            f"{len(batch)} pictures got {logits.dtype} {list(logits.shape)} and {list(embeddings.shape)}",
        )
    if not all(0 <= row < len(batch) for row in answer.refused):
        raise RemoteFailure(RemoteTrouble.INVALID, "a row is refused that was not asked")
    if not (np.isfinite(logits).all() and np.isfinite(embeddings).all()):
        raise RemoteFailure(RemoteTrouble.INVALID, "an answer is not finite")
    return answer


def _named(model: ModelPin) -> str:
    return f"{model.version} ({model.fingerprint[:12]})"
