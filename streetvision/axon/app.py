"""The axon's ASGI application: one path, cheapest check first, and an answer in the caller's dialect.

Plain ASGI rather than Starlette's routing: there is one route, and `benchmarks/axon.py` shows what a router costs.
"""

from __future__ import annotations

import asyncio

from loguru import logger

from streetvision.axon.admission import Admission, deadline_of
from streetvision.axon.config import AxonConfig
from streetvision.axon.exchange import Clock, Exchange, cancelled_on_leave, read_body
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.quota import Bucket, ByteBudget
from streetvision.axon.record_listeners import RecordListeners
from streetvision.axon.records import Predictor
from streetvision.axon.refusals import Refusals
from streetvision.axon.signatures import signed_message
from streetvision.axon.wire import (
    PATH,
    SMALL_BODY,
    Call,
    Dialect,
    Refused,
    answer_body,
    answer_head,
    check_framing,
    error_reply,
    parse_body,
    parse_call,
)
from streetvision.engine.types import BadImage, DeadlineMissed, EngineClosed, EngineError, Overloaded, Prediction
from streetvision.net.asgi import ADMITTED, Receive, Scope, Send, respond

GREETING = b"StreetVision miner: POST signed requests to the synapse's path.\n"
LARGE_PARSES = 2
"""Large bodies decoded at once: each takes three times its size for a moment, which no budget counts."""
_TEXT_HEAD = b"content-type: text/plain; charset=utf-8\r\n"
_ENGINE_STATUS: tuple[tuple[type[EngineError], int], ...] = (
    (BadImage, 400),
    (Overloaded, 503),
    (EngineClosed, 503),
    (DeadlineMissed, 503),
)


