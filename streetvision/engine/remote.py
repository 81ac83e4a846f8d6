"""What a lane is told of the backend that answers in its place, and what others may see of it."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.engine.remote_policy import BreakerState, RemotePolicy
from streetvision.engine.transport import ModelPin, RemoteTrouble, Transport


@dataclass(frozen=True, slots=True)
class RemoteEnd:
    """What a lane is told of the backend that answers for it."""

    model: ModelPin
    transport: Transport
    policy: RemotePolicy = RemotePolicy()  # noqa: RUF009 - immutable


@dataclass(frozen=True, slots=True)
class RemoteView:
    """One lane's backend at one moment."""

    name: str
    state: BreakerState
    since: float
    """On the engine's clock: when the breaker opened or closed."""
    trouble: RemoteTrouble | None
    """The last failure's; None while the breaker is closed."""
    why: str
    """The last failure in one clause; empty while the breaker is closed."""
    answered: int
    embedded: int
    """Requests that the embedded model answered instead."""
    link: str = ""
    """Where more can be seen, for people; empty without such a page."""
