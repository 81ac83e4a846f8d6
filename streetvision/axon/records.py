"""What the axon tells the rest of the miner about a request, after the reply has left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction


class Predictor(Protocol):
    """What the axon asks for an answer; the engine is one."""

    async def predict(self, jpeg: bytes, *, deadline: float, priority: float) -> Prediction:
        """Answer by `deadline` (`time.monotonic()` seconds) or raise EngineError; a higher stake breaks ties."""
        ...


@dataclass(frozen=True, slots=True)
class StageTimings:
    """Seconds spent in each stage; 0 for stages not reached."""

    admission: float = 0.0
    body: float = 0.0
    predict: float = 0.0
    reply: float = 0.0

    @property
    def total(self) -> float:
        """From the request's arrival to its reply."""
        return self.admission + self.body + self.predict + self.reply


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request after its reply was sent. Only `authenticated` ones are all reported; others are sampled."""

    dialect: Dialect
    hotkey: str | None
    """As claimed; proven only when `authenticated`."""
    uid: int | None
    """Of the proven caller; None when not `authenticated` or not registered."""
    stake: float
    """Of the proven caller; 0 when not `authenticated`."""
    authenticated: bool
    status: int
    reason: str
    """'ok' or the metric label of the refusal."""
    image: bytes | None
    prediction: Prediction | None
    arrival: float
    """Unix seconds."""
    headroom: float | None
    """Seconds between the reply and the deadline (negative: too late); None when no deadline was known."""
    stages: StageTimings
    remote: str
    """Address of the peer, for the operator's eyes."""