class AxonApp:
    """Answers requests; knows no sockets and no process."""

    def __init__(
        self,
        config: AxonConfig,
        predictor: Predictor,
        admission: Admission,
        metrics: AxonMetrics,
        refusals: Refusals,
        *,
        listeners: RecordListeners | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config, self._predictor, self._admission, self._metrics = config, predictor, admission, metrics
        self._refusals, self._listeners, self._clock = refusals, listeners, clock or Clock()
        self._verified = ByteBudget(config.verified_body_budget)
        self._unverified = ByteBudget(config.unverified_body_budget)
        self._large_parses = asyncio.Semaphore(LARGE_PARSES)
        self._junk = Bucket(config.junk_per_second, config.junk_per_second)
        self._samples = Bucket(5.0, 20.0)
        self._log_lines = Bucket(1.0, 5.0)
        self._in_flight = self._unverified_bodies = 0
        metrics.in_flight.set_function(lambda: self._in_flight)
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["path"] != PATH or scope["method"] != "POST":
            await self._turn_away(Exchange.begin(scope, receive, send, self._clock))
            return
        exchange = Exchange.begin(scope, receive, send, self._clock)
        try:
            self._admission.check_gate()
        except Refused as refused:
            await self._refuse(exchange, refused)
            return
        self._enter()
        try:
            await self._serve(exchange)
        finally:
            exchange.share.release()
            self._leave()

    async def idle(self) -> None:
        """Wait until no request past the gate is in flight."""
        await self._idle.wait()

    async def _serve(self, exchange: Exchange) -> None:
        try:
            prediction = await self._answer(exchange)
            body = answer_body(prediction.probability)
        except Refused as refused:
            await self._refuse(exchange, refused)
        except Exception as error:  # noqa: BLE001 - the seam to foreign code: whatever it raises, the caller gets a 500
            if self._log_lines.take(self._clock.monotonic()):
                logger.opt(exception=error).error("The predictor failed unexpectedly: {!r}", error)
            await self._refuse(exchange, Refused(500, "internal", "The miner failed on this request."))
        else:
            assert exchange.call is not None  # noqa: S101 - _answer set it
            elapsed = self._clock.monotonic() - exchange.arrival
            head = answer_head(exchange.call, self._config.hotkey, elapsed)
            await self._reply(exchange, 200, head, body)

    async def _answer(self, exchange: Exchange) -> Prediction:
        config, admission, clock = self._config, self._admission, self._clock
        length = check_framing(exchange.headers, config.max_body_bytes)
        call = exchange.call = parse_call(exchange.dialect, exchange.headers, config.hotkey)
        caller = exchange.caller = admission.screen(call, exchange.wall_ns, exchange.arrival)
        if call.dialect is Dialect.LEGACY:
            self._prove(exchange, call, b"")
            exchange.share.grow(self._verified, length or 0)
        exchange.marks.append(clock.monotonic())
        exchange.image = await self._image(exchange, call)
        exchange.marks.append(clock.monotonic())
        prediction = exchange.prediction = await self._predict(exchange, exchange.image, caller.stake)
        exchange.marks.append(clock.monotonic())
        return prediction

    async def _image(self, exchange: Exchange, call: Call) -> bytes:
        """Read and decode the image; the raw body ends with this call, so that it is not kept while the model runs."""
        if call.dialect is Dialect.LEGACY:
            body = await self._body(exchange, self._verified)
        else:
            body = await self._unverified_body(exchange)
            self._prove(exchange, call, body)
            exchange.share.settle(self._verified, len(body))
        image = await self._parse(body, call.body_hash)
        exchange.share.settle(self._verified, len(image))
        return image

    async def _parse(self, body: bytes | bytearray, body_hash: str) -> bytes:
        if len(body) <= SMALL_BODY:
            return parse_body(body, body_hash)
        async with self._large_parses:
            return await asyncio.to_thread(parse_body, body, body_hash)

    def _prove(self, exchange: Exchange, call: Call, body: bytes | bytearray) -> None:
        """Verify the signature and fix the deadline."""
        query = exchange.scope["query_string"]
        target = PATH if not query else f"{PATH}?{query.decode('latin-1')}"
        message = signed_message(call, self._config.hotkey, target, bytes(body))
        assert exchange.caller is not None  # noqa: S101 - screen() came first
        age = self._admission.prove(call, exchange.caller, message, exchange.wall_ns, self._clock.monotonic())
        exchange.authenticated = exchange.scope[ADMITTED] = True
        exchange.deadline = deadline_of(self._config, call.timeout_s, exchange.arrival, age)

    async def _body(self, exchange: Exchange, budget: ByteBudget) -> bytes | bytearray:
        timeout = self._config.body_timeout_s
        if exchange.deadline is not None:
            timeout = min(timeout, exchange.deadline - self._clock.monotonic())
        return await read_body(exchange, self._config.max_body_bytes, budget, timeout)

    async def _unverified_body(self, exchange: Exchange) -> bytes | bytearray:
        """A body that must be read before its sender is proven: only so many at once, on a budget of their own."""
        if self._unverified_bodies >= self._config.max_unverified_bodies:
            raise Refused(503, "body_budget", "Too many unverified requests at once.")
        self._unverified_bodies += 1
        try:
            return await self._body(exchange, self._unverified)
        finally:
            self._unverified_bodies -= 1

    async def _predict(self, exchange: Exchange, image: bytes, stake: float) -> Prediction:
        deadline = exchange.deadline
        assert deadline is not None  # noqa: S101 - _prove() set it
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise Refused(408, "late", "The request arrived too late to be answered in time.")
        try:
            async with asyncio.timeout(left + self._config.deadline_margin_s / 2):
                with cancelled_on_leave(exchange.scope):
                    return await self._predictor.predict(image, deadline=deadline, priority=stake)
        except EngineError as error:
            raise _refusal_of(error, caller_slow=left < (deadline - exchange.arrival) / 2) from error
        except TimeoutError as error:
            raise Refused(503, DeadlineMissed.reason, "No answer was ready in time.") from error

    async def _turn_away(self, exchange: Exchange) -> None:
        """Everything that is not the synapse: a greeting for `GET /`, 404 or 405 for the rest."""
        method, path = exchange.scope["method"], exchange.scope["path"]
        if path == "/" and method in ("GET", "HEAD"):
            exchange.reason = "greeting"
            await self._pace()
            await respond(exchange.scope, exchange.send, 200, _TEXT_HEAD, GREETING)
            self._metrics.count(exchange.dialect, 200, "greeting")
        elif path == PATH:
            await self._refuse(exchange, Refused(405, "method", "Only POST is answered here."))
        else:
            await self._refuse(exchange, Refused(404, "unknown_path", "Nothing is served at this path."))

    async def _refuse(self, exchange: Exchange, refused: Refused) -> None:
        exchange.status, exchange.reason = refused.status, refused.reason
        if not exchange.authenticated:
            self._refusals.note(refused.reason, exchange.remote, status=refused.status, told=exchange.call is not None)
            await self._pace()
        head, body = error_reply(exchange.dialect, refused)
        await self._reply(exchange, refused.status, head, body)

    async def _pace(self) -> None:
        """Let a flood of strangers wait for its answers: a connection that waits asks nothing, so others are served."""
        if not self._junk.take(self._clock.monotonic()):
            await asyncio.sleep(self._config.junk_delay_s)

    async def _reply(self, exchange: Exchange, status: int, head: bytes, body: bytes) -> None:
        await respond(exchange.scope, exchange.send, status, head, body)
        now = self._clock.monotonic()
        self._metrics.count(exchange.dialect, status, exchange.reason)
        if status == 200:
            exchange.marks.append(now)
            self._metrics.observe(exchange.arrival, exchange.marks)
        if self._listeners is not None and self._is_told(exchange, now):
            self._listeners.tell(exchange.record(now))

    def _is_told(self, exchange: Exchange, now: float) -> bool:
        """Every proven request; of those that only claim a caller, some."""
        return exchange.authenticated or (exchange.call is not None and self._samples.take(now))

    def _enter(self) -> None:
        self._in_flight += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()


def _refusal_of(error: EngineError, *, caller_slow: bool) -> Refused:
    """The status of an engine error; a missed deadline is the caller's (408) when it used up most of the time."""
    if isinstance(error, DeadlineMissed) and caller_slow:
        return Refused(408, error.reason, "The request left too little time to answer it.")
    status = next((code for kind, code in _ENGINE_STATUS if isinstance(error, kind)), 500)
    return Refused(status, error.reason, str(error) or "The miner could not answer this request.")
