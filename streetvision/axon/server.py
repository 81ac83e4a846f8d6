"""The axon's life: bind, serve, stop admitting, drain, close. Of uvicorn it uses the HTTP protocol alone."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable

from loguru import logger

from streetvision.axon.admission import Admission, Gate
from streetvision.axon.app import AxonApp
from streetvision.axon.config import AxonConfig
from streetvision.axon.exchange import Clock
from streetvision.axon.metrics import AxonMetrics
from streetvision.axon.quota import Bucket
from streetvision.axon.record_listeners import RecordListeners
from streetvision.axon.records import Predictor
from streetvision.axon.refusals import Refusals
from streetvision.axon.signatures import Verifier, verify
from streetvision.axon.wire import Dialect
from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.errors import OperatorError
from streetvision.net.listener import Listener
from streetvision.net.sockets import listen

_SPARE_FILES = 256
"""File descriptors left for everything that is not a connection."""


class OpenGate:
    """A gate that only `AxonServer.stop_admitting` closes."""

    closed: str | None = None


class _DrainableGate:
    """The miner's gate, and the axon's own that closes for good."""

    def __init__(self, outer: Gate) -> None:
        self._outer = outer
        self.stopped: str | None = None

    @property
    def closed(self) -> str | None:
        return self.stopped or self._outer.closed


class _Guard:
    """Counts what never reaches the application, in the metrics and among the refusals."""

    def __init__(self, metrics: AxonMetrics, refusals: Refusals) -> None:
        self._metrics, self._refusals = metrics, refusals
        self.connections = metrics.connections.set

    def dropped(self, reason: str, remote: str) -> None:
        self._metrics.dropped(reason)
        self._refusals.note(reason, remote)

    def rejected(self, status: int, reason: str, remote: str) -> None:
        self._metrics.count(Dialect.NONE, status, reason)
        self._refusals.note(reason, remote, status=status)


class AxonServer:
    """Serves one predictor on the configured addresses.

    `metagraph` is read on each request, without a lock or an await; `listeners` hear of each request after its reply.
    """

    def __init__(
        self,
        config: AxonConfig,
        predictor: Predictor,
        metagraph: Callable[[], MetagraphSnapshot | None],
        *,
        metrics: AxonMetrics,
        gate: Gate | None = None,
        listeners: RecordListeners | None = None,
        clock: Clock | None = None,
        verifier: Verifier = verify,
    ) -> None:
        self._config = config
        self._gate = _DrainableGate(gate or OpenGate())
        self.admission = Admission(config, metagraph, self._gate, verifier)
        clock = clock or Clock()
        self.refusals = Refusals(clock)
        self._app = AxonApp(config, predictor, self.admission, metrics, self.refusals, listeners=listeners, clock=clock)
        self._listener = Listener(self._app, config, _Guard(metrics, self.refusals), "axon-watch")
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The port that is served; raises OperatorError before `start`."""
        if self._port is None:
            raise OperatorError("The axon has not started: start it before asking for its port.")
        return self._port

    async def start(self) -> None:
        """Bind every address and serve; raises OperatorError, before anything serves, when an address cannot be had."""
        sockets = listen(self._config.hosts, self._config.port)
        self._port = sockets[0].getsockname()[1]
        addresses = ", ".join(_address(bound) for bound in sockets)
        _quiet_uvicorn()
        await self._listener.start(sockets, _connection_limit(self._config.max_connections))
        logger.info("The axon serves {}", addresses)

    def stop_admitting(self, reason: str = "draining") -> None:
        """Answer 503 to every new request from now on; requests in flight go on."""
        self._gate.stopped = reason

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's whole shutdown has one budget
        """Wait up to `timeout` seconds for the requests in flight; whether all were answered."""
        try:
            await asyncio.wait_for(self._app.idle(), timeout)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Stop listening and close every connection; what is still in flight gets a second. Safe to call twice."""
        self.stop_admitting(self._gate.stopped or "draining")
        await self._listener.close(grace_s=1.0)


def _connection_limit(wanted: int) -> int:
    """As many connections as the file limit leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if soft == resource.RLIM_INFINITY else max(64, min(wanted, soft - _SPARE_FILES))
    if allowed < wanted:
        logger.info("The limit of {} open files allows {} connections (raise it with ulimit -n)", soft, allowed)
    return allowed


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _ToLoguru(logging.Handler):
    """uvicorn's warnings in our log, a few at most."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines = Bucket(1.0, 5.0)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        if self._lines.take(record.created):
            logger.opt(exception=record.exc_info).log(record.levelname, "{}", record.getMessage().strip())


def _quiet_uvicorn() -> None:
    log = logging.getLogger("uvicorn.error")
    log.propagate = False
    if not any(isinstance(handler, _ToLoguru) for handler in log.handlers):
        log.addHandler(_ToLoguru())
        log.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").propagate = False
