"""uvicorn's HTTP protocol with the limits it lacks: header size and time, pipelining, unwanted bodies, silence."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from streetvision.net.asgi import ADMITTED, BODY_COMPLETE, ON_LEAVE, REPLY
from streetvision.net.limits import GuardCounter, HttpLimits
from streetvision.net.preamble import LONGEST, MESSAGES, reason_of

MAX_PIPELINED = 8
CLOSING = (408, 503)
"""Statuses after which the connection is closed: a caller that is too slow, or a miner that may be about to go."""
DISCARD_BYTES = 8 << 20
"""What is read and thrown away of an unwanted body beyond the largest legal one.

Most clients read no reply before their body is out: closing earlier, they meet a reset instead of their refusal.
"""


class _Abuse(Exception):
    """The connection broke a limit: stops the parser from inside a callback."""


class Watch:
    """All connections of one server: who waits for headers since when, and who gives way when there are too many."""

    def __init__(self, limits: HttpLimits, counter: GuardCounter, max_connections: int) -> None:
        self.limits, self.counter, self._max = limits, counter, max_connections
        self._open: dict[GuardedProtocol, None] = {}

    def opened(self, connection: GuardedProtocol) -> None:
        """Note a new connection; the oldest of those that deserve theirs least makes room."""
        self._open[connection] = None
        self.counter.connections(len(self._open))
        if len(self._open) > self._max:
            victim = self._least_deserving(connection)
            self.counter.dropped("evicted", victim.remote)
            self.closed(victim)
            victim.transport.abort()

    def _least_deserving(self, newest: GuardedProtocol) -> GuardedProtocol:
        """The oldest stranger, else the oldest idle caller, else the newcomer: in a flood the first one looked at."""
        for standing in (0, 1):
            found = next((c for c in self._open if c.standing == standing and c is not newest), None)
            if found is not None:
                return found
        return newest

    def connections(self) -> list[GuardedProtocol]:
        """All open connections."""
        return list(self._open)

    def closed(self, connection: GuardedProtocol) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        self.counter.connections(len(self._open))

    def sweep(self, now: float) -> None:
        """Close what has waited for its headers too long; `now` is the loop's time."""
        for connection in [c for c in self._open if c.headers_by is not None and c.headers_by <= now]:
            connection.give_up()

    async def run(self, interval_s: float = 0.25) -> None:
        """Sweep for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(interval_s)
            self.sweep(loop.time())


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        watch: Watch,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch = watch
        self.headers_by: float | None = None
        self._max_header_bytes = watch.limits.max_header_bytes
        self._max_discarded = watch.limits.max_body_bytes + DISCARD_BYTES
        self._head_bytes = self._chunk_bytes = 0
        self._in_head, self._head_begun, self._begun_in_chunk = True, False, False
        self._discarded = 0
        self._first = b""
        self._closing = self._served = False

    @property
    def remote(self) -> str:
        """Address of the peer; empty when the system does not say."""
        return self.client[0] if self.client else ""

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def standing(self) -> int:
        """Who gives way first: 0 strangers, 1 the idle that were of use, 2 a proven caller's request."""
        if self.busy and ADMITTED in self.cycle.scope:
            return 2
        return int(self._served)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Start the clock for the first request's headers."""
        super().connection_made(transport)
        self._await_headers()
        self._watch.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and let the application drop what nobody waits for any more."""
        self._watch.closed(self)
        self.headers_by = None
        super().connection_lost(exc)
        if self.cycle is not None and ON_LEAVE in self.cycle.scope:
            self.cycle.scope[ON_LEAVE]()  # type: ignore[literal-required]  # a key of our own

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, within the limits."""
        self._unset_keepalive_if_required()
        if len(self._first) < LONGEST:
            self._first += data[: LONGEST - len(self._first)]
        if not self.busy and self.headers_by is None:
            self._await_headers()
        try:
            self._begun_in_chunk, self._chunk_bytes = False, len(data)
            self.parser.feed_data(data)
            if self._in_head and not self._begun_in_chunk:
                self._count_head(len(data))
        except _Abuse:
            return
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                reason = reason_of(self._first)
                self._reject(400, reason, MESSAGES[reason])

    def on_message_begin(self) -> None:
        """Count this request's head from nothing."""
        super().on_message_begin()
        self._in_head = self._head_begun = self._begun_in_chunk = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers after a chunked body are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the application, unless too many wait already."""
        if self._chunk_bytes > self._max_header_bytes:
            self._check_head(sum(len(name) + len(value) for name, value in self.headers) + len(self.url))
        self._in_head, self._head_begun, self.headers_by, self._discarded = False, False, None, 0
        if len(self.pipeline) >= MAX_PIPELINED:
            self._watch.counter.dropped("pipelining", self.remote)
            self.transport.abort()
            raise _Abuse
        super().on_headers_complete()
        self.scope[REPLY] = partial(self._reply_at_once, self.cycle)  # type: ignore[literal-required]  # a key of our own

    def on_body(self, body: bytes) -> None:
        """Buffer the body, or throw a bounded part of it away once the request was answered."""
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > self._max_discarded:
                self._watch.counter.dropped("unwanted_body", self.remote)
                self.transport.close()
                raise _Abuse
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next bytes belong to another head."""
        self.scope[BODY_COMPLETE] = True  # type: ignore[literal-required]  # a key of our own
        super().on_message_complete()
        # What this chunk held was body: only later ones can be the next head.
        self._in_head, self._begun_in_chunk, self._head_bytes = True, True, 0
        if self._closing:
            self.transport.close()
            raise _Abuse

    def on_response_complete(self) -> None:
        """Remember that this connection was of use."""
        self._served = self._served or ADMITTED in self.cycle.scope
        super().on_response_complete()

    def give_up(self) -> None:
        """The headers did not come in time."""
        self.headers_by = None
        if self._head_begun:
            self._reject(408, "slow_headers", "The headers did not arrive in time.")
        else:
            self._watch.counter.dropped("silent", self.remote)
            self.transport.close()

    def _await_headers(self) -> None:
        self.headers_by = self.loop.time() + self._watch.limits.header_timeout_s

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        self._check_head(self._head_bytes)

    def _check_head(self, size: int) -> None:
        if size > self._max_header_bytes:
            self._reject(431, "huge_headers", "The headers are too large.")
            raise _Abuse

    def _reject(self, status: int, reason: str, message: str) -> None:
        """Answer below the application and close; where an answer is under way, close after it."""
        self._watch.counter.rejected(status, reason, self.remote)
        if self.busy:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            body = json.dumps({"message": message}).encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
            self.transport.close()

    def _reply_at_once(self, cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> None:
        """Send a whole response in one write: uvicorn's way checks each header and makes two system calls."""
        if cycle.disconnected:
            return
        if status in CLOSING:
            cycle.keep_alive = False
        framing = b"" if cycle.keep_alive else b"connection: close\r\n"
        shown = b"" if cycle.scope["method"] == "HEAD" else body
        cycle.response_started = cycle.response_complete = True
        length = b"content-length: %d\r\n\r\n" % len(body)
        cycle.transport.write(STATUS_LINE[status] + head + framing + length + shown)
        cycle.message_event.set()
        self._part(cycle)
        cycle.on_response()

    def _part(self, cycle: RequestResponseCycle) -> None:
        """After the reply: close, but let a body that still comes end first, within limits of bytes and time."""
        if BODY_COMPLETE not in cycle.scope:
            cycle.body = bytearray()
            self._closing = not cycle.keep_alive
            self.headers_by = self.loop.time() + self._watch.limits.body_timeout_s
        elif not cycle.keep_alive:
            cycle.transport.close()
