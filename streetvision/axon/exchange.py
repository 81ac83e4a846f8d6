"""One request on its way through the axon: the state that its stages fill, and its body."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from streetvision.axon.admission import Caller
from streetvision.axon.quota import ByteBudget, Share
from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Call, Dialect, Refused, dialect_of, too_large
from streetvision.engine.types import Prediction
from streetvision.net.asgi import BODY_COMPLETE, ON_LEAVE, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of the request path."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Exchange:
    """What is known of a request so far; times are monotonic seconds."""

    scope: Scope
    receive: Receive
    send: Send
    headers: dict[bytes, bytes]
    dialect: Dialect
    remote: str
    wall_ns: int
    arrival: float
    call: Call | None = None
    caller: Caller | None = None
    authenticated: bool = False
    deadline: float | None = None
    share: Share = field(default_factory=Share)
    """The memory that this request may fill, given back when it is answered."""
    image: bytes | None = None
    """The only reference to it on the request path: the body it came in is gone by then."""
    prediction: Prediction | None = None
    status: int = 200
    reason: str = "ok"
    marks: list[float] = field(default_factory=list)
    """Ends of the stages reached, in the order of StageTimings."""

    @classmethod
    def begin(cls, scope: Scope, receive: Receive, send: Send, clock: Clock) -> Exchange:
        """Start the clock of a request whose headers have arrived."""
        headers = dict(scope["headers"])
        peer = scope.get("client")
        return cls(
            scope=scope,
            receive=receive,
            send=send,
            headers=headers,
            dialect=dialect_of(headers),
            remote=peer[0] if peer else "",
            wall_ns=clock.wall_ns(),
            arrival=clock.monotonic(),
        )

    def timings(self) -> StageTimings:
        """Durations of the stages reached."""
        ends = [self.arrival, *self.marks]
        return StageTimings(*(end - start for start, end in pairwise(ends)))

    def record(self, now: float) -> RequestRecord:
        """This request for the log, once its reply has left; an unproven caller lends nobody's UID or stake."""
        caller, call = self.caller if self.authenticated else None, self.call
        return RequestRecord(
            dialect=self.dialect,
            hotkey=call.hotkey if call else None,
            uid=caller.uid if caller else None,
            stake=caller.stake if caller else 0.0,
            authenticated=self.authenticated,
            status=self.status,
            reason=self.reason,
            image=self.image,
            prediction=self.prediction,
            arrival=self.wall_ns / 1e9,
            headroom=None if self.deadline is None else self.deadline - now,
            stages=self.timings(),
            remote=self.remote,
        )


async def read_body(exchange: Exchange, limit: int, budget: ByteBudget, timeout_s: float) -> bytes | bytearray:
    """The whole body, of at most `limit` bytes within `timeout_s`; raises Refused. `exchange.share` holds it."""
    if BODY_COMPLETE in exchange.scope:
        return await _read_stream(exchange, limit, budget)
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            return await _read_stream(exchange, limit, budget)
    except TimeoutError:
        raise Refused(408, "slow_body", "The body did not arrive in time.") from None


async def _read_stream(exchange: Exchange, limit: int, budget: ByteBudget) -> bytes | bytearray:
    """Into one growing buffer: joined chunks would need the memory of a large body twice."""
    buffer, share = bytearray(), exchange.share
    while True:
        message = await exchange.receive()
        if message["type"] != "http.request":
            raise Refused(499, "disconnected", "The caller went away.")
        chunk: bytes = message.get("body", b"")
        held = len(buffer) + len(chunk)
        if held > limit:
            raise too_large(limit)
        if held > share.size:
            share.grow(budget, held - share.size)
        complete = not message.get("more_body")
        if complete and not buffer:
            return chunk
        buffer += chunk
        if complete:
            return buffer


@contextmanager
def cancelled_on_leave(scope: Scope) -> Iterator[None]:
    """Cancel what is awaited inside when the caller leaves, and raise Refused then: an image nobody waits for is work.

    A cancellation from elsewhere (a timeout, the axon closing) passes through as it is.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - requests run in tasks
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        task.cancel()

    scope[ON_LEAVE] = leave
    try:
        yield
    except asyncio.CancelledError:
        if not left or task.uncancel() > 0:
            raise
        raise Refused(499, "disconnected", "The caller went away.") from None
    finally:
        del scope[ON_LEAVE]
